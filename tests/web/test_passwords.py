"""Passwords and e-mails: their rules, what they cost, and that nobody learns from them who has an account."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from threading import Barrier, Event, Lock
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import event

from fms.accounts.passwords import AT_ONCE, WAITING, Passwords, TooMany
from tests.services.processes import until
from tests.web.conftest import MakeApp
from tests.web.people import ALERT, PASSWORD, Person, Reply
from tests.web.shards import accounts_of, api_of, dump, site_of

Json = dict[str, Any]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The API of one site for all tests; each is about new people."""
    with api_of(tmp_path_factory.mktemp("site")) as found:
        yield found


def with_password(app: Flask) -> Person:
    return Person(app).joined()


def without_password(app: Flask) -> Person:
    """As an import of the CLI makes them."""
    person = Person(app)
    site_of(app).users.find_or_add(person.email)
    return person


def closed(app: Flask) -> Person:
    """Whose deletion was cut short."""
    person = Person(app).joined()
    accounts_of(app)._rows.close(accounts_of(app).find(person.email).user.id)
    person.access = ""
    return person


KNOWN: tuple[Callable[[Flask], Person], ...] = (with_password, without_password, closed)


def _told(reply: Reply, email: str) -> tuple[int, str, Json]:
    """An answer but for what differs from any request to any other."""
    text = reply.text.replace(email, "EMAIL").replace(reply.headers["X-Request-Id"], "ID")
    headers = {name: value for name, value in reply.headers.items() if name not in ("X-Request-Id", "Content-Length")}
    return reply.status, text, headers


def _register(app: Flask, email: str, password: str = "somebody elses password") -> Reply:  # noqa: S107  # of tests
    return Person(app).ask("POST", "/api/auth/register", {"email": email, "password": password})


def _login(app: Flask, email: str, password: str = PASSWORD) -> Reply:
    return Person(app).ask("POST", "/api/auth/login", {"email": email, "password": password})


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("spelling", [str, str.upper, " {} ".format])
def test_registering_a_known_e_mail_looks_like_a_new_one_and_changes_nothing(
    app: Flask, known: Callable[[Flask], Person], spelling: Callable[[str], str]
) -> None:
    person, nobody = known(app), Person(app)
    before = dump(app)
    there = _register(app, spelling(person.email))
    assert _told(there, person.email) == _told(_register(app, nobody.email), nobody.email)
    assert there.status == 201
    assert before - dump(app) == set()
    assert _login(app, person.email, "somebody elses password").status == 401
    assert _login(app, person.email).status == (200 if known is with_password else 401)


@pytest.mark.parametrize("known", KNOWN)
def test_a_wrong_login_says_the_same_whoever_it_is_for(app: Flask, known: Callable[[Flask], Person]) -> None:
    person, nobody = known(app), Person(app)
    wrong = _login(app, person.email, "not this password"), _login(app, nobody.email, "not this password")
    assert _told(wrong[0], person.email) == _told(wrong[1], nobody.email)
    assert (wrong[0].status, wrong[0].json["type"]) == (401, "urn:fms:problem:wrong-credentials")
    assert person.email not in wrong[0].text


CALLS, CLOSENESS = 15, 0.1


def test_a_wrong_login_takes_as_long_whoever_it_is_for(tmp_path: Path) -> None:
    with api_of(tmp_path, fast_passwords=False) as app:
        emails = [with_password(app).email, without_password(app).email, Person(app).email]
        # Others may be at work on this machine: what is not so is not so twice.
        tries = (_medians(app, emails) for _ in range(2))
        assert any(max(found) / min(found) < 1 + CLOSENESS for found in tries)


def _medians(app: Flask, emails: list[str], calls: int = CALLS) -> list[float]:
    seconds: dict[str, list[float]] = {email: [] for email in emails}
    for _ in range(calls):
        # In turn, so that what slows the machine down slows each of them; and not counting what others use of it.
        for email in emails:
            begun = time.thread_time()
            assert _login(app, email, "not this password").status == 401
            seconds[email].append(time.thread_time() - begun)
    return [median(found) for found in seconds.values()]


