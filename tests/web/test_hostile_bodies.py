"""Requests that no decent client sends: each is told what is wrong with it, as problem+json, and nothing is written."""

import base64
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from tests.contracts.making import made
from tests.services.postgres import Databases
from tests.web.conftest import MakeApp
from tests.web.matrix import MATRIX, Row
from tests.web.people import ALERT, PASSWORD, Person, Reply
from tests.web.shards import api_of, dump

KB = 1_024
LINES = "application/x-ndjson"
JSON = "application/json"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The API of one site for all tests; each is about new people."""
    with api_of(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture(scope="module")
def anna(app: Flask) -> Person:
    return Person(app).joined()


def send(
    person: Person,
    content: bytes,
    path: str = "/api/alerts",
    content_type: str = JSON,
    method: str = "POST",
    **more: Any,
) -> Reply:
    return person.ask(method, path, data=content, content_type=content_type, **more)


def check_problem(reply: Reply, status: int, kind: str) -> None:
    assert (reply.status, reply.headers["Content-Type"]) == (status, "application/problem+json"), reply.text[:500]
    assert reply.json["type"] == f"urn:fms:problem:{kind}"
    assert (reply.json["status"], reply.json["request_id"]) == (status, reply.headers["X-Request-Id"])
    assert {"title", "detail", "instance"} <= reply.json.keys()


def _alert(**changes: Any) -> bytes:
    return json.dumps(ALERT | changes).encode()


def _with(member: bytes) -> bytes:
    return b"{" + member + b", " + _alert()[1:]


MALFORMED = {
    "half": _alert()[:-1],
    "more behind": _alert() + b"{}",
    "a comment": b"/* */" + _alert(),
    "single quotes": b"{'kind': 'target'}",
    "a comma too many": _alert()[:-1] + b",}",
    "a byte order mark": b"\xef\xbb\xbf" + _alert(),
    "UTF-16": _alert().decode().encode("utf-16"),
    "no UTF-8": _alert(ref="x").replace(b'"x"', b'"\xff\xfe"'),
    "overlong UTF-8": _alert(ref="x").replace(b'"x"', b'"\xc0\xaf"'),
    "a surrogate in UTF-8": _alert(ref="x").replace(b'"x"', b'"\xed\xa0\x80"'),
    "half of a surrogate pair": _alert(ref="x").replace(b'"x"', b'"\\ud800"'),
    "the other half": _alert(ref="x").replace(b'"x"', b'"\\udc00x"'),
    "NUL, escaped": _alert(ref="x").replace(b'"x"', b'"a\\u0000"'),
    "NUL in a name": _with(b'"a\\u0000": 1'),
    "NUL": _alert(ref="x").replace(b'"x"', b'"a\0"'),
    "a line feed in a text": _alert(ref="x").replace(b'"x"', b'"a\n"'),
    "NaN": _alert(target_minor=0).replace(b'"target_minor": 0', b'"target_minor": NaN'),
    "Infinity": _alert(target_minor=0).replace(b'"target_minor": 0', b'"target_minor": Infinity'),
    "-Infinity": _alert(target_minor=0).replace(b'"target_minor": 0', b'"target_minor": -Infinity'),
    "hexadecimal": _alert(target_minor=0).replace(b'"target_minor": 0', b'"target_minor": 0x10'),
    "a number of 5,000 digits": _alert(target_minor=0).replace(
        b'"target_minor": 0', b'"target_minor": ' + b"9" * 5_000
    ),
    "a name twice": _with(b'"kind": "new_low"'),
    "a name twice, spelled otherwise": _with(b'"\\u006bind": "new_low"'),
    "a bomb of lists": b"[" * 30_000,
    "a bomb of objects": b'{"a":' * 6_000,
    "a whole bomb": b"[" * 15_000 + b"]" * 15_000,
    "a bomb in a field": _alert(ref="x").replace(b'"x"', b"[" * 14_000 + b"]" * 14_000),
    "gzip": gzip.compress(_alert()),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_json_is_refused(app: Flask, anna: Person, name: str) -> None:
    before = dump(app)
    check_problem(send(anna, MALFORMED[name]), 400, "malformed")
    assert dump(app) == before


INVALID: dict[str, Any] = {
    "a list": [],
    "a list of one": [ALERT],
    "a text": "x",
    "a number": 1,
    "null": None,
    "true": True,
    "a number as text": ALERT | {"target_minor": "4000"},
    "a fraction": ALERT | {"target_minor": 4000.5},
    "a whole fraction": ALERT | {"target_minor": 4e3},
    "a huge number": ALERT | {"target_minor": 10**18},
    "a number beyond 64 bits": ALERT | {"target_minor": 2**64},
    "a number of 4,000 digits": ALERT | {"target_minor": 10**4_000},
    "a number without end": ALERT | {"target_minor": 1e308},
    "zero": ALERT | {"target_minor": 0},
    "negative": ALERT | {"target_minor": -1},
    "a truth as number": ALERT | {"target_minor": True},
    "an object as text": ALERT | {"origin": {"$ne": ""}},
    "a list as text": ALERT | {"origin": ["STN"]},
    "a line feed behind": ALERT | {"origin": "STN\n"},
    "letters that look alike": ALERT | {"origin": "\uff33TN"},
    "SQL": ALERT | {"origin": "'--"},
    "digits of another script": ALERT | {"depart_from": "\u0662\u0660\u0662\u0667-10-01"},
    "no such day": ALERT | {"depart_from": "2027-02-30"},
    "year 0": ALERT | {"depart_from": "0000-01-01"},
    "past": ALERT | {"depart_from": "2020-10-01", "depart_to": "2020-10-02"},
    "backwards": ALERT | {"depart_from": "2027-10-14", "depart_to": "2027-10-01"},
    "too long": ALERT | {"depart_to": "2029-10-01"},
    "a long ref": ALERT | {"ref": "x" * 201},
    "a ref that moves the cursor": ALERT | {"ref": "\x1b[2J"},
    "a ref that writes backwards": ALERT | {"ref": "\u202egpj.exe"},
    "a blank ref": ALERT | {"ref": "   "},
    "many carriers": ALERT | {"carriers_in": ["FR"] * 51},
    "a carrier of three": ALERT | {"carriers_in": ["RYR"]},
    "carriers that are none": ALERT | {"carriers_in": [None]},
    "an unknown field": ALERT | {"__proto__": {}},
    "a field in capitals": ALERT | {"KIND": "target"},
    "an empty name": ALERT | {"": 1},
    "a name that is a path": ALERT | {"a/b~c": 1},
}


@pytest.mark.parametrize("name", INVALID)
def test_what_breaks_a_rule_is_refused(app: Flask, anna: Person, name: str) -> None:
    before = dump(app)
    reply = send(anna, json.dumps(INVALID[name]).encode())
    check_problem(reply, 422, "invalid")
    assert reply.json["errors"], reply.text
    assert dump(app) == before


def test_a_pointer_to_an_odd_name_is_escaped(anna: Person) -> None:
    reply = send(anna, json.dumps(INVALID["a name that is a path"]).encode())
    assert [fault["pointer"] for fault in reply.json["errors"]] == ["/a~1b~0c"]


WITH_BODY = [row for row in MATRIX if row.body is not None]
IDS = dict.fromkeys(
    ("alert_id", "session_id", "notification_id", "device_id", "user_id"), "01a21465-e309-7818-8000-33a1d4eea5d5"
) | {"email": "a@example.org", "refresh_token": "x", "proof": "x", "ref": "x", "name": "x"}


@pytest.mark.parametrize("row", WITH_BODY, ids=str)
def test_every_view_reads_its_body_with_the_same_care(app: Flask, anna: Person, row: Row) -> None:
    before = dump(app)
    path = row.at(IDS)
    for content in (b"[" * 9_000, b'{"email": "\\ud800"}', b'{"email": "a", "email": "b"}', b"\xff", b"NaN"):
        check_problem(send(anna, content, path, method=row.method), 400, "malformed")
    good = json.dumps(row.asked(IDS)).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "json"):
        check_problem(send(anna, good, path, kind, row.method), 415, "wrong-type")
    check_problem(send(anna, b" " * 33 * KB, path, method=row.method), 413, "too-large")
    check_problem(send(anna, b"[]", path, method=row.method), 422, "invalid")
    assert dump(app) == before


@pytest.mark.parametrize(
    "kind", [JSON, "application/json; charset=utf-8", "application/vnd.fms+json", "APPLICATION/JSON"]
)
def test_json_may_be_called_so(anna: Person, kind: str) -> None:
    assert send(anna, _alert(), content_type=kind).status == 201


def test_text_beyond_ascii_comes_back_as_it_was(anna: Person) -> None:
    for ref in ("Überflug 漢字 \U0001f6eb", "\U0001f6eb"):
        for escaped in (True, False):
            content = json.dumps(ALERT | {"ref": ref + str(escaped)}, ensure_ascii=escaped).encode()
            assert send(anna, content).checked(201)["ref"] == ref + str(escaped)


def _chunked(content: bytes) -> dict[str, Any]:
    """A body of no declared length, as servers hand it over."""
    return {"input_stream": io.BytesIO(content), "environ_overrides": {"wsgi.input_terminated": True}}


def test_a_body_may_have_so_many_bytes(anna: Person) -> None:
    most = 32 * KB
    padded = _alert() + b" " * (most - len(_alert()))
    assert send(anna, padded).status == 201
    check_problem(send(anna, padded + b" "), 413, "too-large")


def test_a_body_of_no_declared_length_may_not_be_larger(anna: Person) -> None:
    padded = _alert() + b" " * (32 * KB - len(_alert()))
    for content, status in ((padded, 201), (padded + b" ", 413), (padded * 100, 413)):
        reply = anna.ask("POST", "/api/alerts", content_type=JSON, **_chunked(content))
        assert reply.status == status


def test_a_body_that_lies_about_its_length_is_not_believed(anna: Person) -> None:
    def said(length: str) -> Reply:
        said = {"CONTENT_LENGTH": length}
        content = io.BytesIO(_alert())
        return anna.ask("POST", "/api/alerts", content_type=JSON, input_stream=content, environ_overrides=said)

    check_problem(said(str(10**12)), 413, "too-large")
    check_problem(said(str(len(_alert()) - 5)), 400, "malformed")
    # As if there were none.
    assert [said(length).status for length in ("-1", "x", "0")] == [422] * 3


def _line(**changes: Any) -> bytes:
    return _alert(**changes) + b"\n"


def test_a_file_may_be_32_times_as_large(make_app: MakeApp) -> None:
    anna = Person(make_app(body_limit_kb=1)).joined()
    line = _line(ref="x")
    padded = line + b"\n" * (32 * KB - len(line))
    assert send(anna, padded, "/api/alerts/import", LINES).checked() == {"added": 1, "updated": 0, "unchanged": 0}
    check_problem(send(anna, padded + b"\n", "/api/alerts/import", LINES), 413, "too-large")
    large = anna.ask("POST", "/api/alerts/import", content_type=LINES, **_chunked(padded + b"\n"))
    check_problem(large, 413, "too-large")


FILES = {
    "half a line": _line(ref="a")[:-3],
    "a bomb": b"[" * 100_000,
    "no UTF-8": b"\xff\n",
    "a list": b"[]\n",
    "NaN": b'{"target_minor": NaN}\n',
    "5,000 digits": b'{"target_minor": ' + b"9" * 5_000 + b"}\n",
    "half of a surrogate pair": _line(ref="a").replace(b'"a"', b'"\\ud800"'),
    "NUL": _line(ref="a").replace(b'"a"', b'"\\u0000"'),
    "a ref twice": _line(ref="a") * 2,
    "no ref": _line(),
    "a good line and a bad one": _line(ref="a") + b"x\n",
    "another's user": _line(ref="a", user_id="01a21465-e309-7818-8000-33a1d4eea5d5"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_an_error_imports_nothing_and_says_where_it_is(app: Flask, anna: Person, name: str) -> None:
    before = dump(app)
    reply = send(anna, FILES[name], "/api/alerts/import", LINES)
    check_problem(reply, 422, "invalid")
    assert [fault["pointer"][:6] for fault in reply.json["errors"]] == ["/line "]
    assert dump(app) == before


@pytest.mark.parametrize("kind", [JSON, "text/html", "multipart/form-data; boundary=x", ""])
def test_a_file_of_another_type_is_refused(app: Flask, anna: Person, kind: str) -> None:
    before = dump(app)
    check_problem(send(anna, _line(ref="a"), "/api/alerts/import", kind), 415, "wrong-type")
    assert dump(app) == before


QUERIES = (
    "limit=0", "limit=101", "limit=-1", "limit=x", "limit=1e2", "limit=" + "9" * 5_000, "sort=password", "sort=",
    "state=x", "kind=x", "origin=x", "origin=STN%0a", "cursor=x", "cursor=" + "A" * 900, "cursor=" + "%5B" * 300,
    "cursor=W10", "cursor=bnVsbA", "cursor=WyItY3JlYXRlZCIsIngiLCJ4Il0", "cursor=%00", "ref=%00", "ref=a%00b", "ref=",
    "%00=1", "user_id=x", "limit=1&limit=x", "ref=" + "x" * 201,
)  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_that_breaks_a_rule_is_refused(anna: Person, query: str) -> None:
    reply = anna.ask("GET", f"/api/alerts?{query}")
    if query == "limit=1&limit=x":
        # The first counts, whatever stands behind it.
        assert len(reply.checked()["items"]) <= 1
        return
    check_problem(reply, 422, "invalid")
    assert all("parameter" in fault for fault in reply.json["errors"])


def test_what_is_wrong_is_said_in_one_line(anna: Person) -> None:
    odd = anna.ask("POST", "/api/alerts", ALERT | {"cabin": "royal", "adults": "two"}).json
    assert odd["detail"] == (
        "cabin: Must be one of: economy, premium_economy, business, first; adults: Not a valid integer"
    )
    assert anna.ask("GET", "/nothing").json["detail"] == "there is nothing like that here"


NOBODYS = "01a214ae-23e1-7e42-8000-91e67ce33fa4"


def _cursor(*place: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def test_a_cursor_that_is_a_bomb_is_no_cursor(anna: Person) -> None:
    for content in (b"[" * 700, b"[" * 350 + b"]" * 350, b'["-created", NaN, 1]', b'["-created", "\\ud800", "x"]'):
        cursor = base64.urlsafe_b64encode(content).decode().rstrip("=")
        check_problem(anna.ask("GET", f"/api/alerts?cursor={cursor}"), 422, "invalid")


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "a\x00b", "a\tb", "\u00e9", "\x7f"], ids=["empty", "long", "NUL", "tab", "accent", "delete"]
)
def test_an_odd_idempotency_key_is_refused(app: Flask, anna: Person, key: str) -> None:
    before = dump(app)
    reply = anna.ask("POST", "/api/alerts", ALERT, {"Idempotency-Key": key})
    check_problem(reply, 422, "invalid")
    assert reply.json["errors"][0]["header"] == "Idempotency-Key"
    assert dump(app) == before


@pytest.mark.parametrize(
    "path",
    ["/", "/nothing", "/api", "/api/", "/api/alert", "//api/alerts", "/api//alerts", "/api/alerts/x/y/z", "/API/ALERTS",
     "/api/alerts;x", "/.env", "/.git/config", "/api/docs/../auth", "/api/docs/%2e%2e/%2e%2e/app.py",
     "/api/docs/..%2f..%2f..%2f__init__.py", "/api/docs//etc/passwd", "/api/docs/%00", "/static/x",
     "/livez%0d%0aX:%20y",
     "/" + "x" * 5_000],
)  # fmt: skip
def test_a_path_that_leads_nowhere_is_not_found(anna: Person, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = anna.ask(method, path)
        if reply.status != 405 or "/api/docs/" not in path:
            check_problem(reply, 404, "not-found")
    assert "Location" not in reply.headers


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 100])
def test_another_method_is_told_which_there_are(app: Flask, anna: Person, method: str) -> None:
    before = dump(app)
    reply = anna.ask(method, "/api/alerts", headers={"X-Secret": "canary"})
    if method == "get":
        assert reply.status in (200, 405)
        return
    check_problem(reply, 405, "wrong-method")
    assert set(reply.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
    assert "canary" not in reply.text
    assert dump(app) == before


def test_no_header_makes_another_method_of_one(app: Flask, anna: Person) -> None:
    alert = anna.alert()
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert anna.ask("GET", f"/api/alerts/{alert['id']}?_method=DELETE", headers={name: "DELETE"}).status == 200
    assert anna.ask("GET", f"/api/alerts/{alert['id']}").status == 200


def test_head_says_what_get_would_without_a_body(anna: Person) -> None:
    for path in ("/livez", "/api/alerts", "/api/account"):
        head, get = anna.ask("HEAD", path), anna.ask("GET", path)
        assert (head.status, head.text) == (200, "")
        assert head.headers["Content-Length"] == get.headers["Content-Length"]


def test_options_say_which_methods_there_are_and_do_nothing(app: Flask, anna: Person) -> None:
    before = dump(app)
    for row in MATRIX:
        reply = anna.ask("OPTIONS", row.at(IDS))
        assert (reply.status, reply.text) == (200, "")
        assert row.method in reply.headers["Allow"].split(", ")
    assert dump(app) == before


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "", "*/*", "x"])
def test_whatever_a_client_accepts_it_is_json(anna: Person, accept: str) -> None:
    reply = anna.ask("GET", "/api/account", headers={"Accept": accept})
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize("etag", ['"', "", "x", '"1', 'W/"', "*" * 5_000, '"1", ' * 500, "\xe9"])
def test_an_odd_if_match_changes_nothing(app: Flask, anna: Person, etag: str) -> None:
    alert = anna.alert()
    before = dump(app)
    reply = anna.ask("POST", f"/api/alerts/{alert['id']}/pause", headers={"If-Match": etag})
    if etag.startswith('"1'):
        assert reply.status in (200, 412)
    else:
        check_problem(reply, 412, "changed")
        assert dump(app) == before


def test_postgresql_is_given_nothing_that_it_cannot_keep(postgres: Databases, tmp_path: Path) -> None:
    catalog = postgres.new_database()
    made(tmp_path, catalog, {name: postgres.new_database() for name in "ab"})
    with api_of(tmp_path, catalog_url=catalog) as app:
        anna = Person(app).joined()
        for name in ("NUL, escaped", "half of a surrogate pair", "a number of 5,000 digits"):
            check_problem(send(anna, MALFORMED[name]), 400, "malformed")
        for name in ("a number beyond 64 bits", "a huge number", "year 0"):
            check_problem(send(anna, json.dumps(INVALID[name]).encode()), 422, "invalid")
        cursors = [_cursor("ref", odd, NOBODYS) for odd in ("\0", "\ud800")]
        for query in ("ref=%00", *(f"sort=ref&cursor={cursor}" for cursor in cursors)):
            check_problem(anna.ask("GET", f"/api/alerts?{query}"), 422, "invalid")
        odd = {"User-Agent": "a\x00b"}
        anna.ask("POST", "/api/auth/login", {"email": anna.email, "password": PASSWORD}, odd).checked()
        login = b'{"email": "a\\u0000@example.org", "password": "x"}'
        check_problem(send(anna, login, "/api/auth/login"), 400, "malformed")
        check_problem(anna.ask("GET", "/api/alerts/%00"), 404, "not-found")
