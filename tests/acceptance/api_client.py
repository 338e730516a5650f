"""The API from outside: asked of ``fms serve`` over HTTP, and of processes that die at one of their commits."""

import gc
import http.client
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self
from uuid import uuid4

from tests.acceptance.commands import ROOT, ended, start
from tests.rebalance.dying import Fate

if TYPE_CHECKING:
    from flask import Flask

    from fms.bootstrap import Site

SETTINGS: dict[str, Any] = {
    "rate_limit": "100000/minute",
    "login_rate_limit": "100000/minute",
    "fast_passwords": True,
    "secret_key": "the key of a site under test and of no other",
}
"""With which nothing is slowed down."""

PASSWORD = "correct horse battery staple"  # noqa: S105  # of tests
LONGEST = 10
"""Seconds that an answer may take."""


@dataclass(frozen=True)
class Reply:
    """What the API answered; ``headers``: by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.text)

    def checked(self, status: int = 200) -> Any:
        """The document of an answer with this status; None if it has none."""
        assert self.status == status, f"{self.status}: {self.text}"
        return self.json if self.text else None


class Api(Protocol):
    """Answers requests."""

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request."""
        ...


@dataclass
class Client:
    """Somebody who asks an API, with an account once they have ``joined``."""

    api: Api
    email: str = field(default_factory=lambda: f"{uuid4().hex}@example.org")
    access: str = ""
    refresh: str = ""

    @property
    def credentials(self) -> dict[str, str]:
        """What they log in with."""
        return {"email": self.email, "password": PASSWORD}

    def said(self, key: str | None = None, **more: str) -> dict[str, str]:
        """The headers of their requests; ``key``: for ``Idempotency-Key``."""
        token = {"Authorization": f"Bearer {self.access}"} if self.access else {}
        return token | ({} if key is None else {"Idempotency-Key": key}) | more

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> Reply:
        """One request."""
        return self.api.ask(method, path, body, self.said(key, **headers))

    def joined(self) -> Self:
        """Themselves, registered and logged in."""
        self.ask("POST", "/api/auth/register", self.credentials).checked(201)
        return self.logged_in()

    def logged_in(self) -> Self:
        """Themselves, with new tokens."""
        tokens = self.ask("POST", "/api/auth/login", self.credentials).checked()
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]
        return self

    def alerts(self) -> list[dict[str, Any]]:
        """All their alerts."""
        found: list[dict[str, Any]] = []
        path: str | None = "/api/alerts?limit=100"
        while path:
            page = self.ask("GET", path).checked()
            found += page["items"]
            path = page["next"] and f"/api/alerts?limit=100&cursor={page['next']}"
        return found


class Served:
    """``fms serve`` in processes of its own.

    Args:
        env: its settings.
        folder: for its log.
    """

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env = {f"FMS_{name.upper()}": str(value) for name, value in SETTINGS.items()} | dict(env)
        self.log = folder / "serve.log"

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = start("serve", "--port", "0", "--log", "json", env=self._env, stderr=log.fileno())
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        found = re.match(r"listening on http://127\.0\.0\.1:(\d+)", line)
        if found is None:
            self.process.kill()
            ended(self.process)
            raise AssertionError(f"{line}{self.log.read_text()}")
        self._port = int(found[1])
        return self

    def __exit__(self, *_error: object) -> None:
        # The second one ends it at once.
        self.process.send_signal(signal.SIGTERM)
        self.process.send_signal(signal.SIGTERM)
        try:
            ended(self.process)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request on a connection of its own; raises TimeoutError if it takes too long."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=LONGEST)
        content = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {**content, **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read().decode())
        finally:
            connection.close()


@contextmanager
def fenced(site: "Site", slot: int) -> Iterator[Callable[[], None]]:
    """A slot to which nobody may write, as while it is being moved; gives what ends that."""
    from sqlalchemy import update

    from fms.shards.engine import writing
    from fms.shards.ownership import ACTIVE, FENCED, slot_owner

    def become(state: str) -> None:
        with writing(site.router.of(slot).engine) as connection:
            connection.execute(update(slot_owner).where(slot_owner.c.slot == slot).values(state=state))

    become(FENCED)
    try:
        yield partial(become, ACTIVE)
    finally:
        become(ACTIVE)


