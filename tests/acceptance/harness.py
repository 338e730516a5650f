"""A site under test, driven from outside: the product through its command line, and the reference the same way."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from tests.reference import LOCAL, Reference

Line = str | dict[str, Any]
File = Sequence[Line]
Rules = Mapping[str, Mapping[str, int]]
_NUMBERS = count(1)

ALERT_FIELDS = (
    "ref", "user", "kind", "state", "trigger_minor", "reference_minor", "target_minor", "drop_bp", "drop_minor",
    "origin", "destination", "depart_from", "depart_to", "currency", "trip_type", "cabin", "adults", "children",
    "infants", "return_from", "return_to", "min_nights", "max_nights", "max_stops", "carriers_in", "carriers_out",
    "last_price_minor", "last_fired_at",
)  # fmt: skip
"""What ``fms alerts list --json`` says of each alert, beside its id."""

NOTIFICATION_FIELDS = (
    "ref", "user", "kind", "status", "revision", "origin", "destination", "departure_date", "return_date", "cabin",
    "flights", "price_minor", "old_price_minor", "currency", "trigger_minor", "observed_at", "unusual",
    "told_at", "told_price_minor",
)  # fmt: skip
"""What ``fms notifications list --json`` says of each notification, beside its id; and what was told, and when."""


class World(Protocol):
    """What the tests do to a site."""

    def run(self, files: Sequence[File], alerts: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
        """Take the files in one run; answers its counts."""
        ...

    def import_alerts(self, alerts: Sequence[dict[str, Any]], *, update: bool = False) -> None:
        """Import an alert file between runs."""
        ...

    def change(self, verb: str, ref: str) -> None:
        """``pause``, ``resume`` or ``delete`` an alert."""
        ...

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts as listed, without ids, by user and ref."""
        ...

    def notifications(self) -> list[dict[str, Any]]:
        """The notifications as listed, without ids, in a fixed order."""
        ...


class ReferenceSite:
    """The reference as a site."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.reference = Reference({name: dict(rule) for name, rule in (rules or {}).items()})

    def run(self, files: Sequence[File], alerts: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
        """See World."""
        self.reference.start_run()
        self.reference.import_alerts(alerts or [])
        for lines in files:
            self.reference.ingest_file(lines)
        return self.reference.end_run()

    def import_alerts(self, alerts: Sequence[dict[str, Any]], *, update: bool = False) -> None:
        """See World."""
        self.reference.import_alerts(alerts, update=update)
        self.reference.tell()

    def change(self, verb: str, ref: str) -> None:
        """See World."""
        getattr(self.reference, verb)(ref)
        if verb != "delete":
            self.reference.tell()

    def alerts(self) -> list[dict[str, Any]]:
        """See World."""
        return by_ref(self.reference.alerts())

    def notifications(self) -> list[dict[str, Any]]:
        """See World."""
        return in_order(self.reference.notifications())


@dataclass
class Site:
    """The product over one data directory, through ``fms``; every command in this process.

    Args:
        data: the data directory; made if it is not there.
        rules: of sources, written to the settings file.
        batch_size, shards, deliveries: what must not matter to the outcome.
    """

    data: Path
    rules: Rules = field(default_factory=dict)
    batch_size: int | None = None
    shards: int = 2
    deliveries: int = 1

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        tables = [
            f"[sources.{source}]\n" + "".join(f"{name} = {value}\n" for name, value in rule.items())
            for source, rule in self.rules.items()
        ]
        if tables:
            (self.data / "fms.toml").write_text("\n".join(tables), encoding="utf-8")

    def run(self, files: Sequence[File], alerts: Sequence[dict[str, Any]] | None = None) -> dict[str, Any]:
        """See World."""
        paths = [self._written(lines) for lines in files]
        if self.deliveries != 1:
            return run_repeatedly(self, paths, alerts)
        options = ["--alerts", str(self._written(alerts))] if alerts is not None else []
        options += ["--batch-size", str(self.batch_size)] if self.batch_size else []
        replayed = [part for path in paths for part in ("--replay", str(path))]
        text = self.fms("run", *replayed, *options, "--data", str(self.data), "--json")
        counts: dict[str, Any] = json.loads(text.splitlines()[-1])
        return counts

    def import_alerts(self, alerts: Sequence[dict[str, Any]], *, update: bool = False) -> None:
        """See World."""
        self.fms("alerts", "import", str(self._written(alerts)), "--user", LOCAL, *(["--update"] if update else []))

    def change(self, verb: str, ref: str) -> None:
        """See World."""
        self.fms("alerts", verb, ref, "--user", LOCAL, *(["--yes"] if verb == "delete" else []))

    def alerts(self) -> list[dict[str, Any]]:
        """See World."""
        listed = [json.loads(line) for line in self.fms("alerts", "list", "--json").splitlines()]
        assert [one["id"] for one in listed] == sorted(one["id"] for one in listed)
        return by_ref(listed)

    def notifications(self) -> list[dict[str, Any]]:
        """See World."""
        listed = [json.loads(line) for line in self.fms("notifications", "list", "--json").splitlines()]
        order = [(one["observed_at"], one["ref"]) for one in listed]
        assert order == sorted(order)
        return in_order(listed)

    def fms(self, *arguments: str) -> str:
        """Run one command that must succeed; answers what it prints."""
        from fms_cli.app import main

        out, err = StringIO(), StringIO()
        places = environment(FMS_DATA=str(self.data), FMS_SHARDS=str(self.shards))
        with places, redirect_stdout(out), redirect_stderr(err):
            code = main(list(arguments))
        assert code == 0, f"fms {' '.join(arguments)}: {code}\n{err.getvalue()}"
        return out.getvalue()

    def _written(self, lines: File) -> Path:
        path = self.data.parent / f"{self.data.name}-{next(_NUMBERS)}.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
        return path


def run_repeatedly(site: Site, paths: Sequence[Path], alerts: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """A run as library use, in which every stage is given every batch ``site.deliveries`` times."""
    from fms.bootstrap import open_site
    from fms.runs import replay
    from fms.sources.open import open_source
    from fms_cli.report import silent

    with open_site(site.data, shards=site.shards, batch_size=site.batch_size) as opened, opened.exclusive():
        if alerts is not None:
            opened.alerts.import_file(site._written(alerts), LOCAL)
        sources = [open_source(str(path), None) for path in paths]
        return replay(opened, sources, deliveries=site.deliveries, channel=silent()).document()


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Notifications, cut to the contract, in an order that does not depend on ids."""
    cut = [{name: row[name] for name in NOTIFICATION_FIELDS} for row in rows]
    return sorted(cut, key=lambda row: json.dumps([row["observed_at"], row["ref"], row], sort_keys=True))


def by_ref(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Alerts, cut to the contract, in an order that does not depend on ids."""
    cut = [{name: row[name] for name in ALERT_FIELDS} for row in rows]
    return sorted(cut, key=lambda row: (row["user"], row["ref"]))
