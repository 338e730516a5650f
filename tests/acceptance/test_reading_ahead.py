"""A large file is read by a second process, which changes the time and nothing else."""

import json
import os
import signal
from collections.abc import Iterator
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

from fms.ahead import batches_ahead
from fms.errors import Fatal, Invalid
from fms.model.document import Reject
from fms.model.fare import FareBatch
from fms.sources.open import open_source
from fms.stages.ingest import Ingest


def document(n: int, **changes: Any) -> str:
    fields = {
        "origin": "JFK", "destination": ("LHR", "CDG", "AMS")[n % 3], "departure_date": f"2026-12-{n % 28 + 1:02d}",
        "currency": "USD", "total_amount_minor": 10_000 + n, "observed_at": "2026-11-02T00:00:00Z",
        "outbound_flights": [f"BA{n % 900 + 1}"],
    }  # fmt: skip
    return json.dumps(fields | changes)


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    path = tmp_path / "feed.jsonl"
    lines = [document(n) if n % 100 else document(n, currency="XXX") for n in range(30_000)]
    path.write_text("\n".join(lines))
    return path


def told(path: Path, *, ahead: bool) -> tuple[list[Any], Any, list[Reject], list[int]]:
    rejects: list[Reject] = []
    progress: list[int] = []
    ingest = Ingest(
        observed_at=0,
        batch_rows=1_000,
        on_reject=rejects.append,
        on_progress=lambda _name, done, _total, _documents: progress.append(done),
    )
    source = open_source(str(path), None)
    batches: Iterator[FareBatch] = batches_ahead(ingest, source) if ahead else ingest.batches(source)
    rows = [(batch.partition, list(batch.rows())) for batch in batches]
    return rows, ingest.counts, rejects, progress


def test_reading_ahead_answers_the_same_batches_counts_rejects_and_progress(feed: Path) -> None:
    here, ahead = told(feed, ahead=False), told(feed, ahead=True)
    assert ahead == here
    assert here[1].rejected == len(here[2]) == 300
    assert active_children() == []


def test_a_file_that_breaks_off_raises_what_it_raises_without_a_second_process(tmp_path: Path, feed: Path) -> None:
    import gzip

    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(gzip.compress(feed.read_bytes())[:-1_000])
    for ahead in (False, True):
        with pytest.raises(Invalid, match=r"broken\.jsonl\.gz"):
            told(broken, ahead=ahead)


def test_a_reader_that_is_killed_is_noticed(feed: Path) -> None:
    ingest = Ingest(observed_at=0, batch_rows=100)
    batches = batches_ahead(ingest, open_source(str(feed), None))
    next(batches)
    [child] = active_children()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(Fatal, match="reads ahead died"):
        list(batches)


def test_a_reader_ends_when_nobody_wants_more(feed: Path) -> None:
    batches = batches_ahead(Ingest(observed_at=0, batch_rows=100), open_source(str(feed), None))
    next(batches)
    assert len(active_children()) == 1
    batches.close()  # type: ignore[attr-defined]  # a generator, as its docstring says
    assert active_children() == []


def test_a_run_of_a_large_file_is_the_run_of_a_small_one(
    feed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.acceptance.harness import Site

    alerts = [
        {"ref": "mine", "kind": "target", "target_minor": 15_000, "origin": "JFK", "destination": "LHR",
         "depart_from": "2026-12-01", "depart_to": "2026-12-31", "currency": "USD"},
    ]  # fmt: skip
    lines = feed.read_text().splitlines()
    outcomes = []
    for megabytes in ("0", "1"):
        monkeypatch.setenv("FMS_READ_AHEAD_MB", megabytes)
        site = Site(tmp_path / f"site-{megabytes}")
        counts = site.run([lines], alerts)
        outcomes.append((counts | {"seconds": 0}, site.alerts(), site.notifications()))
    assert feed.stat().st_size > 1_000_000
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0]["notifications"] == 1
