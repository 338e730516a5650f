"""Files as they come, through ``fms run``: good lines go through; each bad one is in the rejects file as it came."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import fms, refused
from tests.acceptance.story import day, fare

SEEN = fare(250, at="d0 06:00")
CUT_AFTER = 64 * 1024


def line(**fields: Any) -> str:
    """A good fare as a line, with changes; None leaves a field out."""
    return json.dumps({name: value for name, value in (SEEN | fields).items() if value is not None})


def with_text(text: str) -> str:
    """A good fare with more text before its closing brace."""
    return line()[:-1] + text + "}"


def priced(amount: Any, currency: str = "USD") -> str:
    """A good fare with another way to say its price."""
    return line(total_amount_minor=None, total_amount=amount, currency=currency)


BAD: list[tuple[str, str | bytes, str]] = [
    ("truncated", line()[:60], "not_json"),
    ("no JSON", "price: 250", "not_json"),
    ("nested junk", "[" * 100_000, "not_json"),
    ("an array", "[" + line() + "]", "not_an_object"),
    ("two on a line", line() + line(), "not_json"),
    ("invalid UTF-8", line().encode().replace(b"LHR", b"L\xffR"), "not_utf8"),
    ("10 MB", with_text(', "note": "' + "x" * 10_000_000 + '"'), "line_too_long"),
    ("NaN", with_text(', "total_amount_minor": NaN'), "bad_number"),
    ("1e999", with_text(', "total_amount_minor": 1e999'), "bad_number"),
    ("a number with decimals", with_text(', "total_amount_minor": 250.5'), "wrong_type"),
    ("a price as a number", priced(250.5), "wrong_type"),
    ("a price with a symbol", priced("$250.00"), "bad_price"),
    ("a price with blanks", priced(" 250.00"), "bad_price"),
    ("a price with commas", priced("1,250.00"), "bad_price"),
    ("an empty price", priced(""), "bad_price"),
    ("no price", priced(None), "missing_price"),
    ("a negative price", priced("-250.00"), "price_not_positive"),
    ("a price of zero", priced("0.00"), "price_not_positive"),
    ("minor units of zero", line(total_amount_minor=0), "price_not_positive"),
    ("too many decimals", priced("250.001"), "too_many_decimals"),
    ("decimals of yen", priced("250.5", "JPY"), "too_many_decimals"),
    ("an unknown currency", line(currency="XYZ"), "bad_currency"),
    ("a currency in lower case", line(currency="usd"), "bad_currency"),
    ("an airport in lower case", line(origin="jfk"), "bad_origin"),
    ("an airport of four letters", line(destination="EGLL"), "bad_destination"),
    ("from here to here", line(destination="JFK"), "same_airports"),
    ("no airport", line(origin=None), "missing_origin"),
    ("31 February", line(departure_date=f"{day(120).year}-02-31"), "bad_departure_date"),
    ("years away", line(departure_date=str(day(1_200))), "departure_out_of_range"),
    ("departed before it was seen", line(departure_date=str(day(-2))), "departure_out_of_range"),
    ("back before it left", line(return_date=str(day(119))), "return_before_departure"),
    ("seen in the future", line(observed_at=f"{day(110)}T00:00:00Z"), "observed_in_future"),
    ("seen without a zone", line(observed_at=f"{day(0)}T00:00:00"), "bad_observed_at"),
    ("a key twice, the last one bad", with_text(', "origin": "x"'), "bad_origin"),
]
GOOD = {
    "BOM": "\ufeff" + line(),
    "CRLF": line() + "\r",
    "a blank before it": "\n  \n\r\n" + line(),
    "a key twice, the last one good": '{"origin": "x", ' + line()[1:],
    "decimals as text": priced("250.00"),
    "whole yen": priced("250", "JPY"),
    "unknown fields": with_text(', "note": {"deep": [[[1.5]]]}'),
}


def run(folder: Path, data: bytes, *options: str | Path) -> tuple[Any, list[dict[str, Any]]]:
    """A run over a file as it is: how it ended, and its rejects."""
    file, rejects = folder / "fares.jsonl", folder / "rejects.jsonl"
    file.write_bytes(data)
    done = fms("run", "--replay", file, "--rejects", rejects, "--data", folder / "data", "--json", *options)
    return done, [json.loads(one) for one in rejects.read_text(encoding="utf-8").splitlines()]


def joined(lines: Sequence[str | bytes]) -> bytes:
    """Lines as the bytes of a file, the last one without its end."""
    return b"\n".join(one.encode() if isinstance(one, str) else one for one in lines)


def test_every_bad_line_is_set_aside_and_every_good_one_goes_through(tmp_path: Path) -> None:
    lines = [part for _, bad, _ in BAD for part in (line(), bad)]
    done, rejects = run(tmp_path, joined([*lines, line()]))
    assert done.code == 0
    assert (done.report["accepted"], done.report["rejected"]) == (len(BAD) + 1, len(BAD))
    assert [(one["line"], one["reason"]) for one in rejects] == [
        (2 * number, reason) for number, (_, _, reason) in enumerate(BAD, 1)
    ]
    assert {one["file"] for one in rejects} == {str(tmp_path / "fares.jsonl")}
    for one, (name, bad, _) in zip(rejects, BAD, strict=True):
        text = bad if isinstance(bad, str) else bad.decode(errors="replace")
        assert one["raw"] == text[:CUT_AFTER], name


@pytest.mark.parametrize(("name", "bad", "reason"), BAD[::7], ids=[name for name, _, _ in BAD[::7]])
def test_a_file_of_one_bad_line_is_read_with_a_warning_and_is_an_error_if_strict(
    tmp_path: Path, name: str, bad: str | bytes, reason: str
) -> None:
    done, rejects = run(tmp_path, joined([bad]), "--strict")
    assert done.code == 1, name
    assert [one["reason"] for one in rejects] == [reason]
    assert done.report["rejected_by_reason"] == {reason: 1}
    lax = fms("run", tmp_path / "fares.jsonl", "--data", tmp_path / "data")
    assert lax.code == 0
    assert "warning: 1 document" in lax.err
    assert reason in lax.out


@pytest.mark.parametrize("name", GOOD)
def test_what_looks_odd_but_is_right_goes_through(tmp_path: Path, name: str) -> None:
    done, rejects = run(tmp_path, joined([GOOD[name], line(outbound_flights=["AA7"])]), "--strict")
    assert done.code == 0, done.out
    assert rejects == []
    assert done.report["first_seen"] == 2


def test_a_last_line_that_is_cut_off_costs_only_itself(tmp_path: Path) -> None:
    done, rejects = run(tmp_path, joined([line(), line()[:40]]))
    assert (done.code, done.report["accepted"]) == (0, 1)
    assert rejects == [{"file": str(tmp_path / "fares.jsonl"), "line": 2, "reason": "not_json", "raw": line()[:40]}]


def test_half_of_all_lines_may_be_bad(tmp_path: Path) -> None:
    lines = [part for price in range(1, 2_001) for part in (line(total_amount_minor=price), "junk")]
    done, rejects = run(tmp_path, joined(lines))
    assert (done.code, done.report["accepted"], done.report["rejected"]) == (0, 2_000, 2_000)
    assert [one["line"] for one in rejects] == list(range(2, 4_001, 2))


def test_line_numbers_count_blank_lines_and_other_line_ends(tmp_path: Path) -> None:
    text = "\ufeff\r\n" + line() + "\r\n\r\n   \n" + "junk\r\n\n" + line() + "\r\njunk"
    done, rejects = run(tmp_path, text.encode())
    assert (done.report["documents"], done.report["accepted"]) == (4, 2)
    assert [(one["line"], one["raw"].rstrip()) for one in rejects] == [(5, "junk"), (8, "junk")]


MAPPING = """name = "scraped"
[columns]
origin = "from"
destination = "to"
departure_date = "departs"
observed_at = "seen"
total_amount = { column = "price", strip = "$ " }
[constants]
currency = "USD"
"""


def test_symbols_and_blanks_are_stripped_from_prices_of_a_csv_file_if_its_mapping_says_so(tmp_path: Path) -> None:
    mapping, file, rejects = (tmp_path / name for name in ("map.toml", "fares.csv", "rejects.jsonl"))
    mapping.write_text(MAPPING)
    prices = ("$250.00", " 249.00 ", "£248.00", "", "247.00,extra", "246.00")
    begin = f"JFK,LHR,{day(120)},{day(0)}T0"
    rows = "".join(f"{begin}{number}:00:00Z,{price}\r\n" for number, price in enumerate(prices))
    file.write_bytes(b"\xef\xbb\xbffrom,to,departs,seen,price\r\n" + rows.encode())
    options = ("--mapping", mapping, "--rejects", rejects, "--data", tmp_path / "data", "--json")
    report = fms("run", file, *options).checked().report
    assert (report["accepted"], report["rejected"]) == (3, 3)
    found = [json.loads(one) for one in rejects.read_text().splitlines()]
    reasons = [(one["line"], one["reason"]) for one in found]
    assert reasons == [(4, "bad_price"), (5, "missing_price"), (6, "wrong_columns")]
    assert "£248.00" in found[0]["raw"]


def test_a_packed_file_that_is_cut_off_is_an_error_that_names_it(tmp_path: Path) -> None:
    import gzip

    file = tmp_path / "fares.jsonl.gz"
    file.write_bytes(gzip.compress(joined([line(total_amount_minor=price) for price in range(1, 500)]))[:-200])
    told = refused(fms("run", file, "--data", tmp_path / "data"))
    assert told.startswith(str(file))
    assert "gzip" in told
