"""Files as they come: the good lines go through, each bad one is told with its line, reason and text."""

import json
import zlib
from pathlib import Path

import pytest

from fms.errors import Invalid
from fms.model.document import RAW_KEPT, Reject
from fms.sources.open import open_source
from fms.sources.rejects import rejects_file
from fms.stages.ingest import Ingest
from tests.unit.ingest_tools import NOW, Outcome, ingest_bytes, ingest_lines, line

ODD_LINES: list[tuple[str | bytes, str]] = [
    (b'{"origin": "J\xff"}\n', "not_utf8"),
    (b"\xff\xfe\n", "not_utf8"),
    ('{"origin": "JFK"', "not_json"),
    ('{"origin": "JFK"}}', "not_json"),
    (line() + line(), "not_json"),
    (line() + " null " + line(), "not_json"),
    ("nonsense", "not_json"),
    ("\u00a0", "not_json"),
    ("\ufeff" + line(), "not_json"),
    ("[" * 100_000, "not_json"),
    ("null", "not_an_object"),
    ("[" + line() + "]", "not_an_object"),
    ("17", "not_an_object"),
    ('{"a":' * 5000 + "1" + "}" * 5000, "missing_origin"),
    (line()[:-1] + ', "x": NaN}', "bad_number"),
    (line()[:-1] + ', "x": -Infinity}', "bad_number"),
    (line()[:-1] + ', "x": 1e999}', "bad_number"),
    (line(total_amount_minor=None)[:-1] + ', "total_amount_minor": ' + "9" * 5000 + "}", "price_out_of_range"),
    (line(origin="x")[:-1] + ', "x": ' + "9" * 5000 + ".5}", "bad_origin"),
    (line()[:-1] + ', "total_amount": NaN}', "bad_number"),
    (line()[:-1] + ', "fare_brand": "\\ud800"}', "not_utf8"),
    (line(origin=7), "wrong_type"),
]


@pytest.mark.parametrize("good_between", [0, 1, 40])
def test_each_bad_line_is_told_and_the_good_ones_go_through(tmp_path: Path, good_between: int) -> None:
    lines: list[str | bytes] = []
    expected = []
    for text, reason in ODD_LINES:
        lines += [line()] * good_between + [text]
        expected.append((len(lines), reason))
    outcome = ingest_lines(tmp_path, lines)

    assert outcome.reasons == expected
    assert len(outcome.fares) == good_between * len(ODD_LINES)
    for reject, (text, _) in zip(outcome.rejects, ODD_LINES, strict=True):
        whole = text if isinstance(text, str) else text.rstrip(b"\n").decode(errors="replace")
        assert reject.raw == whole[:RAW_KEPT]
        assert reject.source.endswith("fares.jsonl")


def test_a_file_of_null_is_one_reject(tmp_path: Path) -> None:
    assert ingest_bytes(tmp_path, b"null").reasons == [(1, "not_an_object")]


def test_marks_returns_and_blank_lines_are_no_matter(tmp_path: Path) -> None:
    text = "\ufeff\r\n" + line() + "\r\n\r\n   \n" + line(origin="x") + "\r\n\n" + line() + " \r\n" + line()
    outcome = ingest_bytes(tmp_path, text.encode())

    assert outcome.reasons == [(5, "bad_origin")]
    assert len(outcome.fares) == 3
    assert outcome.ingest.counts.documents == 4


def test_a_last_line_cut_off_is_a_reject(tmp_path: Path) -> None:
    outcome = ingest_bytes(tmp_path, (line() + "\n" + line()[:50]).encode())

    assert outcome.reasons == [(2, "not_json")]
    assert outcome.rejects[0].raw == line()[:50]


@pytest.mark.parametrize("size", [1024 * 1024 + 1, 10_000_000])
def test_a_line_that_is_too_long_costs_only_itself(tmp_path: Path, size: int) -> None:
    outcome = ingest_lines(tmp_path, [line(), line(fare_brand="x" * size), line(), "x" * size])

    assert outcome.reasons == [(2, "line_too_long"), (4, "line_too_long")]
    assert [len(reject.raw) for reject in outcome.rejects] == [RAW_KEPT, RAW_KEPT]
    assert len(outcome.fares) == 2


