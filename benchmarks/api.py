"""Measure the API with wrk on the same machine: making, reading and listing alerts, beside a view that does nothing.

A site of PostgreSQL shards and a Redis of its own gets users, fares and alerts, and one process of `fms serve` answers.
What is quoted is requests a second of CPU of that process; the servers and wrk share the other core.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent))

from flask import Flask

from fms.accounts.keys import load_keys
from fms.bootstrap import Site, open_site
from fms.settings import load_settings
from fms.web.app import create_app
from fms.web.parts import Parts
from fms.web.serving import Drain, Server, listen
from measuring import machine
from servers import SETTINGS, Meter, on_disk
from tests.services.postgres import Postgres, execute
from tests.services.redis import Redis

ROUTES = [("STN", "BGY"), ("JFK", "LHR"), ("DUB", "STN"), ("MAD", "BCN"), ("OSL", "CPH"), ("VIE", "BER")]
AT_ONCE = 16
"""Connections of wrk."""

WISH: dict[str, Any] = {
    "kind": "target", "target_minor": 100, "depart_from": "2027-10-01", "depart_to": "2027-10-14", "currency": "GBP",
}  # fmt: skip
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}

SCRIPT = """
local file = io.open("%(requests)s")
local lines = {}
for line in file:lines() do lines[#lines + 1] = line end
local place = math.random(#lines)
function request()
  place = place %% #lines + 1
  local token, path, body = lines[place]:match("^(%%S+) (%%S+) ?(.*)$")
  local headers = {["Authorization"] = "Bearer " .. token}
  if body ~= "" then
    headers["Content-Type"] = "application/json"
    return wrk.format("POST", path, headers, body)
  end
  return wrk.format("GET", path, headers)
end
function init(args) math.randomseed(%(seed)d) end
%(delay)s
function done(summary, latency, requests)
  io.stderr:write(string.format('{"requests": %%d, "seconds": %%f, "failed": %%d, "p50": %%f, "p99": %%f, "max": %%f}',
    summary.requests, summary.duration / 1e6, summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
"""


@dataclass(frozen=True)
class User:
    """Somebody with a token, and the ids of their alerts."""

    token: str
    alerts: Sequence[str]


def fill(site: Site, parts: Parts, users: int, each: int) -> list[User]:
    """Users with so many alerts each."""
    made = []
    for number in range(users):
        email = f"user{number}@example.com"
        parts.accounts.add(email, "correct horse battery staple")
        found = parts.accounts.log_in(email, "correct horse battery staple", "wrk")
        wishes = [wish(number + place, ref=f"alert {place}") for place in range(each)]
        site.alerts.import_wishes(_checked(wishes), email)
        ids = [str(one.id) for one in site.alerts.all(email)]
        made.append(User(parts.tokens.pair(found.user_id, found.session.id, 1).access, ids))
    for _ in site.alerts.evaluations():
        pass
    return made


def wish(number: int, **more: Any) -> dict[str, Any]:
    """An alert that does not fire."""
    origin, destination = ROUTES[number % len(ROUTES)]
    return WISH | {"origin": origin, "destination": destination} | more


def _checked(wishes: Sequence[dict[str, Any]]) -> Any:
    from fms.model.alert_file import checked

    return checked([(f"alert {number}", one) for number, one in enumerate(wishes)])


def feed(data: Path, environment: Mapping[str, str]) -> None:
    """Put fares into the price book: six a day and route, half of October."""
    days = [f"2027-10-{day:02}" for day in range(1, 15)]
    lines = [
        {
            "observed_at": "2026-11-02T08:00:00Z", "origin": origin, "destination": destination, "departure_date": day,
            "outbound_flights": [f"FR{flight}"], "currency": "GBP",
            "total_amount_minor": 4000 + flight * 7 + int(day[-2:]) * 13,
        }
        for origin, destination in ROUTES for day in days for flight in range(100, 106)
    ]  # fmt: skip
    file = data / "fares.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, "-m", "fms_cli", "run", "--data", str(data), "--replay", str(file)]
    subprocess.run(command, check=True, capture_output=True, env=dict(environment))


@contextmanager
def serving(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A server for the length of the block: its URL and its process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(environment))
    try:
        said = process.stdout.readline().decode() if process.stdout else ""
        found = re.search(r"http://[\d.:]+", said)
        if found is None:
            sys.exit(f"the server did not start: {said}")
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait(60)


def measure(
    url: str, pid: int, requests: Sequence[str], seconds: int, *, rate: float | None = None, at_once: int = AT_ONCE
) -> dict[str, Any]:
    """Send requests (``token path body``) for so many seconds, all that go or at a rate."""
    with tempfile.TemporaryDirectory() as folder:
        file, script = Path(folder) / "requests", Path(folder) / "script.lua"
        file.write_text("".join(f"{line}\n" for line in requests))
        pause = f"function delay() return {at_once / rate * 1000:.1f} end" if rate else ""
        script.write_text(SCRIPT % {"requests": file, "seed": 1, "delay": pause})
        command = ["wrk", "-t1", f"-c{at_once}", f"-d{seconds}", "--timeout", "10", "-s", str(script), url]
        meter = Meter({"api": pid})
        with meter.running() as used:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr or done.stdout)
        found: dict[str, Any] = json.loads(done.stderr.strip().splitlines()[-1])
    per_second = found["requests"] / found["seconds"]
    cpu = used["api"].cpu
    return {
        "per_second": per_second,
        "per_cpu_second": found["requests"] / cpu if cpu else 0,
        "failed": found["failed"],
        **{name: found[name] for name in ("p50", "p99", "max")},
    }


def bare() -> None:
    """Serve a view that does nothing, as ``fms serve`` would."""
    app = Flask("bare")
    app.add_url_rule("/api/alerts/<alert_id>", "one", lambda alert_id: {"id": alert_id, "state": "armed"})
    listener, url = listen("127.0.0.1", 0)
    Server(load_settings(), listener, lambda _goes_on: app, Drain(), lambda: print(url, flush=True)).run()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All measurements, in rounds."""
    with ExitStack() as stack:
        folder = stack.enter_context(on_disk())
        postgres = stack.enter_context(Postgres(folder / "postgres", settings=SETTINGS | {"fsync": "on"}))
        redis = stack.enter_context(Redis(folder / "redis"))
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environment = _site(postgres, redis, data, arguments.shards)
        feed(data, environment)
        users, heavy = _people(data, environment, arguments)
        rounds = [_round(users, heavy, environment, arguments) for _ in range(arguments.repeat)]
    names = rounds[0].keys()
    medians = {
        name: {key: statistics.median(one[name][key] for one in rounds) for key in rounds[0][name]} for name in names
    }
    return {"machine": machine("flask", "gunicorn", "psycopg2-binary"), "options": vars(arguments), "steps": medians}


def _site(postgres: Postgres, redis: Redis, data: Path, shards: int) -> dict[str, str]:
    import os

    base = postgres.url.rpartition("/")[0]
    for name in ("catalog", *(f"s{number}" for number in range(shards))):
        execute(postgres.url, f"CREATE DATABASE {name}")
    environment = {
        **os.environ,
        "FMS_DATA": str(data),
        "FMS_CATALOG_URL": f"{base}/catalog",
        "FMS_PRICE_BOOK_URL": f"{redis.url.rpartition('/')[0]}/0",
        "FMS_FAST_PASSWORDS": "1",
        "FMS_RATE_LIMIT": "100000/minute",
        "FMS_LOGIN_RATE_LIMIT": "1000000/second",
        "FMS_ALERTS_PER_USER": "1000000",
        "FMS_ACCESS_MINUTES": "600",
        "FMS_SERVE_PORT": "0",
        "FMS_LOG_FORMAT": "json",
    }
    shard_options = [part for number in range(shards) for part in ("--shard", f"s{number}={base}/s{number}")]
    command = [sys.executable, "-m", "fms_cli", "init", *shard_options]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return environment


def _people(data: Path, environment: Mapping[str, str], arguments: argparse.Namespace) -> tuple[list[User], User]:
    import os

    os.environ |= environment
    with open_site(data) as site:
        app = create_app(site, load_keys(load_settings(data)))
        with app.app_context():
            found: Parts = app.extensions["fms"]
            users = fill(site, found, arguments.users, 5)
            heavy = fill_one(site, found, arguments.heavy)
    return users, heavy


def fill_one(site: Site, parts: Parts, alerts: int) -> User:
    """One user with many alerts, on routes of their own in all shards."""
    email = "heavy@example.com"
    parts.accounts.add(email, "correct horse battery staple")
    found = parts.accounts.log_in(email, "correct horse battery staple", "wrk")
    letters = "ABCDEFGHIJ"
    codes = [a + b + c for a in letters for b in letters for c in letters]
    wishes = [WISH | {"origin": code, "destination": "LHR", "ref": code} for code in codes[:alerts]]
    site.alerts.import_wishes(_checked(wishes), email)
    for _ in site.alerts.evaluations():
        pass
    return User(parts.tokens.pair(found.user_id, found.session.id, 1).access, [])


def _round(
    users: Sequence[User], heavy: User, environment: Mapping[str, str], arguments: argparse.Namespace
) -> dict[str, Any]:
    seconds = arguments.seconds
    reads = [f"{user.token} /api/alerts/{one}" for user in users for one in user.alerts]
    creates = [f"{user.token} /api/alerts {json.dumps(wish(number))}" for number, user in enumerate(users)]
    lists = [f"{heavy.token} /api/alerts?limit=100", f"{heavy.token} /api/alerts?limit=100&sort=route"]
    with serving([sys.executable, __file__, "--bare"], environment) as (url, pid):
        found = {"bare view": measure(url, pid, reads, seconds)}
    with serving([sys.executable, "-m", "fms_cli", "serve"], environment) as (url, pid):
        measure(url, pid, reads, 1)  # a first second in which connections are made
        found["read"] = measure(url, pid, reads, seconds)
        found["create"] = measure(url, pid, creates, seconds)
        found["read, half"] = measure(url, pid, reads, seconds, rate=arguments.read_goal / 2)
        found["create, half"] = measure(url, pid, creates, seconds, rate=arguments.create_goal / 2)
        found["list"] = measure(url, pid, lists, seconds, at_once=1)
    return found


def show(result: Mapping[str, Any]) -> None:
    """As a table."""
    print(result["machine"])
    print(f"{'':<14}{'requests/s':>12}{'per CPU s':>12}{'failed':>8}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for name, one in result["steps"].items():
        rates = f"{one['per_second']:>12,.0f}{one['per_cpu_second']:>12,.0f}{one['failed']:>8,.0f}"
        print(f"{name:<14}{rates}{one['p50']:>9.1f}{one['p99']:>9.1f}{one['max']:>9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--heavy", type=int, default=1000, help="alerts of the user who lists them")
    parser.add_argument("--read-goal", type=int, default=1500, help="a second; half of it is asked for latency")
    parser.add_argument("--create-goal", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.bare:
        bare()
        return
    result = run(arguments)
    print(json.dumps(result, indent=2)) if arguments.json else show(result)


if __name__ == "__main__":
    main()
