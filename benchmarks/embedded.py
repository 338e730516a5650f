"""Measure the embedded form: generated documents through ``fms run`` on SQLite, and beside it the JSON parser alone.

Each round starts with an empty data directory: the parser alone, the import of the alerts, cycle 1 (every fare first
seen), cycle 2 (a fifth changed). Each step is a process of its own, so that CPU seconds and peak memory are its own.
The rounds are repeated and medians reported; ratios are of one round.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from measuring import FMS, Step, Workload, machine, measure, options, parse_alone

STEPS = ("parser alone", "import alerts", "cycle 1", "cycle 2")


def one_round(work: Workload, data: Path) -> dict[str, Step]:
    """All steps once, in an empty data directory."""
    here = {"FMS_DATA": str(data)}
    steps = {"parser alone": parse_alone(work.cycles[0], work.docs)}
    if work.alerts:
        imported = [*FMS, "alerts", "import", str(work.alert_file), "--user", "local@localhost"]
        steps["import alerts"] = measure(imported, work.alerts, here)
    for name, path in zip(("cycle 1", "cycle 2"), work.cycles, strict=True):
        steps[name] = measure([*FMS, "run", "--replay", str(path), "--json"], work.docs, here)
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


def main() -> None:
    chosen = options("Measure fms run on generated documents, on SQLite.").parse_args()
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
