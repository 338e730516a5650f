"""What the benchmarks share: the generated files, a process that is measured, and the machine."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

FEED = Path(__file__).with_name("feed.py")
FMS = (sys.executable, "-m", "fms_cli")
PARSER = """
import json, sys, time
import pyarrow.json as reader
start, cpu = time.perf_counter(), time.process_time()
options = reader.ReadOptions(use_threads=False, block_size=4 << 20)
documents = reader.read_json(sys.argv[1], read_options=options).num_rows
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
print(json.dumps({"documents": documents, "seconds": seconds, "cpu_seconds": cpu}))
"""


@dataclass(frozen=True)
class Step:
    """What one process did.

    Attributes:
        items: documents, alerts or whatever it worked on.
        wall: seconds from start to end of the process.
        work: seconds of the work itself by the process's own account, without its start.
        cpu: CPU seconds, user and system, of the process and its children.
        peak: largest resident memory in bytes.
        report: the last line of its output, where that is an object.
    """

    items: int
    wall: float
    work: float
    cpu: float
    peak: int
    report: Mapping[str, Any]


def measure(command: Sequence[str], items: int, environment: Mapping[str, str], log: Path | None = None) -> Step:
    """Run a command to its end; exits with its output if it fails. ``log``: takes its stderr."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output, (log or Path(os.devnull)).open("ab") as errors:
        stderr = errors if log else None
        process = subprocess.Popen(command, stdout=output, stderr=stderr, env=os.environ | environment)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if process.returncode:
        said = [*lines[-20:], *(_read(log)[-20:] if log else ())]
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n" + "\n".join(said))
    report = _object(lines[-1] if lines else "")
    work = float(report.get("seconds", wall))
    return Step(items, wall, work, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, report)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def parse_alone(path: Path, documents: int) -> Step:
    """Arrow's JSON parser on the file, and nothing else."""
    return measure([sys.executable, "-c", PARSER, str(path)], documents, {})


@dataclass(frozen=True)
class Workload:
    """The generated files."""

    docs: int
    alerts: int
    cycles: tuple[Path, Path]
    alert_file: Path

    @classmethod
    def generate(cls, folder: Path, chosen: argparse.Namespace) -> "Workload":
        """Write both cycles and the alerts; not timed."""
        work = cls(
            chosen.docs,
            chosen.docs // 10 if chosen.alert_count is None else chosen.alert_count,
            (folder / "cycle1.jsonl", folder / "cycle2.jsonl"),
            folder / "alerts.jsonl",
        )
        common = [sys.executable, str(FEED), "--docs", str(work.docs), "--seed", str(chosen.seed)]
        common += ["--shuffled"] if chosen.shuffled else []
        for number, path in enumerate(work.cycles, 1):
            subprocess.run([*common, "--cycle", str(number), "--out", str(path)], check=True)
        if work.alerts:
            alerts = ["--alerts", str(work.alert_file), "--alert-count", str(work.alerts)]
            subprocess.run([*common, *alerts], check=True, stdout=subprocess.DEVNULL)
        return work


def options(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--docs", type=int, default=1_000_000, help="documents in a cycle")
    parser.add_argument("--alert-count", type=int, help="alerts (a tenth of the documents)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, of which medians are reported")
    parser.add_argument("--shuffled", action="store_true", help="documents in random order")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return parser


def machine(*packages: str) -> dict[str, Any]:
    """What the figures were measured on."""
    models = [line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    } | {name: version(name) for name in ("pyarrow", "numpy", *packages)}


def _read(path: str | Path) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
