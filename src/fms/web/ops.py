"""For those who run it: is it alive, is it ready, how is it doing."""

import hmac
from typing import Any

from flask import Response, request
from marshmallow import fields

from fms import __version__
from fms.errors import FmsError
from fms.shards.engine import reading
from fms.web.fields import Closed
from fms.web.metering import exposition
from fms.web.parts import identity, parts
from fms.web.problems import Problem
from fms.web.routes import Routes

routes = Routes("operations", "", "For operators and load balancers.")


class ShardOut(Closed):
    """One shard."""

    name = fields.String(required=True)
    answers = fields.Boolean(required=True)


class StatusOut(Closed):
    """How the site is."""

    version = fields.String(required=True)
    ready = fields.Boolean(required=True)
    shards = fields.List(fields.Nested(ShardOut), required=True)


@routes.view("GET", "/livez", answer={"type": "string"}, public=True, content_type="text/plain")
def livez() -> Response:
    """Whether the process goes round."""
    return Response("alive\n", mimetype="text/plain")


@routes.view("GET", "/readyz", answer={"type": "string"}, public=True, content_type="text/plain")
def readyz() -> Response:
    """Whether to send requests here: not while it ends, nor while no shard answers."""
    why = not_ready()
    return Response(f"{why or 'ready'}\n", 503 if why else 200, mimetype="text/plain")


def not_ready() -> str | None:
    """Why this process can do nothing; None: it can. One of several shards that is away is no reason to stop."""
    if parts().draining():
        return "ending"
    if not any(one["answers"] for one in _shards()):
        return "no shard answers"
    return None


def _shards() -> list[dict[str, Any]]:
    return [{"name": shard.name, "answers": _answers(shard.engine)} for shard in parts().site.router.all()]


def _answers(engine: Any) -> bool:
    try:
        with reading(engine) as connection:
            connection.exec_driver_sql("SELECT 1")
    except FmsError:
        return False
    return True


@routes.view("GET", "/api/operator/status", answer=StatusOut, problems=("forbidden",))
def status() -> dict[str, Any]:
    """How the site is; for operators only."""
    if identity().account.role != "operator":
        raise Problem("forbidden", "for operators only")
    shards = _shards()
    return {"version": __version__, "ready": not_ready() is None, "shards": shards}


@routes.view("GET", "/metrics", answer={"type": "string"}, public=True, content_type="text/plain")
def metrics() -> Response:
    """Prometheus metrics of all processes here: for this machine, or with the metrics key."""
    key = parts().site.settings.metrics_key
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    here = request.remote_addr in ("127.0.0.1", "::1") and "X-Forwarded-For" not in request.headers
    if not here and (key is None or not hmac.compare_digest(given.encode(), key.get_secret_value().encode())):
        raise Problem("unauthenticated", "the metrics key is wanted")
    body, kind = exposition(request.headers.get("Accept", ""))
    return Response(body, content_type=kind)
