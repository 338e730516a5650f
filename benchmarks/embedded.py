"""Measure the embedded form: generated documents through ``fms run`` on SQLite, and beside it the JSON parser alone.

Each round starts with an empty data directory: the parser alone, the import of the alerts, cycle 1 (every fare first
seen), cycle 2 (a fifth changed). Each step is a process of its own, so that CPU seconds and peak memory are its own.
The rounds are repeated and medians reported; ratios are of one round.
"""

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
from statistics import median
from typing import Any

FEED = Path(__file__).with_name("feed.py")
PARSER = """
import json, sys, time
import pyarrow.json as reader
start = time.perf_counter()
options = reader.ReadOptions(use_threads=False, block_size=4 << 20)
documents = reader.read_json(sys.argv[1], read_options=options).num_rows
print(json.dumps({"documents": documents, "seconds": time.perf_counter() - start}))
"""
STEPS = ("parser alone", "import alerts", "cycle 1", "cycle 2")


@dataclass(frozen=True)
class Step:
    """What one process did.

    Attributes:
        items: documents or alerts.
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


def measure(command: Sequence[str], data: Path, items: int) -> Step:
    """Run a command to its end; exits with its output if it fails."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, env=os.environ | {"FMS_DATA": str(data)})
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n" + "\n".join(lines[-20:]))
    report = _object(lines[-1] if lines else "")
    work = float(report.get("seconds", wall))
    return Step(items, wall, work, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, report)


def _object(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


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


def one_round(work: Workload, data: Path) -> dict[str, Step]:
    """All steps once, in an empty data directory."""
    fms = [sys.executable, "-m", "fms_cli"]
    steps = {"parser alone": measure([sys.executable, "-c", PARSER, str(work.cycles[0])], data, work.docs)}
    if work.alerts:
        imported = [*fms, "alerts", "import", str(work.alert_file), "--user", "local@localhost"]
        steps["import alerts"] = measure(imported, data, work.alerts)
    for name, path in zip(("cycle 1", "cycle 2"), work.cycles, strict=True):
        steps[name] = measure([*fms, "run", "--replay", str(path), "--json"], data, work.docs)
    return steps


def summary(rounds: Sequence[Mapping[str, Step]], sizes: Mapping[str, int], work: Workload) -> dict[str, Any]:
    """Medians over the rounds, as one object."""
    return {
        "machine": machine(),
        "documents": work.docs,
        "alerts": work.alerts,
        "rounds": len(rounds),
        "steps": {name: _medians(rounds, name) for name in STEPS if name in rounds[0]},
        "files": dict(sizes),
    }


def _medians(rounds: Sequence[Mapping[str, Step]], name: str) -> dict[str, Any]:
    steps = [found[name] for found in rounds]
    return {
        "items_per_second": round(median(step.items / step.work for step in steps)),
        "items_per_cpu_second": round(median(step.items / step.cpu for step in steps)),
        "seconds": round(median(step.work for step in steps), 3),
        "wall_seconds": round(median(step.wall for step in steps), 3),
        "cpu_seconds": round(median(step.cpu for step in steps), 3),
        "peak_bytes": int(median(step.peak for step in steps)),
        "to_parser": None if name == "import alerts" else round(_to_parser(rounds, name), 3),
        "report": steps[-1].report,
    }


def _to_parser(rounds: Sequence[Mapping[str, Step]], name: str) -> float:
    """Documents a second as a share of the parser's in the same round."""
    return median(
        (found[name].items / found[name].work) / (found["parser alone"].items / found["parser alone"].work)
        for found in rounds
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    models = [line.partition(":")[2].strip() for line in _read("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "pyarrow": version("pyarrow"),
        "numpy": version("numpy"),
    }


def _read(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def table(found: Mapping[str, Any]) -> str:
    """The summary for people."""
    heads = ("items/s", "items/CPU s", "seconds", "wall s", "CPU s", "peak MB", "to parser")
    lines = [
        ", ".join(f"{name} {value}" for name, value in found["machine"].items()),
        f"{found['documents']:,} documents, {found['alerts']:,} alerts, median of {found['rounds']}",
        "",
        f"{'step':<14}" + "".join(f"{head:>12}" for head in heads),
        *(f"{name:<14}" + "".join(f"{cell:>12}" for cell in _cells(step)) for name, step in found["steps"].items()),
        "",
        *(f"{size / 1e6:>10.1f} MB  {name}" for name, size in found["files"].items()),
    ]
    return "\n".join(lines)


def _cells(step: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"{step['items_per_second']:,}",
        f"{step['items_per_cpu_second']:,}",
        *(f"{step[name]:.2f}" for name in ("seconds", "wall_seconds", "cpu_seconds")),
        f"{step['peak_bytes'] / 1e6:.0f}",
        "" if step["to_parser"] is None else f"{step['to_parser']:.2f}",
    )


def file_sizes(data: Path) -> dict[str, int]:
    """Bytes of every file of the data directory, by its path within it."""
    return {str(path.relative_to(data)): path.stat().st_size for path in sorted(data.rglob("*")) if path.is_file()}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure fms run on generated documents, on SQLite.")
    parser.add_argument("--docs", type=int, default=1_000_000, help="documents in a cycle")
    parser.add_argument("--alert-count", type=int, help="alerts (a tenth of the documents)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds, of which medians are reported")
    parser.add_argument("--shuffled", action="store_true", help="documents in random order")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return parser.parse_args()


def main() -> None:
    chosen = options()
    rounds: list[dict[str, Step]] = []
    with tempfile.TemporaryDirectory(prefix="fms-bench-") as folder:
        work = Workload.generate(Path(folder), chosen)
        for _ in range(chosen.repeat):
            with tempfile.TemporaryDirectory(dir=folder) as data:
                rounds.append(one_round(work, Path(data)))
                sizes = file_sizes(Path(data))
    found = summary(rounds, sizes, work)
    print(json.dumps(found) if chosen.json else table(found))


if __name__ == "__main__":
    main()
