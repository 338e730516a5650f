"""For those who run it: is it alive, is it ready, how is it doing."""

import hmac
from concurrent.futures import Future, as_completed, wait
from threading import Thread
from typing import Any

from flask import Response, current_app, request
from marshmallow import fields

from fms import __version__
from fms.shards.engine import reading
from fms.web.fields import Closed
from fms.web.metering import exposition
from fms.web.parts import identity, parts
from fms.web.problems import Problem
from fms.web.routes import Routes

LOOK_SECONDS = 1.0
"""How long a shard may take to answer; a balancer's check is to wait longer."""

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
    try:
        if not any(asked.result() for asked in as_completed(_asked().values(), LOOK_SECONDS)):
            return "no shard answers"
    except TimeoutError:
        return "no shard answers in time"
    return None


def _shards() -> list[dict[str, Any]]:
    asked = _asked()
    done, _ = wait(asked.values(), LOOK_SECONDS)
    return [{"name": name, "answers": one in done and one.result()} for name, one in asked.items()]


def _asked() -> "dict[str, Future[bool]]":
    """Whether each shard answers. One that still has not is not asked again: its host may swallow every question."""
    known: dict[str, Future[bool]] = current_app.extensions.setdefault("fms.asked", {})
    for shard in parts().site.router.all():
        if shard.name not in known or known[shard.name].done():
            known[shard.name] = _begun(shard.engine)
    return dict(known)


def _begun(engine: Any) -> "Future[bool]":
    answer: Future[bool] = Future()
    # Not in a pool: nobody is to wait for its end when the process ends.
    Thread(target=lambda: answer.set_result(_answers(engine)), daemon=True).start()
    return answer


def _answers(engine: Any) -> bool:
    try:
        with reading(engine) as connection:
            connection.exec_driver_sql("SELECT 1")
    except Exception:  # noqa: BLE001  # whatever it was, it was no answer
        return False
    return True


@routes.view("GET", "/api/operator/status", answer=StatusOut, problems=("forbidden",))
def status() -> dict[str, Any]:
    """How the site is; for operators only."""
    if identity().account.role != "operator":
        raise Problem("forbidden", "for operators only")
    shards = _shards()
    ready = not parts().draining() and any(one["answers"] for one in shards)
    return {"version": __version__, "ready": ready, "shards": shards}


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