def test_among_equal_keys_the_last_counts(tmp_path: Path) -> None:
    twice = line()[:-1] + ', "total_amount_minor": 1}'
    escaped = line()[:-1] + ', "total_amount_minor": 2, "total_amount_\\u006dinor": 3}'
    withdrawn = line()[:-1] + ', "origin": null}'
    outcome = ingest_lines(tmp_path, [line(), twice, line(), escaped, withdrawn])

    assert [fare.price for fare in outcome.fares] == [38000, 1, 38000, 3]
    assert outcome.reasons == [(5, "missing_origin")]


def test_a_document_nested_deeper_than_a_parser_likes_is_still_a_document(tmp_path: Path) -> None:
    outcome = ingest_lines(tmp_path, [line()[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}", line(), "junk"])

    assert len(outcome.fares) == 2
    assert outcome.reasons == [(3, "not_json")]


def test_half_of_all_lines_may_be_bad(tmp_path: Path) -> None:
    outcome = ingest_lines(tmp_path, [line(), "junk"] * 3000)

    assert outcome.reasons == [(2 * n, "not_json") for n in range(1, 3001)]
    assert outcome.ingest.counts.accepted == 3000


def test_rejects_of_the_reader_and_of_the_checks_come_in_the_order_of_lines(tmp_path: Path) -> None:
    outcome = ingest_lines(tmp_path, [line(origin="x"), "junk", line(origin="y"), b"\xff\n", line(cabin="z")])

    assert [number for number, _ in outcome.reasons] == [1, 2, 3, 4, 5]
    assert outcome.ingest.counts.rejected_by_reason == {"bad_origin": 2, "not_json": 1, "not_utf8": 1, "bad_cabin": 1}


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    data = (line() + "\n").encode() * 3
    packed = ingest_bytes(tmp_path, data, name="fares.jsonl.gz")
    (tmp_path / "plain.gz").write_bytes(data)
    (tmp_path / "two").write_bytes((tmp_path / "fares.jsonl.gz").read_bytes() * 2 + b"\0" * 512)

    assert len(packed.fares) == 3
    assert len(Outcome(tmp_path / "plain.gz").fares) == 3
    assert len(Outcome(tmp_path / "two").fares) == 6


@pytest.mark.parametrize("damage", ["cut", "flip", "tail"])
def test_what_stands_before_a_damaged_place_goes_through(tmp_path: Path, damage: str) -> None:
    text = "".join(line(total_amount_minor=n) + "\n" for n in range(1, 40_000))
    packer = zlib.compressobj(wbits=31)
    data = packer.compress(text.encode()) + packer.flush()
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data = data[: len(data) // 2] + b"\xff" * 200 + data[len(data) // 2 + 200 :]
    else:
        data += b"something else"
    path = tmp_path / "fares.jsonl.gz"
    path.write_bytes(data)
    ingest = Ingest(clock=lambda: NOW)
    seen: list[int] = []
    with pytest.raises(Invalid, match=r"fares\.jsonl\.gz: .*gzip"):
        seen.extend(map(len, ingest.batches(open_source(str(path)))))

    assert sum(seen) == ingest.counts.accepted > 1000


def test_the_rejects_file_says_file_line_reason_and_text(tmp_path: Path) -> None:
    with rejects_file(tmp_path / "rejects.jsonl") as on_reject:
        on_reject(Reject("a.jsonl", 7, "not_json", 'ä"\n'))
    (text,) = (tmp_path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()

    assert json.loads(text) == {"file": "a.jsonl", "line": 7, "reason": "not_json", "raw": 'ä"\n'}


def test_a_rejects_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="Is a directory"), rejects_file(tmp_path):
        pass


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    outcome = ingest_bytes(tmp_path, b"")

    assert (outcome.fares, outcome.rejects, outcome.ingest.counts.documents) == ([], [], 0)
