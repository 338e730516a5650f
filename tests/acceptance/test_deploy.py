"""``deploy/`` fits fms and itself: commands, settings, limits, health checks. Nothing of it is started here."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml
from typer.main import get_command

from fms.doctor.servers import _locks
from fms.settings import Settings, load_settings
from fms_cli.app import app
from tests.acceptance.commands import ROOT

DEPLOY = ROOT / "deploy"
ONCE = "no"
UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
MONTHS = 27
"""Partitions of windows: those of a year that has passed, and of the 14 months to come."""


def example() -> dict[str, str]:
    """The variables of the environment file."""
    lines = (DEPLOY / "fms.env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def composed() -> dict[str, Any]:
    """The file as Compose reads it, with the variables put in."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else example()[found[1]]

    text = re.sub(r"\$\$|\$\{(\w+)(?::\?[^}]*)?\}", value, (DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    document: dict[str, Any] = yaml.safe_load(text)
    return document


SERVICES: dict[str, dict[str, Any]] = composed()["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("fms")}
WORKERS = {name: service for name, service in OURS.items() if service["command"][0] == "worker"}
API = SERVICES["api"]

services = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
ours = pytest.mark.parametrize("service", OURS.values(), ids=OURS)
workers = pytest.mark.parametrize("service", WORKERS.values(), ids=WORKERS)


def size(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([kmg])b?", text.lower()).groups()  # type: ignore[union-attr]  # or the test fails
    return int(number) * UNITS[unit]


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def options(service: dict[str, Any]) -> dict[str, Any]:
    """The options of a service's command as the command line understands them; raises if it does not."""
    command, words = get_command(app), list(map(str, service["command"]))
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    found: dict[str, Any] = command.make_context("fms", words).params
    return found


def test_there_is_every_server_and_every_worker() -> None:
    assert set(SERVICES) - set(OURS) == {"rabbitmq", "redis", "postgres-a", "postgres-b", "haproxy"}
    assert [service["command"][:2] for service in WORKERS.values()] == [
        ["worker", name] for name in ("ingest", "price", "alert", "notify")
    ]


@ours
def test_a_command_is_one_of_fms(service: dict[str, Any]) -> None:
    assert options(service)


@ours
def test_the_settings_are_some_of_fms(service: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert service["env_file"] == [".env"]
    given = example() | service["environment"]
    known = {f"FMS_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in given if name.startswith("FMS_")} <= known
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(tmp_path)
    assert settings.broker_url
    assert settings.price_book_url
    assert str(settings.catalog()) == "postgresql://fms:${POSTGRES_PASSWORD}@postgres-a:5432/fms"


@services
def test_memory_is_limited_and_images_are_pinned(service: dict[str, Any]) -> None:
    assert size(service["mem_limit"]) >= 512 * UNITS["m"]
    assert service["image"] == "fms:local" or re.fullmatch(r"[a-z]+:\d+", service["image"])


@services
def test_whatever_stays_has_a_health_check_and_comes_back(service: dict[str, Any]) -> None:
    if service["restart"] == ONCE:
        assert service["healthcheck"] == {"disable": True}
        return
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert seconds(check["timeout"]) > 0


@services
def test_what_is_waited_for_is_there_and_can_come_true(service: dict[str, Any]) -> None:
    for name, wait in service.get("depends_on", {}).items():
        stays = SERVICES[name]["restart"] != ONCE
        assert wait == {"condition": "service_healthy" if stays else "service_completed_successfully"}


@services
def test_every_volume_is_declared_or_a_file_that_is_there(service: dict[str, Any]) -> None:
    for volume in service["volumes"]:
        source = volume.partition(":")[0]
        assert source in composed()["volumes"] or (DEPLOY / source).is_file(), volume


@workers
def test_a_worker_has_time_to_finish_what_it_holds(service: dict[str, Any]) -> None:
    assert seconds(service["stop_grace_period"]) > Settings.model_fields["drain_seconds"].default + 5


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_args: Any) -> None:
        pass


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A port where ``/readyz`` is answered with a status."""
    with HTTPServer(("127.0.0.1", 0), type("Answering", (Answer,), {"status": status})) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@workers
def test_the_health_check_is_that_of_every_process(service: dict[str, Any]) -> None:
    python, dash_c, program = service["healthcheck"]["test"][1:]
    assert (python, dash_c) == ("python", "-c")
    first = int(service["environment"]["FMS_METRICS_PORT"])
    processes = options(service).get("processes", 1)
    assert re.findall(r"\b9\d\d\d\b", program) == [str(first + number) for number in range(processes)]
    for statuses, healthy in (((200, 200), True), ((200, 503), False)):
        with answering(statuses[0]) as one, answering(statuses[1]) as other:
            # A worker of one process has the last of the ports.
            asked = program.replace("9100", str(one if processes > 1 else other)).replace("9101", str(other))
            done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=False)
        assert (done.returncode == 0) == healthy


def test_the_api_has_time_to_let_balancers_know_and_to_finish() -> None:
    defaults = {name: Settings.model_fields[name].default for name in ("unready_seconds", "drain_seconds")}
    assert seconds(API["stop_grace_period"]) > sum(defaults.values()) + 5
    assert balancer_check_seconds() < defaults["unready_seconds"]


def balancer_check_seconds() -> float:
    """After how long the balancer sends nothing more to a process that says that it will end."""
    (line,) = [
        line for line in (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8").splitlines() if "fastinter" in line
    ]
    usual, fast, fall = re.findall(r"inter (\d)s fastinter (\d+)ms .* fall (\d)", line)[0]
    return int(usual) + (int(fall) - 1) * int(fast) / 1000


def test_the_balancer_knows_every_api_and_the_apis_trust_it() -> None:
    port = options(API)["port"]
    proxy = SERVICES["haproxy"]["environment"]
    replicas = range(1, API["deploy"]["replicas"] + 1)
    assert {name: place for name, place in proxy.items() if name.startswith("API")} == {
        f"API{number}": f"fms-api-{number}:{port}" for number in replicas
    }
    assert API["environment"]["FMS_TRUSTED_PROXIES"] == "1"
    configuration = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
    assert re.findall(r"^    server api(\d) ", configuration, re.MULTILINE) == [str(number) for number in replicas]


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_health_check_of_the_api_is_whether_it_is_ready(status: int, *, healthy: bool) -> None:
    python, dash_c, program = API["healthcheck"]["test"][1:]
    assert (python, dash_c) == ("python", "-c")
    with answering(status) as port:
        asked = program.replace("8000", str(port))
        done = subprocess.run([sys.executable, "-c", asked], capture_output=True, check=False)
    assert (done.returncode == 0) == healthy


def test_the_broker_stops_publishers_well_before_its_memory_ends() -> None:
    text = (DEPLOY / "rabbitmq.conf").read_text(encoding="utf-8")
    conf = dict(line.split(" = ") for line in text.splitlines() if not line.startswith("#"))
    watermark = size(conf["vm_memory_high_watermark.absolute"])
    assert int(conf["raft.wal_max_size_bytes"]) * 4 < watermark < size(SERVICES["rabbitmq"]["mem_limit"]) * 2 // 3


def test_redis_keeps_what_it_is_given() -> None:
    command = SERVICES["redis"]["command"][-1]
    (most,) = re.findall(r"--maxmemory (\S+)", command)
    assert 2 * size(most) < size(SERVICES["redis"]["mem_limit"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


@pytest.mark.parametrize("name", ["postgres-a", "postgres-b"])
def test_postgresql_has_room_for_the_locks_that_the_doctor_counts(name: str) -> None:
    given = dict(word.removeprefix("--").split("=") for word in SERVICES[name]["command"] if word.startswith("--"))
    assert _locks("", given | {"max_prepared_transactions": "0"}, MONTHS).state == "ok"


def test_the_image_is_made_of_what_is_there() -> None:
    lines = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1] if "/" not in word]
    assert copied[:3] == ["pyproject.toml", "README.md", "LICENSE"]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied:
        if not name.startswith("--"):
            assert (ROOT / name).exists(), name
            assert f"!{name}" in ignored
    assert 'ENTRYPOINT ["fms"]' in lines
    for service in OURS.values():
        build = service["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"


def test_passwords_are_asked_for_and_never_written_down() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+):\?", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    assert asked == {"POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "REDIS_PASSWORD"}
    assert "deploy/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
