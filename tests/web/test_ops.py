"""Is it alive, is it ready, how is it doing: who is told, and how soon."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from fms.web import ops
from tests.web.apps import app_of
from tests.web.conftest import MakeApp
from tests.web.people import PASSWORD, Person

KEY = "the key of whoever collects the metrics"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with app_of(tmp_path_factory.mktemp("ops"), metrics_key=KEY) as found:
        yield found


@pytest.fixture
def stuck(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Shards of these names swallow every question until the test ends."""
    names: set[str] = set()
    over, really = Event(), ops._answers
    asked: list[str] = []
    engines = {id(shard.engine): shard.name for shard in app.extensions["fms"].site.router.all()}

    def answers(engine: Any) -> bool:
        asked.append(engines[id(engine)])
        if engines[id(engine)] in names:
            over.wait(60)
        return really(engine)

    monkeypatch.setattr(ops, "_answers", answers)
    yield names, asked
    over.set()
    for one in app.extensions.get("fms.asked", {}).values():
        one.result(60)


def test_one_shard_that_swallows_questions_is_no_reason_to_stop(app: Flask, stuck: Any) -> None:
    names, asked = stuck
    names.add("local0")
    began = monotonic()
    for _ in range(5):
        assert Person(app).ask("GET", "/readyz").text == "ready\n"
    assert monotonic() - began < ops.LOOK_SECONDS
    assert asked.count("local0") == 1


def test_no_shard_that_answers_in_time_is_said_in_time(app: Flask, stuck: Any) -> None:
    names, _ = stuck
    names |= {"local0", "local1"}
    began = monotonic()
    reply = Person(app).ask("GET", "/readyz")
    assert (reply.status, reply.text) == (503, "no shard answers in time\n")
    assert monotonic() - began < 3 * ops.LOOK_SECONDS
    assert Person(app).ask("GET", "/livez").text == "alive\n"


def test_no_shard_that_answers_is_said(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_answers", lambda _engine: False)
    reply = Person(app).ask("GET", "/readyz")
    assert (reply.status, reply.text) == (503, "no shard answers\n")


def test_the_status_is_for_operators_and_names_the_shards(app: Flask, anna: Person, stuck: Any) -> None:
    assert anna.ask("GET", "/api/operator/status").status == 403
    accounts = app.extensions["fms"].accounts
    accounts.set_role(accounts.find(anna.email), "operator")
    names, _ = stuck
    names.add("local1")
    found = anna.ask("GET", "/api/operator/status").checked()
    assert found["shards"] == [{"name": "local0", "answers": True}, {"name": "local1", "answers": False}]
    assert found["ready"] is True


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("192.0.2.1", {}, 401),
        ("192.0.2.1", {"Authorization": f"Bearer {KEY}"}, 200),
        ("192.0.2.1", {"Authorization": f"Bearer {KEY}x"}, 401),
        ("192.0.2.1", {"Authorization": "Bearer ü"}, 401),
        ("192.0.2.1", {"Authorization": "Bearer "}, 401),
    ],
)
def test_metrics_are_for_this_machine_or_with_the_key(
    app: Flask, address: str, headers: dict[str, str], status: int
) -> None:
    asked = app.test_client().get("/metrics", headers=headers, environ_base={"REMOTE_ADDR": address})
    assert asked.status_code == status


def test_without_a_key_nobody_else_has_the_metrics(make_app: MakeApp) -> None:
    asked = (
        make_app()
        .test_client()
        .get("/metrics", headers={"Authorization": "Bearer "}, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    )
    assert asked.status_code == 401


def test_every_metric_says_something_once_a_request_was_answered(app: Flask, anna: Person) -> None:
    anna.ask("GET", "/api/account").checked()
    found = text_string_to_metric_families(app.test_client().get("/metrics").text)
    silent = [family.name for family in found if not any(sample.value for sample in family.samples)]
    assert not silent


FAULT = """
import logging, sys
from fms.runtime.logs import log_to_stderr
log = log_to_stderr(sys.argv[1], process=7)
def check(password):
    raise ValueError("it broke")
for tell in (log.error, logging.getLogger("gunicorn.error").error):
    try:
        check("canary")
    except ValueError as error:
        tell("fault", exc_info=error)
"""


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_fault_is_logged_with_its_place_and_without_the_values_of_variables(form: str, tmp_path: Path) -> None:
    program = tmp_path / "fault.py"
    program.write_text(FAULT.replace('check("canary")', 'check("can" + "ary")'))
    done = subprocess.run([sys.executable, program, form], capture_output=True, text=True, check=True)
    assert done.stderr.count("ValueError: it broke") == 2
    assert done.stderr.count("in check") == 2
    assert "canary" not in done.stderr
    if form == "json":
        assert done.stderr.count("\n") == 2


LINE = "import sys; from fms.runtime.logs import log_to_stderr; log_to_stderr(sys.argv[1]).info('one')"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_of_the_log_is_written_at_once_for_others_write_there_too(form: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        # As the image has it: without it Python gathers what is written until a line is whole.
        env = os.environ | {"PYTHONUNBUFFERED": "1"}
        subprocess.run([sys.executable, "-c", LINE, form], stderr=theirs.fileno(), env=env, check=True)
        assert ours.recv(4096).endswith(b"\n")


def test_a_library_does_not_log_requests_again(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        Person(app).ask("POST", "/api/auth/login", {"email": "nobody@example.org", "password": PASSWORD})
    assert not [record for record in caplog.records if record.name.startswith(("werkzeug", "gunicorn"))]
