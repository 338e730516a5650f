"""Workers that stay: started, watched through their metrics and logs, and stopped."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

from measuring import FMS

WORKERS = ("price", "alert", "notify")
"""In the order in which messages come to them."""

LOOK_SECONDS = 0.2
END_SECONDS = 60
ANSWER_SECONDS = 600
"""A worker answers between two messages, or when it has told what was due."""


class Crew:
    """A worker of each kind, ready within a ``with`` block.

    Args:
        environment: where their site is.
        folder: for their logs.
        processes: of price and of alert, each.
    """

    def __init__(self, environment: Mapping[str, str], folder: Path, processes: int) -> None:
        self._environment = os.environ | environment
        self._folder = folder
        self._count = {"price": processes, "alert": processes, "notify": 1}
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._seen = dict.fromkeys(WORKERS, (0, 0))

    def __enter__(self) -> Self:
        self._workers = {name: self._started(name) for name in WORKERS}
        for name in WORKERS:
            while self._answers(name, "readyz") is None:
                self._look_again(name)
        return self

    def __exit__(self, *_error: object) -> None:
        for worker in self._workers.values():
            worker.terminate()
        for worker in self._workers.values():
            worker.wait(END_SECONDS)

    @property
    def pids(self) -> dict[str, int]:
        """Their processes by name."""
        return {name: worker.pid for name, worker in self._workers.items()}

    def wait(self, fares: int) -> dict[str, int]:
        """Until all is done that so many more messages of fares lead to; answers the messages that each published."""
        expected, published = fares, {}
        for name in WORKERS:
            done, sent = self._seen[name]
            while self._counted(name)[0] < done + expected:
                self._look_again(name)
            self._seen[name] = self._counted(name)
            expected = published[name] = self._seen[name][1] - sent
        return published

    def last_done(self) -> float:
        """When the last message of any of them was acknowledged, in seconds since 1970."""
        done = [line["timestamp"] for name in WORKERS for line in self._said(name, "batch done")]
        return datetime.fromisoformat(max(done)).timestamp()

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        more = ["--clock", "newest"] if name == "notify" else []
        more += ["--json", "--log", "json", "--metrics-port", "0"]
        more += ["--processes", str(self._count[name])]
        with self._log(name).open("ab") as log:
            return subprocess.Popen(
                [*FMS, "worker", name, *more], env=self._environment, stdout=subprocess.DEVNULL, stderr=log
            )

    def _log(self, name: str) -> Path:
        return self._folder / f"log-{name}"

    def _said(self, name: str, event: str) -> Iterator[dict[str, Any]]:
        # The last line may still be on its way.
        lines = self._log(name).read_text().split("\n")[:-1]
        return (line for line in map(json.loads, lines) if line["event"] == event)

    def _look_again(self, name: str) -> None:
        if self._workers[name].poll() is not None:
            sys.exit(f"the {name} worker ended: {self._log(name).read_text()[-2000:]}")
        time.sleep(LOOK_SECONDS)

    def _answers(self, name: str, path: str) -> list[str] | None:
        """What each process of a worker answers; None: not all of them do."""
        ports = [line["port"] for line in self._said(name, "answering")]
        if len(ports) < self._count[name]:
            return None
        try:
            return [
                urlopen(f"http://127.0.0.1:{port}/{path}", timeout=ANSWER_SECONDS).read().decode() for port in ports
            ]
        except HTTPError:
            return None

    def _counted(self, name: str) -> tuple[int, int]:
        """Messages that are done, and messages published, so far."""
        text = "\n".join(self._answers(name, "metrics") or [])
        done, published = r'fms_messages_total\{outcome="done".*\} (\S+)', r"fms_published_total\{.*\} (\S+)"
        return _sum(done, text), _sum(published, text)


def _sum(pattern: str, text: str) -> int:
    return int(sum(map(float, re.findall(pattern, text))))
