"""What the rounds of ``stages.py`` come to: medians, as one object or as a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from measuring import Workload, machine
from servers import Used

LIMIT_OF = {"ingest": "parser alone", "price": "pages alone", "alert": "questions alone"}
"""Stage → the part alone that it is compared with."""

SERVERS = ("rabbitmq", "redis", "postgresql")
HEADS = ("items", "items/s", "seconds", "to limit", "CPU s", *SERVERS, "items/CPU s", "MB", *SERVERS, "MB sent")
WIDTH = 12


@dataclass(frozen=True)
class Row:
    """One step of a round.

    Attributes:
        items: documents, changes, alerts or messages, whatever it works on.
        seconds: of the work.
        used: by process: the servers, and whatever works.
        sent: bytes of the messages that it published.
        report: what it says of itself.
    """

    items: int
    seconds: float
    used: Mapping[str, Used]
    sent: int
    report: Mapping[str, Any]

    @property
    def per_second(self) -> float:
        """Items in a second; 0 if there were none."""
        return self.items / self.seconds if self.seconds else 0

    @property
    def cpu(self) -> float:
        """CPU seconds of all processes."""
        return sum(one.cpu for one in self.used.values())


Rows = Mapping[str, Row]
"""The steps of a round, like ``1 ingest``: the cycle, and what is done."""


def summary(
    rounds: Sequence[Rows], memory: Sequence[Mapping[str, float]], work: Workload, chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """Medians over the rounds; ``memory``: what the price book takes, by round."""
    return {
        "machine": machine("pika", "redis", "psycopg2-binary"),
        "options": dict(chosen),
        "documents": work.docs,
        "alerts": work.alerts,
        "rounds": len(rounds),
        "steps": {name: _medians(rounds, name) for name in rounds[0]},
        "price_book": {name: round(median(one[name] for one in memory), 2) for name in memory[0]},
    }


def _medians(rounds: Sequence[Rows], name: str) -> dict[str, Any]:
    rows = [found[name] for found in rounds]
    return {
        "items": rows[0].items,
        "items_per_second": round(median(row.per_second for row in rows)),
        "seconds": round(median(row.seconds for row in rows), 3),
        "to_limit": _to_limit(rounds, name),
        "items_per_cpu_second": round(median(row.items / row.cpu for row in rows)),
        "cpu_seconds": {who: round(median(row.used[who].cpu for row in rows), 3) for who in rows[0].used},
        "peak_bytes": {who: int(median(row.used[who].peak for row in rows)) for who in rows[0].used},
        "sent_bytes": rows[0].sent,
        "report": rows[-1].report,
    }


def _to_limit(rounds: Sequence[Rows], name: str) -> float | None:
    """Items a second as a share of those of the part alone in the same round."""
    cycle, _, stage = name.partition(" ")
    limit = f"{cycle} {LIMIT_OF.get(stage)}"
    if limit not in rounds[0]:
        return None
    return round(median(found[name].per_second / found[limit].per_second for found in rounds), 3)


def table(found: Mapping[str, Any]) -> str:
    """The summary for people."""
    return "\n".join(
        [
            ", ".join(f"{name} {value}" for name, value in found["machine"].items()),
            f"{found['documents']:,} documents, {found['alerts']:,} alerts, median of {found['rounds']}",
            "",
            _line("cycle, step", HEADS),
            *(_line(name, _cells(step)) for name, step in found["steps"].items()),
            "",
            "per fare in Redis: " + ", ".join(f"{value:g} {name}" for name, value in found["price_book"].items()),
        ]
    )


def _line(name: str, cells: Iterable[str]) -> str:
    return f"{name:<20}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)


def _cells(step: Mapping[str, Any]) -> Iterator[str]:
    yield f"{step['items']:,}"
    yield f"{step['items_per_second']:,}"
    yield f"{step['seconds']:.2f}"
    yield "" if step["to_limit"] is None else f"{step['to_limit']:.2f}"
    yield from _of_each(step["cpu_seconds"], sum, "{:.2f}", 1)
    yield f"{step['items_per_cpu_second']:,}"
    yield from _of_each(step["peak_bytes"], max, "{:.0f}", 1e6)
    yield f"{step['sent_bytes'] / 1e6:.1f}" if step["sent_bytes"] else ""


def _of_each(figures: Mapping[str, float], together: Any, form: str, unit: float) -> Iterator[str]:
    """Of whatever works, and of each server."""
    yield form.format(together(figure for who, figure in figures.items() if who not in SERVERS) / unit)
    yield from (form.format(figures[server] / unit) for server in SERVERS)
