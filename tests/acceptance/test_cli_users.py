"""``fms users``: who can log in, as what, and until when."""

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from fms.accounts.service import Accounts, Identity, Refused
from fms.bootstrap import open_site
from fms.model.ids import slot_of_id
from fms_cli.app import app
from tests.acceptance.commands import PATIENCE, ROOT, Done, ended, fms, refused, start, written
from tests.acceptance.story import day

PASSWORD, ANOTHER = "correct horse battery staple", "another horse, another battery"
ANN = "ann@example.org"
WISH: dict[str, Any] = {
    "ref": "mine", "kind": "target", "target_minor": 30_000, "origin": "JFK", "destination": "LHR", "currency": "USD",
    "depart_from": str(day(120)), "depart_to": str(day(130)),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FMS_FAST_PASSWORDS", "true")
    return tmp_path


def add(email: str = ANN, *more: str, password: str = PASSWORD, end: str = "\n") -> Done:
    return fms("users", "add", email, "--password-stdin", *more, send=f"{password}{end}".encode())


def users() -> dict[str, dict[str, Any]]:
    """Those who are listed, by e-mail."""
    return {row["email"]: row for row in fms("users", "list", "--json").checked().lines}


@contextmanager
def accounts() -> Iterator[Accounts]:
    with open_site() as site:
        yield site.accounts()


def logged_in(email: str = ANN, password: str = PASSWORD) -> Identity:
    with accounts() as found:
        return found.log_in(email, password, "test")


def is_here(who: Identity) -> bool:
    """Whether a login has not ended."""
    with accounts() as found:
        return found.identify(who.user_id, who.session.id) is not None


def test_who_was_added_can_log_in(folder: Path) -> None:
    assert add("Ann@Example.org").checked().out == "ann@example.org: can log in, as user\n"
    assert logged_in().account.role == "user"
    with pytest.raises(Refused):
        logged_in(password=ANOTHER)


def test_a_user_whom_an_import_made_keeps_everything_and_can_log_in(folder: Path) -> None:
    written(folder / "alerts.jsonl", [WISH])
    fms("alerts", "import", "alerts.jsonl", "--user", ANN).checked()
    before = users()[ANN]
    assert (before["has_password"], before["alerts"]) == (False, 1)
    assert "no password" in fms("users", "list").checked().out
    add().checked()
    assert users() == {ANN: before | {"has_password": True}}
    assert str(logged_in().user_id) == before["id"]


def test_an_account_that_has_a_password_is_not_taken_over(folder: Path) -> None:
    add(ANN, "--role", "operator").checked()
    again = add("ANN@example.org", "--role", "user", password=ANOTHER)
    assert refused(again) == "ann@example.org has an account already; fms users password changes its password"
    assert logged_in().account.role == "operator"


def test_a_role_is_given_at_once_or_later(folder: Path) -> None:
    add(ANN, "--role", "operator").checked()
    who = logged_in()
    assert who.account.role == "operator"
    assert fms("users", "role", ANN, "user").checked().out == "ann@example.org: user\n"
    with accounts() as found:
        now = found.identify(who.user_id, who.session.id)
    assert now is not None
    assert now.account.role == "user", "also for those who are logged in"


def test_a_user_whom_an_import_made_keeps_a_role_that_was_given(folder: Path) -> None:
    fms("users", "set", ANN, "--daily-cap", "3").checked()
    fms("users", "role", ANN, "operator").checked()
    assert add().checked().out == "ann@example.org: can log in, as operator\n"
    assert fms("users", "show", ANN, "--json").checked().report["daily_cap"] == 3


def test_there_are_two_roles(folder: Path) -> None:
    assert refused(add(ANN, "--role", "king")) == "--role: one of user, operator wanted, not 'king'"
    assert users() == {}
    add().checked()
    assert refused(fms("users", "role", ANN, "king")) == "role: one of user, operator wanted, not 'king'"
    assert users()[ANN]["role"] == "user"


WRONG_PASSWORDS = [
    (b"", "password: 12 to 128 characters wanted"),
    (b"\n", "password: 12 to 128 characters wanted"),
    (b"elevensigns\n", "password: 12 to 128 characters wanted"),
    (b"ab" * 64 + b"c\n", "password: 12 to 128 characters wanted"),
    (b"a" * 20, "password: more than two different characters wanted"),
    (b"\xff" * 20, "password: stdin is not UTF-8"),
    (b"first line of two\nsecond line of two\n", "password: one line is wanted on stdin"),
]


def test_a_password_that_breaks_the_rules_makes_and_changes_nothing(folder: Path) -> None:
    for given, why in WRONG_PASSWORDS:
        assert refused(fms("users", "add", ANN, "--password-stdin", send=given)) == why
    assert users() == {}
    add().checked()
    for given, why in WRONG_PASSWORDS:
        assert refused(fms("users", "password", ANN, "--password-stdin", send=given)) == why
    logged_in()


def test_the_line_is_the_password_without_its_end_and_with_its_blanks(folder: Path) -> None:
    for number, end in enumerate(["", "\n", "\r\n"]):
        add(f"{number}@example.org", password=f" {PASSWORD} {end}", end="").checked()
        logged_in(f"{number}@example.org", f" {PASSWORD} ")


def test_an_account_wants_an_email(folder: Path) -> None:
    for email in ("ann", "@example.org", "a b@example.org"):
        assert refused(add(email)).startswith("not an e-mail address: ")


def test_nobody_is_asked_where_nobody_is(folder: Path) -> None:
    done = ended(start("users", "add", ANN, stdin=subprocess.PIPE), f"{PASSWORD}\n{PASSWORD}\n".encode())
    assert refused(done) == "password: nobody is here to be asked for it: --password-stdin"
    assert users() == {}


def test_no_command_takes_a_password_as_an_option_which_everybody_can_see_in_the_list_of_processes() -> None:
    found = [
        (name, parameter.name)
        for name, command in get_command(app).commands["users"].commands.items()  # type: ignore[attr-defined]  # a group
        for parameter in command.params
        if "password" in parameter.name and not parameter.is_flag
    ]
    assert found == []


ON_A_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "fms_cli", *sys.argv[1:]])
"""
"""A program that becomes fms, and whose terminal is its stdin, so that its signs of control are heard."""


def typed(*arguments: str, answers: list[bytes]) -> tuple[int, str]:
    """A command on a terminal, where each question is answered when it is asked; its exit code, and what is seen."""
    terminal, theirs = pty.openpty()
    command = [sys.executable, "-c", ON_A_TERMINAL, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            for answer in answers:
                asked = len(seen)
                # What is typed before the blank is thrown away with the echo.
                while not seen[asked:].endswith(b": ") and (data := shown(terminal)):
                    seen += data
                os.write(terminal, answer)
            while data := shown(terminal):
                seen += data
        finally:
            os.close(terminal)
        return process.wait(PATIENCE), seen.decode()


def shown(terminal: int) -> bytes:
    """What is written to a terminal next; nothing after its last writer has gone."""
    assert select.select([terminal], [], [], PATIENCE)[0], "nothing is said"
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""  # Linux says so when nobody is left on the other side


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(folder: Path) -> None:
    code, seen = typed("users", "add", ANN, answers=[f"{PASSWORD}\n".encode()] * 2)
    assert (code, seen.split("\r\n")) == (0, ["Password: ", "Once more: ", "ann@example.org: can log in, as user", ""])
    logged_in()


def test_two_passwords_that_are_not_the_same_change_nothing(folder: Path) -> None:
    add().checked()
    code, seen = typed("users", "password", ANN, answers=[f"{ANOTHER}\n".encode(), f"{ANOTHER}!\n".encode()])
    assert (code, seen.split("\r\n")[-2:]) == (2, ["fms: password: the two are not the same; nothing was changed", ""])
    logged_in()


def test_a_password_that_breaks_the_rules_is_not_asked_for_again(folder: Path) -> None:
    code, seen = typed("users", "add", ANN, answers=[b"short\n"])
    assert (code, seen.split("\r\n")) == (2, ["Password: ", "fms: password: 12 to 128 characters wanted", ""])


def test_an_account_that_has_a_password_is_refused_before_one_is_asked_for(folder: Path) -> None:
    add().checked()
    code, seen = typed("users", "add", ANN, answers=[])
    assert (code, "Password" in seen) == (2, False)


@pytest.mark.parametrize("sign", [b"\x03", b"\x04"], ids=["ctrl-c", "ctrl-d"])
def test_whoever_gives_no_password_makes_nothing(folder: Path, sign: bytes) -> None:
    code, seen = typed("users", "add", ANN, answers=[sign])
    assert (code, "Traceback" in seen) == (130, False)
    assert users() == {}


def test_a_new_password_ends_every_login(folder: Path) -> None:
    add().checked()
    before = [logged_in(), logged_in()]
    assert users()[ANN]["sessions"] == 2
    fms("users", "password", ANN, "--password-stdin", send=ANOTHER.encode()).checked()
    assert users()[ANN]["sessions"] == 0
    assert not any(map(is_here, before))
    assert is_here(logged_in(password=ANOTHER))
    with pytest.raises(Refused):
        logged_in()


@pytest.mark.parametrize("line", ["password EMAIL --password-stdin", "role EMAIL operator", "delete EMAIL --yes"])
def test_who_is_not_there_is_not_made(folder: Path, line: str) -> None:
    done = fms("users", *line.replace("EMAIL", "nobody@example.org").split(), send=PASSWORD.encode())
    assert refused(done) == "no user nobody@example.org"
    assert users() == {}


def test_a_user_is_deleted_with_everything_and_nobody_else_is(folder: Path) -> None:
    written(folder / "alerts.jsonl", [WISH])
    for email in (ANN, "ben@example.org"):
        add(email).checked()
        fms("alerts", "import", "alerts.jsonl", "--user", email).checked()
    who = logged_in()
    no = fms("users", "delete", ANN, send=b"n\n").checked()
    assert no.out == "delete ann@example.org with all alerts, inbox and devices? [y/N]: nothing was deleted\n"
    assert is_here(who)
    assert fms("users", "delete", ANN, send=b"y\n").checked().out.endswith(": ann@example.org: deleted\n")
    assert not is_here(who)
    assert {row["user"] for row in fms("alerts", "list", "--json").checked().lines} == {"ben@example.org"}
    assert list(users()) == ["ben@example.org"]
    assert refused(fms("users", "show", ANN)) == "no user ann@example.org"


def left_half_deleted(folder: Path) -> None:
    """Ann's account, whose deletion was cut short after its first step."""
    written(folder / "alerts.jsonl", [WISH])
    fms("alerts", "import", "alerts.jsonl", "--user", ANN).checked()
    add().checked()
    with open_site() as site:
        rows = site.accounts()._rows
        found = rows.find(ANN)
        assert found is not None
        rows.close(found.user.id)


