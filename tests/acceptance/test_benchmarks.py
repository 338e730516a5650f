"""The benchmarks of the workers and of the API go through; their figures are nobody's business here."""

import json
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).resolve().parents[2]
ALONE = ("ingest", "price", "alert", "notify", "publish alone", "consume alone", "pages alone", "questions alone")
SERVERS = {"rabbitmq", "redis", "postgresql"}


@pytest.mark.soak
@pytest.mark.usefixtures("postgres", "redis_url", "broker_url")
def test_the_benchmark_of_the_stages_measures_every_step_and_every_process() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "stages.py"), "--docs", "6000", "--repeat", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert {f"{cycle} {step}" for cycle in (1, 2) for step in (*ALONE, "overlapped")} <= steps.keys()
    assert all(step["cpu_seconds"].keys() >= SERVERS for step in steps.values())
    assert steps["2 alert"]["report"]["fired"] == steps["2 notify"]["items"] > 0
    assert steps["2 overlapped"]["report"]["messages"]["ingest"] == steps["2 ingest"]["report"]["published"]


@pytest.mark.soak
@pytest.mark.usefixtures("postgres", "redis_url")
@pytest.mark.skipif(which("wrk") is None, reason="wrk is not installed")
def test_the_benchmark_of_the_api_measures_every_step_and_no_request_fails() -> None:
    options = ["--seconds", "1", "--repeat", "1", "--users", "5", "--heavy", "20", "--shards", "2", "--json"]
    command = [sys.executable, str(ROOT / "benchmarks" / "api.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert steps.keys() == {"bare view", "read", "create", "read, half", "create, half", "list"}
    assert all(step["per_second"] > 0 and step["failed"] == 0 for step in steps.values()), steps