@dataclass(frozen=True)
class Request:
    """What is asked of a process that may die of it; ``body``: a document, or the text of a file."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Death:
    """A process of the API that was killed before it answered: right before or after its nth commit."""

    nth: int
    before: bool

    @property
    def committed(self) -> int:
        """How many commits it made."""
        return self.nth - self.before


class Mortals:
    """The API of a site as processes that each answer one request, and then are gone; and in this one, which stays.

    A process that has imported everything forks one for each request.

    Args:
        settings: of the site.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = SETTINGS | dict(settings)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.acceptance.api_client", json.dumps(self._settings)]
        self._server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._site, self._app = _api_of(self._settings)
        return self

    def __exit__(self, *_error: object) -> None:
        self._site.close()
        with self._server:
            pass

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request of this process, which is not the one that died."""
        return _answered(self._app, Request(method, path, body, headers or {}))

    def again(self, request: Request) -> Reply:
        """One request of a new process, which lives on."""
        found = self.try_to(request, Fate())
        assert found is not None, "it died by itself"
        return found

    def try_to(self, request: Request, fate: Fate) -> Reply | None:
        """One request; None: it died before it had an answer."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps({"request": vars(request), "fate": vars(fate)}), file=self._server.stdin, flush=True)
        code, answer = json.loads(self._server.stdout.readline())
        assert (code, answer is None) in ((0, False), (-signal.SIGKILL, True)), code
        return None if answer is None else Reply(*answer)

    def die_of(self, request: Callable[[], Request]) -> Iterator[tuple[Death, Request]]:
        """Deaths before and after each commit that is made for a request, and of which request each one was.

        ``request``: makes a new one of the kind. The last one, of which nobody died any more, is not answered.
        """
        for place in count():
            death, asked = Death(place // 2 + 1, before=place % 2 == 0), request()
            if self.try_to(asked, Fate(death.nth, before=death.before)) is not None:
                return
            yield death, asked


def _api_of(settings: dict[str, Any]) -> "tuple[Site, Flask]":
    import structlog

    from fms.bootstrap import Site
    from fms.settings import Settings
    from fms.web.app import create_app

    site = Site(Settings(**settings), served=True)
    # Only what is a fault of ours; not on stdout, where the answers are.
    only = structlog.make_filtering_bound_logger(logging.ERROR)
    return site, create_app(site, log=structlog.wrap_logger(structlog.PrintLogger(sys.stderr), wrapper_class=only))


def _answered(app: "Flask", request: Request) -> Reply:
    # A text is a file of JSON lines.
    lines = {"data": request.body, "content_type": "application/x-ndjson"}
    body = lines if isinstance(request.body, str) else {} if request.body is None else {"json": request.body}
    found = app.test_client().open(request.path, method=request.method, headers=dict(request.headers), **body)
    return Reply(found.status_code, {name.lower(): value for name, value in found.headers.items()}, found.text)


def serve(settings: dict[str, Any]) -> None:
    """Answer the requests on stdin, each in a fork."""
    site, app = _api_of(settings)
    app.test_client()
    # What a fork needs it opens again; nothing that is open may be handed down.
    site.close()
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os._exit(_answer(app, order, writing))
        os.close(writing)
        with os.fdopen(reading) as answer:
            text = answer.read()
        _, status = os.waitpid(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), json.loads(text) if text else None]), flush=True)


def _answer(app: "Flask", order: dict[str, Any], out: int) -> int:
    Fate(**order["fate"]).set()
    try:
        reply = _answered(app, Request(**order["request"]))
        os.write(out, json.dumps([reply.status, reply.headers, reply.text]).encode())
    except BaseException as error:  # noqa: BLE001  # a fork must not go on with what its parent does
        import traceback

        traceback.print_exception(error)
        return 4
    return 0


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