@pytest.mark.parametrize("line", ["add", "password", "role"])
def test_an_account_that_is_being_deleted_does_not_come_back(folder: Path, line: str) -> None:
    left_half_deleted(folder)
    more = ["operator"] if line == "role" else ["--password-stdin"]
    why = "ann@example.org is being deleted; fms users delete finishes that"
    assert refused(fms("users", line, ANN, *more, send=PASSWORD.encode())) == why
    assert (users()[ANN]["is_being_deleted"], users()[ANN]["has_password"]) == (True, False)
    assert "being deleted" in fms("users", "list").checked().out


@pytest.mark.parametrize("line", ["users delete ann@example.org --yes", "db maintain"])
def test_a_deletion_that_was_cut_short_is_finished(folder: Path, line: str) -> None:
    left_half_deleted(folder)
    add("ben@example.org").checked()
    fms(*line.split()).checked()
    assert list(users()) == ["ben@example.org"]
    assert fms("alerts", "list", "--json").checked().lines == []


def test_a_list_counts_alerts_of_every_shard_and_logins_that_have_not_ended(folder: Path) -> None:
    many = [WISH | {"ref": f"to {to}", "destination": to} for to in ("LHR", "CDG", "FRA", "AMS", "MAD", "LIS")]
    written(folder / "alerts.jsonl", many)
    fms("alerts", "import", "alerts.jsonl", "--user", ANN).checked()
    with open_site() as site:
        assert len(site.router.split([alert.id for alert in site.alerts.all()], slot_of_id)) == 2
    add().checked()
    add("aaron@example.org").checked()
    for _ in range(3):
        who = logged_in()
    with accounts() as found:
        found.log_out(who.user_id, who.session.id)
    assert [(email, row["alerts"], row["sessions"]) for email, row in users().items()] == [
        ("aaron@example.org", 0, 0),
        (ANN, 6, 2),
    ]
    assert fms("users", "list").checked().out.splitlines()[1:] == [
        "aaron@example.org  user  yes     0       0",
        "ann@example.org    user  yes     6       2",
    ]