def test_a_login_without_a_dummy_hash_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The teeth of the test above."""
    check = Passwords.check
    monkeypatch.setattr(
        Passwords, "check", lambda self, hashed, password: bool(hashed) and check(self, hashed, password)
    )
    with api_of(tmp_path, fast_passwords=False) as app:
        slow, quick = _medians(app, [with_password(app).email, Person(app).email], 3)
    assert slow / quick > 1 + CLOSENESS


def test_a_wrong_login_asks_the_databases_as_much_whoever_it_is_for(app: Flask) -> None:
    """Here in statements, for they take less time than a hash; but it adds up for whoever asks often."""
    asked: Counter[str] = Counter()

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked[statement] += 1

    counts = []
    people = [*(known(app).email for known in KNOWN), Person(app).email]
    with ExitStack() as stack:
        for shard in site_of(app).router.all():
            event.listen(shard.engine, "before_cursor_execute", count)
            stack.callback(event.remove, shard.engine, "before_cursor_execute", count)
        for email in people:
            asked.clear()
            assert _login(app, email, "not this password").status == 401
            counts.append(dict(asked))
    assert counts[0]
    assert all(found == counts[0] for found in counts)


class Counted:
    """A hasher that counts how many are at work at a time, and waits to be let on."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._lock = Lock()
        self.now = self.most = 0
        self.go_on = Event()

    def verify(self, hashed: str, password: str) -> bool:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            assert self.go_on.wait(60)
            return self._hasher.verify(hashed, password)
        finally:
            with self._lock:
                self.now -= 1


