"""The column-wise parsers agree with the rules for one value."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fms.errors import Invalid
from fms.model.clock import parse_instant
from fms.model.document import REASONS
from fms.model.money import parse_amount
from fms.stages import instants
from fms.stages.amounts import parse_amounts
from fms.stages.coded import Coded, compact, text_array

AMOUNTS = st.one_of(
    st.decimals(0, 10**13, places=2).map(str),
    st.from_regex(r"\A[0-9]{1,22}(\.[0-9]{0,22})?\Z"),
    st.text(alphabet="0123456789.-+e £", max_size=8),
    st.sampled_from(["", ".", "1.", ".5", "0", "00.00", "-1", "100000000000.00", "100000000000.01", "1" * 18, "1" * 19,
                     "9223372036854775808", "١٢", "1.0000000000000000000", "NaN", "1.2.3"]),
)  # fmt: skip
CURRENCIES = st.sampled_from(["USD", "JPY", "KWD", "CLF", "XXX", "usd"])


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(AMOUNTS, CURRENCIES), max_size=20))
def test_a_column_of_amounts_is_parsed_as_one_amount_is(pairs: list[tuple[str, str]]) -> None:
    texts = pa.array([text for text, _ in pairs], pa.string())
    found = parse_amounts(texts, Coded.of(pa.array([code for _, code in pairs], pa.string())))

    for row, (text, currency) in enumerate(pairs):
        try:
            minor = parse_amount(text, currency)
        except Invalid:
            assert found.why[row] in REASONS
        else:
            assert (found.minor[row], found.why[row]) == (minor, "")


def test_a_slice_of_amounts_is_parsed_as_the_whole() -> None:
    texts = pa.array(["1.00", "2.00", "3.50"]).slice(1)

    assert parse_amounts(texts, Coded.of(pa.array(["USD", "USD"]))).minor.tolist() == [200, 350]


MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001
INSTANTS = st.one_of(
    MOMENTS.map(lambda at: at.isoformat(timespec="seconds").replace("+00:00", "Z")),
    MOMENTS.map(lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    MOMENTS.map(lambda at: at.astimezone(timezone(timedelta(hours=-5, minutes=30))).isoformat()),
    st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z"),
    st.text(alphabet="0123456789-:TZtz.é ", min_size=18, max_size=24),
    st.sampled_from(["2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "2026-11-02t06:00:00z", "0000-01-01T00:00:00Z",
                     "2026-13-01T00:00:00Z", "2026-11-02T24:00:00Z", "2026-11-02T23:59:60Z", ""]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(INSTANTS | st.none(), max_size=30))
def test_a_column_of_times_is_parsed_as_one_time_is(texts: list[str | None]) -> None:
    padding = [f"2026-11-02T06:{n // 60:02d}:{n % 60:02d}Z" for n in range(instants.MANY)]
    for column in (texts, texts + padding):
        values, bad = instants.parse_instants(Coded.of(pa.array(column, pa.string())))
        for row, text in enumerate(column):
            try:
                expected = 0 if text is None else parse_instant(text)
            except Invalid:
                assert bad[row]
            else:
                assert (values[row], bad[row]) == (expected, False)


@given(st.lists(st.integers(-1, 3), max_size=20))
def test_a_compact_column_says_the_same_with_no_text_too_many(codes: list[int]) -> None:
    column = text_array(np.array(codes, np.int32), ["a", "b", "c", "d"])
    found = compact(column)

    assert found.to_pylist() == column.to_pylist()
    assert set(found.dictionary.to_pylist()) == set(found.to_pylist()) - {None}
