"""Where batches are cut, and that it never depends on how a file is read."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fms.model.clock import format_instant
from fms.model.fare import FareBatch
from fms.model.route import partition_of_od
from fms.sources.jsonl import JsonLines
from fms.sources.lines import Input
from fms.stages import gather
from fms.stages.ingest import Ingest
from tests.unit.ingest_tools import NOW, ingest_lines, line

ODS = (("JFK", "LHR"), ("LHR", "JFK"), ("AAA", "BBB"), ("CCC", "DDD"))
FEEDS = st.lists(st.tuples(st.sampled_from(ODS), st.integers(0, 2)), max_size=60)


def feed_of(rows: list[tuple[tuple[str, str], int]]) -> bytes:
    """A file of documents with these routes and times; prices are the places in the file."""
    return b"".join(
        line(origin=a, destination=b, observed_at=format_instant(NOW - 1000 + at), total_amount_minor=place).encode()
        + b"\n"
        for place, ((a, b), at) in enumerate(rows, 1)
    )


def batches_of(data: bytes, block_bytes: int, batch_rows: int) -> list[FareBatch]:
    """The batches of a file read in blocks of a size."""

    ingest = Ingest(clock=lambda: NOW, batch_rows=batch_rows)
    return list(ingest.batches(JsonLines(Input("x", lambda: io.BytesIO(data)), block_bytes)))


def prices(batches: list[FareBatch]) -> list[tuple[int, list[int]]]:
    """Partition and prices of each batch."""
    return [(batch.partition, batch.column("price").to_pylist()) for batch in batches]


def expected(rows: list[tuple[tuple[str, str], int]], batch_rows: int, tick_rows: int) -> list[tuple[int, list[int]]]:
    """The same, row by row."""
    waiting: dict[int, list[int]] = {}
    state: dict[int, tuple[int, int]] = {}
    found = []
    for place, ((a, b), at) in enumerate(rows, 1):
        partition = partition_of_od(f"{a}-{b}")
        last, run = state.get(partition, (-1, 0))
        run = run + 1 if last == at else 1
        state[partition] = (at, run)
        starts_tick = (run - 1) % tick_rows == 0
        if starts_tick and len(waiting.get(partition, [])) >= batch_rows:
            found.append((partition, waiting.pop(partition)))
        waiting.setdefault(partition, []).append(place)
    return found + sorted(waiting.items())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FEEDS, st.integers(1, 20), st.integers(1, 4000), st.integers(1, 6))
def test_batches_are_cut_by_the_rule_however_the_file_is_read(
    monkeypatch: pytest.MonkeyPatch, rows: Any, batch_rows: int, block_bytes: int, tick_rows: int
) -> None:
    monkeypatch.setattr(gather, "TICK_ROWS", tick_rows)

    assert prices(batches_of(feed_of(rows), block_bytes, batch_rows)) == expected(rows, batch_rows, tick_rows)


def test_a_batch_is_never_cut_inside_a_tick(tmp_path: Path) -> None:
    outcome = ingest_lines(tmp_path, [line()] * 25 + [line(observed_at="2026-11-02T07:00:00Z")] * 3, batch_rows=10)

    assert [len(batch) for batch in outcome.batches] == [25, 3]


def test_a_long_tick_is_cut_where_it_is_full(tmp_path: Path) -> None:
    outcome = ingest_lines(tmp_path, [line()] * 20_001, batch_rows=1)

    assert [len(batch) for batch in outcome.batches] == [10_000, 10_000, 1]


def test_rejected_documents_do_not_end_a_tick(tmp_path: Path) -> None:
    between = line(observed_at="2026-11-02T07:00:00Z", cabin="x")
    outcome = ingest_lines(tmp_path, [line(), between, line(), line(observed_at="2026-11-02T08:00:00Z")], batch_rows=1)

    assert [len(batch) for batch in outcome.batches] == [2, 1]


def test_each_batch_is_of_one_partition_and_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [line(origin=a, destination=b, total_amount_minor=n + 1) for n in range(50) for a, b in ODS]
    outcome = ingest_lines(tmp_path, lines)

    for batch in outcome.batches:
        assert {partition_of_od(fare.od) for fare in batch.rows()} == {batch.partition}
        found = [fare.price for fare in batch.rows()]
        assert found == sorted(found)
    assert [batch.partition for batch in outcome.batches] == sorted(batch.partition for batch in outcome.batches)


def test_each_file_ends_its_batches_and_the_counts_go_on(tmp_path: Path) -> None:
    ingest = Ingest(clock=lambda: NOW)
    for number in range(2):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(line() + "\n" + line(origin="x"))
        source = JsonLines(Input(str(path), lambda path=path: path.open("rb")))  # type: ignore[misc]
        assert [len(batch) for batch in ingest.batches(source)] == [1]

    counts = ingest.counts
    assert (counts.documents, counts.accepted, counts.rejected) == (4, 2, 2)
    assert counts.rejected_by_reason == {"bad_origin": 2}
    assert counts.newest == NOW - 6 * 3_600_000


def test_a_partition_that_gets_a_row_now_and_then_is_kept_whole(tmp_path: Path) -> None:
    rows = [(ODS[0] if n % 7 else ODS[2], 0) for n in range(700)]
    data = feed_of(rows)
    found = prices(batches_of(data, 2000, 10_000))

    assert found == expected(rows, 10_000, 10_000)