def _counted(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    monkeypatch.setattr(passwords, "_hasher", counted)
    return counted


def test_no_more_than_two_passwords_are_hashed_at_a_time_and_few_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_of(tmp_path, fast_passwords=False) as app:
        anna = with_password(app)
        counted = _counted(accounts_of(app)._passwords, monkeypatch)
        accounts_of(app)._passwords._nobodys = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("x")
        many = AT_ONCE + WAITING + 6
        together = Barrier(many)

        def log_in(_: int) -> Reply:
            together.wait(60)
            return _login(app, Person(app).email)

        with ThreadPoolExecutor(many) as threads:
            asked = [threads.submit(log_in, number) for number in range(many)]
            until(lambda: sum(one.done() for one in asked) == 6, "those without a place are told so")
            # Who asks for something else is answered meanwhile.
            assert anna.ask("GET", "/api/account").status == 200
            counted.go_on.set()
            replies = [one.result() for one in asked]
    assert counted.most == AT_ONCE == 2
    assert sorted(one.status for one in replies) == [401] * (AT_ONCE + WAITING) + [429] * 6
    [refused] = {_told(one, "nobody")[1] for one in replies if one.status == 429}
    assert "urn:fms:problem:too-many" in refused
    assert {one.headers.get("Retry-After") for one in replies if one.status == 429} == {"1"}


def test_nobody_waits_for_ever_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fms.accounts.passwords.WAIT_SECONDS", 0.05)
    passwords = Passwords(fast=True)
    counted = _counted(passwords, monkeypatch)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        busy = [threads.submit(passwords.check, None, PASSWORD) for _ in range(AT_ONCE)]
        until(lambda: counted.now == AT_ONCE, "both are at work")
        with pytest.raises(TooMany):
            passwords.check(None, PASSWORD)
        counted.go_on.set()
        assert [one.result() for one in busy] == [False, False]
    # The places were given back.
    assert passwords.check(None, PASSWORD) is False


def test_a_hash_of_another_cost_is_renewed_at_login(tmp_path: Path) -> None:
    with api_of(tmp_path) as app:
        anna = with_password(app)
        before = accounts_of(app).find(anna.email).password
        anna.logged_in()
        assert accounts_of(app).find(anna.email).password == before
    with api_of(tmp_path, fast_passwords=False) as app:
        assert _login(app, anna.email, "not this password").status == 401
        assert accounts_of(app).find(anna.email).password == before
        assert Person(app, anna.email).logged_in().ask("GET", "/api/account").status == 200
        after = accounts_of(app).find(anna.email).password
        assert after is not None
        assert after.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
        # It ends no login.
        assert Person(app, access=anna.access).ask("GET", "/api/account").status == 200


LETTERS = "abcdefghij" * 13


@pytest.mark.parametrize(
    ("password", "status"),
    [
        (LETTERS[:11], 422),
        (LETTERS[:12], 201),
        (LETTERS[:128], 201),
        (LETTERS[:129], 422),
        ("aaaaaaaaaaaa", 422),
        ("abababababab", 422),
        ("ﬁ" * 6 + "abc", 422),  # 9 characters, though 15 after NFKC
        ("e\u0301" * 6 + "ab", 422),  # 14 characters, 8 of them after NFKC
        ("ﬃ" * 43 + "abc", 422),  # 46 characters, 132 of them after NFKC
        ("Ein Satz mit ÄÖÜ und 漢字 🛫", 201),
        ("            abc", 201),
        (123456789012, 422),
        (None, 422),
        ([LETTERS[:12]], 422),
    ],
)
def test_a_password_has_12_to_128_characters_of_more_than_two_kinds(app: Flask, password: Any, status: int) -> None:
    before = dump(app)
    reply = Person(app).ask("POST", "/api/auth/register", {"email": Person(app).email, "password": password})
    assert reply.status == status, reply.text
    if status == 422:
        assert [fault["pointer"] for fault in reply.json["errors"]] == ["/password"]
        assert dump(app) == before


@pytest.mark.parametrize(
    ("chosen", "typed"), [("Cafe\u0301 au lait!", "Caf\u00e9 au lait!"), ("\ufb01rst password", "first password")]
)
def test_a_password_is_the_same_however_it_is_composed(app: Flask, chosen: str, typed: str) -> None:
    anna = Person(app, password=chosen).joined()
    assert _login(app, anna.email, typed).status == 200
    assert _login(app, anna.email, typed.upper()).status == 401
    assert _login(app, anna.email, f"{typed} ").status == 401


@pytest.mark.parametrize(
    ("email", "kept"),
    [
        ("A.B+tag@Example.ORG", "a.b+tag@example.org"),
        ("  padded@example.org\t", "padded@example.org"),
        ("ü@exämple.org", "ü@exämple.org"),
        ("@example.org", None),
        ("nobody@", None),
        ("nobody", None),
        ("two words@example.org", None),
        ("line\nfeed@example.org", None),
        ("bell\x07@example.org", None),
        ("x" * 243 + "@example.org", None),
        ("", None),
        (None, None),
        (["a@example.org"], None),
    ],
)
def test_an_e_mail_is_kept_in_lower_case_or_refused(app: Flask, email: Any, kept: str | None) -> None:
    reply = Person(app).ask("POST", "/api/auth/register", {"email": email, "password": PASSWORD})
    if kept is None:
        assert (reply.status, [fault["pointer"] for fault in reply.json["errors"]]) == (422, ["/email"])
    else:
        assert reply.checked(201) == {"email": kept}
        assert Person(app, email).logged_in().ask("GET", "/api/account").checked()["email"] == kept


def test_nobody_registers_where_it_is_closed(make_app: MakeApp) -> None:
    app = make_app(registration="closed")
    accounts_of(app).add("anna@example.org", PASSWORD)
    before = dump(app)
    replies = [_register(app, email) for email in ("anna@example.org", "ben@example.org")]
    assert [(one.status, one.json["type"]) for one in replies] == [(403, "urn:fms:problem:forbidden")] * 2
    assert dump(app) == before
    assert _login(app, "anna@example.org").status == 200


def test_a_password_is_changed_only_by_whoever_knows_it(app: Flask) -> None:
    anna, new = Person(app).joined(), "another horse battery"
    before = dump(app)
    wrong = anna.ask("POST", "/api/account/password", {"password": "not this one", "new_password": new})
    assert (wrong.status, wrong.json["type"]) == (401, "urn:fms:problem:wrong-credentials")
    short = anna.ask("POST", "/api/account/password", {"password": PASSWORD, "new_password": "aaaaaaaaaaaa"})
    assert (short.status, short.json["errors"][0]["pointer"]) == (422, "/new_password")
    assert dump(app) == before
    anna.ask("POST", "/api/account/password", {"password": PASSWORD, "new_password": new}).checked(204)
    assert (_login(app, anna.email).status, _login(app, anna.email, new).status) == (401, 200)


def test_what_a_client_calls_itself_is_kept_without_what_terminals_obey(app: Flask) -> None:
    anna = Person(app).joined()
    anna.ask(
        "POST", "/api/auth/login", {"email": anna.email, "password": PASSWORD},
        {"User-Agent": "Phone\x1b[2J\x00 \u00a0" + "x" * 500},
    ).checked()  # fmt: skip
    agents = [one["agent"] for one in anna.ask("GET", "/api/account/sessions").checked()["items"]]
    [odd] = [one for one in agents if one.startswith("Phone")]
    assert odd.isprintable()
    assert len(odd) == 200


def test_whoever_registered_gets_nothing_that_was_there_before(app: Flask) -> None:
    """A user of the CLI keeps their alerts to themselves until an operator gives them a password."""
    person = without_password(app)
    _register(app, person.email, PASSWORD)
    assert _login(app, person.email).status == 401
    accounts_of(app).add(person.email, PASSWORD)
    assert person.logged_in().ask("POST", "/api/alerts", ALERT).status == 201
