"""What a user does wrong is told in one line that names the place, with the exit code of the docs."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.commands import fms, ledger, refused, written
from tests.acceptance.story import day, fare

WISH: dict[str, Any] = {
    "ref": "mine", "kind": "target", "target_minor": 30_000, "origin": "JFK", "destination": "LHR", "currency": "USD",
    "depart_from": str(day(120)), "depart_to": str(day(130)),
}  # fmt: skip
MAPPING = 'name = "xx"\n[columns]\norigin = "a"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files to be named by the commands, seen from their folder; ``d`` is the data directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMS_DATA", "d")
    written(tmp_path / "good.jsonl", [fare(250, at="d0 06:00")])
    written(tmp_path / "alerts.jsonl", [WISH])
    (tmp_path / "folder").mkdir()
    (tmp_path / "fares.csv").write_text("a,b\nJFK,1\n")
    (tmp_path / "broken.toml").write_text("name = \n")
    (tmp_path / "unknown.toml").write_text(MAPPING + 'colour = "b"\n')
    (tmp_path / "less.toml").write_text(MAPPING)
    return tmp_path


WRONG_INPUT = [
    ("run", "say what to read: --replay FILE"),
    ("run missing.jsonl", "missing.jsonl: No such file or directory"),
    ("run good.jsonl missing.jsonl", "missing.jsonl: No such file or directory"),
    ("run folder", "folder: a directory, not a file"),
    ("run fares.csv", "fares.csv: a CSV file needs a mapping (--mapping FILE.toml)"),
    ("run fares.csv --mapping missing.toml", "missing.toml: No such file or directory"),
    ("run fares.csv --mapping folder", "folder: Is a directory"),
    ("run fares.csv --mapping broken.toml", "broken.toml: Invalid value (at line 1, column 8)"),
    ("run fares.csv --mapping unknown.toml", "unknown.toml: columns.colour: no such field"),
    ("run fares.csv --mapping less.toml", "less.toml: columns.destination: missing"),
    ("run good.jsonl --observed-at yesterday", "--observed-at: not an RFC 3339 time with a zone: 'yesterday'"),
    ("run good.jsonl --observed-at 2026-02-31T00:00:00Z", "--observed-at: not a date: '2026-02-31'"),
    ("run good.jsonl --alerts missing.jsonl", "missing.jsonl: No such file or directory"),
    ("run good.jsonl --rejects folder", "folder: Is a directory"),
    ("run good.jsonl --rejects no/rejects", "no/rejects: No such file or directory"),
    ("run good.jsonl --batch-size 0", "Invalid value for '--batch-size'"),
    ("run good.jsonl --batch-size many", "Invalid value for '--batch-size'"),
    ("run good.jsonl --nonsense", "No such option: --nonsense"),
    ("ingest", "say what to read: --replay FILE"),
    ("ingest missing.jsonl", "missing.jsonl: No such file or directory"),
    ("diff good.jsonl", "Missing option '--out'"),
    ("fly", "No such command 'fly'"),
    ("prices show JFK LHR 2026-02-31", "not a date: '2026-02-31'"),
    ("prices show JFK LHR tomorrow", "not a date: 'tomorrow'"),
    ("prices show JF LHR 2026-12-01", "not an airport code: 'JF'"),
    ("alerts import missing.jsonl", "missing.jsonl: No such file or directory"),
    ("alerts import folder", "folder: Is a directory"),
    ("alerts import alerts.jsonl --user nobody", "not an e-mail address: 'nobody'"),
    ("alerts list --user nobody@example.org", "no user nobody@example.org"),
    ("alerts list --state asleep", "--state: one of learning, armed, fired, paused, expired wanted, not 'asleep'"),
    ("alerts show nobody", "no alert 'nobody'"),
    ("alerts show mine --user nobody@example.org", "no user nobody@example.org"),
    ("alerts show 0190b0b0-0000-7000-8000-000000000000", "no alert '0190b0b0-"),
    ("alerts pause nobody", "no alert 'nobody'"),
    ("alerts resume nobody", "no alert 'nobody'"),
    ("alerts delete nobody --yes", "no alert 'nobody'"),
    ("alerts edit nobody --set max_stops=1", "no alert 'nobody'"),
    ("alerts explain nobody", "no alert 'nobody'"),
    ("alerts snooze nobody soon", "not an RFC 3339 time with a zone: 'soon'"),
    ("notifications list --user nobody@example.org", "no user nobody@example.org"),
    ("notifications list --status lost", "--status: one of pending, "),
    ("users show nobody@example.org", "no user nobody@example.org"),
    ("users set --zone Mars/Olympus", "not an IANA time zone: 'Mars/Olympus'"),
    ("users set --quiet 22:00", "--quiet: HH:MM-HH:MM wanted, not '22:00'"),
    ("users set --quiet 22:00-24:00", "--quiet: not a time of day: '24:00'"),
    ("users set --channels fax", "--channels: one of push, mail, webhook, console wanted, not 'fax'"),
    ("users set --channels push,push", "--channels: a channel is named twice"),
    ("users set --daily-cap 0", "--daily-cap: 1 to 1000 or none wanted, not '0'"),
    ("users set --snooze later", "not an RFC 3339 time with a zone: 'later'"),
]


@pytest.mark.parametrize(("command", "told"), WRONG_INPUT, ids=[command for command, _ in WRONG_INPUT])
def test_wrong_input_is_told_in_one_line(folder: Path, command: str, told: str) -> None:
    assert refused(fms(*command.split())).startswith(told)


def test_a_wrong_command_line_does_not_make_a_data_directory(folder: Path) -> None:
    for command in ("run missing.jsonl", "run good.jsonl --observed-at x", "prices show JFK LHR x", "db current"):
        fms(*command.split())
    assert not (folder / "d").exists()


WRONG_ALERTS: list[tuple[Any, str]] = [
    ("{", "not JSON"),
    ("[]", "not an object"),
    (WISH | {"ref": ""}, "ref: "),
    (WISH | {"kind": "hunch"}, "kind: one of target, drop_percent, drop_amount, new_low wanted, not 'hunch'"),
    (WISH | {"target_minor": None}, "target_minor: missing"),
    (WISH | {"target_minor": 300.5}, "target_minor: an integer from 1 to "),
    (WISH | {"drop_bp": 500}, "drop_bp: not for kind target"),
    (WISH | {"kind": "drop_percent", "target_minor": None, "drop_bp": 10_000}, "drop_bp: an integer from 1 to 9999"),
    (WISH | {"kind": "drop_amount", "target_minor": None, "drop_minor": 0}, "drop_minor: an integer from 1 to "),
    (WISH | {"origin": "New York"}, "origin: not an airport code: 'New York'"),
    (WISH | {"destination": "JFK"}, "destination: the same as origin"),
    (WISH | {"depart_from": "2026-02-31"}, "depart_from: not a date: '2026-02-31'"),
    (WISH | {"depart_to": str(day(119))}, "depart_to: before depart_from"),
    (WISH | {"currency": "XYZ"}, "currency: not an ISO 4217 currency: 'XYZ'"),
    (WISH | {"max_stops": True}, "max_stops: an integer from 0 to 8 wanted"),
    (WISH | {"min_nights": 7, "max_nights": 5}, "max_nights: less than min_nights"),
    (WISH | {"trip_type": "one_way", "min_nights": 7}, "trip_type: one_way, but a return is asked for"),
    (WISH | {"carriers_in": "BA"}, "carriers_in: a list of"),
    (WISH | {"adults": 0}, "adults: 1 to 9 travellers"),
    (WISH | {"max_price": 1}, "max_price: no such field"),
    (WISH | {"ref": "first"}, "ref: 'first' stands already at "),
]


@pytest.mark.parametrize(("wrong", "told"), WRONG_ALERTS, ids=[told for _, told in WRONG_ALERTS])
def test_an_alert_file_with_an_error_imports_nothing_and_names_line_and_field(
    folder: Path, wrong: Any, told: str
) -> None:
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    written(folder / "wrong.jsonl", [WISH | {"ref": "first"}, "", text, WISH | {"ref": "last"}])
    for command in ("alerts import wrong.jsonl", "run good.jsonl --alerts wrong.jsonl"):
        assert refused(fms(*command.split())).startswith(f"wrong.jsonl: line 3: {told}")
    assert ledger(folder / "d") == ([], [])
    assert fms("prices", "show", "JFK", "LHR", day(120).isoformat(), "--json").lines == []


def test_the_same_ref_with_other_content_is_refused_unless_it_is_an_update(folder: Path) -> None:
    assert "1 added" in fms("alerts", "import", "alerts.jsonl").checked().out
    assert "1 unchanged" in fms("alerts", "import", "alerts.jsonl").checked().out
    written(folder / "other.jsonl", [WISH | {"ref": "new"}, WISH | {"target_minor": 20_000}])
    told = refused(fms("alerts", "import", "other.jsonl"))
    assert told == "other.jsonl: line 2: ref: 'mine' is known with other content; fms alerts import --update edits it"
    assert refused(fms("run", "good.jsonl", "--alerts", "other.jsonl")) == told
    assert [one["trigger_minor"] for one in ledger(folder / "d")[0]] == [30_000]
    counts = fms("alerts", "import", "other.jsonl", "--update", "--json").checked().report
    assert counts == {"added": 1, "updated": 1, "unchanged": 0}
    assert [one["trigger_minor"] for one in ledger(folder / "d")[0]] == [20_000, 30_000]


@pytest.mark.parametrize(
    ("field", "value"),
    [("origin", "EWR"), ("currency", "EUR"), ("cabin", "first"), ("adults", "2"), ("kind", "new_low")],
)
def test_what_forms_the_market_cannot_be_edited(folder: Path, field: str, value: str) -> None:
    fms("alerts", "import", "alerts.jsonl").checked()
    changes = ["--set", f"{field}={value}", *(["--set", "target_minor="] if field == "kind" else [])]
    told = f"{field}: cannot be changed; delete 'mine' and make a new alert"
    assert refused(fms("alerts", "edit", "mine", *changes)) == told
    more = {"kind": "new_low", "target_minor": None} if field == "kind" else {field: json_or_text(value)}
    written(folder / "moved.jsonl", [WISH | more])
    assert refused(fms("alerts", "import", "moved.jsonl", "--update")) == f"moved.jsonl: line 1: {told}"


def json_or_text(value: str) -> Any:
    """A number as a number, other text as it is."""
    return int(value) if value.isdecimal() else value


@pytest.mark.parametrize("change", ["max_stops", "max_stops=many", "colour=red", "depart_to=2026-02-31", "ref="])
def test_an_edit_that_makes_no_sense_is_refused(folder: Path, change: str) -> None:
    fms("alerts", "import", "alerts.jsonl").checked()
    before = ledger(folder / "d")
    assert change.partition("=")[0] in refused(fms("alerts", "edit", "mine", "--set", change))
    assert ledger(folder / "d") == before


def test_a_ref_of_several_users_wants_to_know_whose(folder: Path) -> None:
    for user in ("ann@example.org", "bob@example.org"):
        fms("alerts", "import", "alerts.jsonl", "--user", user).checked()
    assert refused(fms("alerts", "show", "mine")).startswith("2 users have an alert 'mine'")
    assert fms("alerts", "show", "mine", "--user", "bob@example.org", "--json").report["user"] == "bob@example.org"


SETTINGS = [
    ("batch_sise = 3\n", "batch_sise"),
    ("batch_size = 0\n", "batch_size"),
    ('believe_days = "long"\n', "believe_days"),
    ("[sources.fx]\nnoise = 1\n", "sources.fx.noise"),
    ("batch_size = \n", "d/fms.toml"),
]


@pytest.mark.parametrize(("text", "told"), SETTINGS, ids=[told for _, told in SETTINGS])
def test_a_wrong_setting_stops_every_command_and_is_named(folder: Path, text: str, told: str) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "fms.toml").write_text(text)
    for command in ("run good.jsonl", "alerts list", "db current", "ingest good.jsonl"):
        assert told in refused(fms(*command.split()), 4)


def test_a_wrong_setting_in_the_environment_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMS_BATCH_SIZE", "many")
    assert "batch_size" in refused(fms("run", "good.jsonl"), 4)


@pytest.mark.parametrize("name", ["catalog.sqlite", "local0.sqlite", "local1.sqlite", "prices.sqlite"])
@pytest.mark.parametrize("damage", ["newer", "no database"])
def test_a_database_that_cannot_be_used_stops_every_command(folder: Path, name: str, damage: str) -> None:
    fms("db", "upgrade").checked()
    if damage == "newer":
        make_newer(folder / "d" / name)
    else:
        (folder / "d" / name).write_bytes(b"something else altogether" * 1_000)
    for command in ("alerts list", "run good.jsonl", "db upgrade"):
        told = refused(fms(*command.split()), 4)
        assert name in told
        assert damage == "no database" or "newer fms" in told


def make_newer(path: Path) -> None:
    """Say in a database that it was written by a later version."""
    with closing(sqlite3.connect(path)) as database, database:
        if path.name == "prices.sqlite":
            database.execute("UPDATE meta SET value = 99 WHERE name = 'format'")
        else:
            database.execute("UPDATE alembic_version SET version_num = 'z9999'")


def test_a_data_directory_that_cannot_be_made_is_named(folder: Path) -> None:
    for command in ("run good.jsonl", "alerts list", "db upgrade"):
        assert "good.jsonl" in refused(fms(*command.split(), "--data", folder / "good.jsonl"), 4)
        assert "good.jsonl/d" in refused(fms(*command.split(), "--data", folder / "good.jsonl" / "d"), 4)


def test_a_group_without_a_command_shows_its_help(folder: Path) -> None:
    done = fms("alerts")
    assert done.code == 2
    assert "Usage: fms alerts" in done.out + done.err
    assert "Usage: fms [OPTIONS]" in fms("--help").checked().out
