"""Every route against whoever has no business there: nobody, another user, and whoever sends more than is asked for."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from jsonschema_rs import validator_for

from fms.accounts.devices import proof_of
from fms.model.ids import IdMint
from tests.web.matrix import MATRIX, OPERATOR, PUBLIC, Ids, Row, device
from tests.web.people import ALERT, Person, Reply
from tests.web.shards import about, accounts_of, api_of, columns, dump, parts_of, price_known

STRANGERS = [row for row in MATRIX if row.who != PUBLIC]
OF_ONE = [row for row in STRANGERS if "<" in row.path]
DOCUMENTED = [row for row in MATRIX if not row.path.startswith(("/api/docs", "/api/openapi"))]
WITH_BODY = [row for row in MATRIX if row.body is not None]


def _listed(row: Row) -> str:
    return str(row)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """The API of one site for all tests; each is about new people."""
    with api_of(tmp_path_factory.mktemp("site")) as found:
        price_known(found, 3_500)
        yield found


@pytest.fixture(scope="module")
def document(app: Flask) -> Any:
    """The OpenAPI document."""
    return app.test_client().get("/api/openapi.json").get_json()


def settled(app: Flask) -> tuple[Person, Ids]:
    """Somebody who has one of everything, and the ids of it; the cursors lead to the second of two."""
    person = Person(app).joined()
    alerts = [person.alert(ref=uuid4().hex) for _ in range(2)]
    inbox = person.ask("GET", "/api/notifications?limit=1").checked()
    made = person.ask("POST", "/api/devices", device(person.email)).checked(201)
    own = next(one for one in parts_of(app).devices.all(UUID(_me(person)["id"])))
    return person, {
        "email": person.email,
        "user_id": _me(person)["id"],
        "session_id": person.ask("GET", "/api/account/sessions").checked()["items"][0]["id"],
        "alert_id": alerts[0]["id"],
        "ref": alerts[0]["ref"],
        "cursor": person.ask("GET", "/api/alerts?limit=1").checked()["next"],
        "notification_id": inbox["items"][0]["notification_id"],
        "inbox_cursor": inbox["next"],
        "device_id": made["id"],
        "proof": proof_of(own, parts_of(app).keys),
        "refresh_token": person.refresh,
        "name": "swagger-ui.css",
    }


@pytest.fixture(scope="module")
def reader(app: Flask) -> tuple[Person, Ids]:
    """Somebody who asks only for what changes nothing; an operator, so that everything may be asked for."""
    person, ids = settled(app)
    accounts_of(app).set_role(accounts_of(app).find(person.email), "operator")
    return person, ids


@pytest.fixture
def asker(app: Flask, row: Row, reader: tuple[Person, Ids]) -> tuple[Person, Ids]:
    """Somebody new, unless what is asked for changes nothing."""
    return reader if row.method == "GET" else settled(app)


def _me(person: Person) -> Any:
    return person.ask("GET", "/api/account").checked()


@pytest.fixture(scope="module")
def ben(app: Flask) -> Ids:
    """The ids of somebody to whom nothing may happen."""
    return settled(app)[1]


def traces(ids: Ids) -> list[str]:
    """What would tell of a person."""
    return [ids[name] for name in ids if name.endswith("_id")] + [ids["email"]]


def ask(person: Person, row: Row, ids: Ids, **more: Any) -> Reply:
    return person.ask(row.method, row.at(ids), **{"body": row.asked(ids), **row.more, **more})


def test_every_route_has_a_row(app: Flask) -> None:
    there = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    asked = {(method, path) for method, path in there if method not in ("HEAD", "OPTIONS")}
    assert asked == {(row.method, row.path) for row in MATRIX}
    assert len(MATRIX) == len(asked)


def test_every_parameter_of_a_path_is_somebodys(app: Flask) -> None:
    _, ids = settled(app)
    assert [row.path for row in MATRIX if "<" in row.at(ids)] == []


def test_nobody_is_let_in_without_a_token(app: Flask) -> None:
    _, ids = settled(app)
    before = dump(app)
    for row in STRANGERS:
        reply = ask(Person(app), row, ids)
        assert (reply.status, reply.json["type"]) == (401, "urn:fms:problem:unauthenticated"), str(row)
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        if row.method == "GET":
            assert Person(app).ask("HEAD", row.at(ids)).status == 401, str(row)
    assert dump(app) == before


def test_what_is_public_needs_no_token(app: Flask) -> None:
    _, ids = settled(app)
    for row in MATRIX:
        if row.who == PUBLIC:
            assert ask(Person(app), row, ids).status == (row.status), str(row)


def test_what_is_for_operators_is_for_no_user(app: Flask) -> None:
    person, ids = settled(app)
    before = dump(app)
    rows = [row for row in MATRIX if row.who == OPERATOR]
    assert rows
    for row in rows:
        reply = ask(person, row, ids)
        assert (reply.status, reply.json["type"]) == (403, "urn:fms:problem:forbidden"), str(row)
    assert dump(app) == before
    accounts_of(app).set_role(accounts_of(app).find(person.email), "operator")
    assert [ask(person, row, ids).status for row in rows] == [row.status for row in rows]


@pytest.mark.parametrize("role", ["user", "operator"])
def test_what_is_anothers_is_not_there(app: Flask, ben: Ids, role: str) -> None:
    anna, own = settled(app)
    ids = ben
    accounts_of(app).set_role(accounts_of(app).find(anna.email), role)
    mint = IdMint()
    # Of the same slots: where they are looked for there is somebody else's.
    made_up = ids | {name: str(mint.new(_slot(ids[name]))) for name in ids if name.endswith("_id")}
    before = dump(app)
    for row in OF_ONE:
        foreign, unknown = ask(anna, row, ids), ask(anna, row, made_up)
        assert (foreign.status, foreign.json["type"]) == (404, "urn:fms:problem:not-found"), str(row)
        assert _told(foreign) == _told(unknown), str(row)
        for hopeless in ("x", "0" * 40, "00000000-0000-0000-0000-000000000000", "..%2f", "%00", "%ff", "'--"):
            nothing = anna.ask(row.method, row.at(dict.fromkeys(ids, hopeless)), row.asked(ids), **row.more)
            assert (nothing.status, nothing.headers["Content-Type"]) == (404, "application/problem+json"), str(row)
    assert dump(app) == before
    assert own["user_id"] != ids["user_id"]


def _slot(text: str) -> int:
    return int(text[15:18], 16)


def _told(reply: Reply) -> dict[str, Any]:
    return {name: value for name, value in reply.json.items() if name not in ("instance", "request_id")}


@pytest.mark.parametrize("row", STRANGERS, ids=_listed)
def test_what_somebody_does_touches_nothing_of_others(
    app: Flask, ben: Ids, asker: tuple[Person, Ids], row: Row
) -> None:
    anna, own = asker
    ids = ben
    before = about(dump(app), *traces(ids))
    query = {"user_id": ids["user_id"], "user": ids["email"], "id": ids["alert_id"]}
    replies = [
        ask(anna, row, own, headers={"X-User-Id": ids["user_id"], "Cookie": f"user_id={ids['user_id']}"}),
        ask(anna, row, own, query_string=query),
    ]
    assert replies[0].status == row.status, replies[0].text
    for reply in replies:
        assert not any(trace in reply.text for trace in traces(ids))
    assert about(dump(app), *traces(ids)) == before


def test_what_names_anothers_things_in_its_body_or_query_touches_nothing_of_theirs(app: Flask, ben: Ids) -> None:
    anna, own = settled(app)
    ids = ben
    before = about(dump(app), *traces(ids))
    tried = 0
    for row in MATRIX:
        for body, status in row.foreign:
            reply = anna.ask(row.method, row.at(own), body(ids))
            assert reply.status == status, f"{row}: {reply.text}"
            tried += 1
        for query, status in row.queries:
            reply = anna.ask(row.method, f"{row.at(own)}?{query.format(**ids)}")
            assert reply.status == status, f"{row} {query}: {reply.text}"
            if status == 200:
                told = [item["id"] for item in reply.json["items"]]
                assert not any(trace in reply.text for trace in (ids["user_id"], ids["email"])), str(row)
                assert ids["alert_id"] not in told
            tried += 1
    assert tried >= 11
    kept = {row for row in about(dump(app), *traces(ids)) if own["user_id"] not in row[2]}
    assert kept == before


def test_a_key_of_anothers_is_a_key_of_ones_own(app: Flask) -> None:
    anna, _ = settled(app)
    ben, _ = settled(app)
    made = [one.ask("POST", "/api/alerts", ALERT, {"Idempotency-Key": "same"}) for one in (ben, anna)]
    assert [one.status for one in made] == [201, 201]
    assert made[0].json["id"] != made[1].json["id"]


def test_no_field_is_taken_that_is_not_asked_for(app: Flask, document: Any) -> None:
    """Nor any that a table has: whoever sends ``role`` or ``user_id`` is told so."""
    anna, ids = settled(app)
    before = dump(app)
    for row in WITH_BODY:
        extra = [column for column in columns() if column not in _fields(document, row)]
        reply = anna.ask(row.method, row.at(ids), row.asked(ids) | dict.fromkeys(extra, 1))
        assert reply.status == 422, f"{row}: {reply.text}"
        told = [fault["pointer"] for fault in reply.json["errors"] if fault["detail"] == "no such field"]
        assert set(told) == {f"/{column}" for column in extra}, str(row)
        assert len(extra) > 50
        alone = anna.ask(row.method, row.at(ids), row.asked(ids) | {"user_id": ids["user_id"]})
        assert (alone.status, alone.json["errors"]) == (422, [{"detail": "no such field", "pointer": "/user_id"}])
    assert dump(app) == before


def _fields(document: dict[str, Any], row: Row) -> set[str]:
    schema = _operation(document, row)["requestBody"]["content"]["application/json"]["schema"]
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return set(found["properties"])


def _operation(document: dict[str, Any], row: Row) -> Any:
    return document["paths"][row.path.replace("<", "{").replace(">", "}")][row.method.lower()]


def test_every_body_is_in_the_matrix(document: Any) -> None:
    with_body = {
        (method.upper(), path.replace("{", "<").replace("}", ">"))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "parameters" and "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert with_body == {(row.method, row.path) for row in WITH_BODY}


@pytest.mark.parametrize("row", DOCUMENTED, ids=_listed)
def test_no_answer_has_a_field_that_is_not_declared(
    app: Flask, document: Any, asker: tuple[Person, Ids], row: Row
) -> None:
    anna, ids = asker
    replies = [ask(anna, row, ids), ask(Person(app), row, ids)]
    if row.body:
        replies.append(ask(anna, row, ids, body={"nonsense": 1}))
    assert replies[0].status == row.status, replies[0].text
    for reply in replies:
        _check_declared(document, row, reply)


def _check_declared(document: dict[str, Any], row: Row, reply: Reply) -> None:
    declared = _operation(document, row)["responses"]
    assert str(reply.status) in declared, f"{row}: {reply.status} is not declared"
    answer = declared[str(reply.status)]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    contents = answer.get("content", {})
    kind = reply.headers.get("Content-Type", "").partition(";")[0]
    if not reply.text:
        assert contents == {}
        return
    assert kind in contents, f"{row}: {reply.status} as {kind} is not declared"
    if kind.endswith("json") and "ndjson" not in kind:
        schema = contents[kind]["schema"] | {"components": document["components"]}
        validator_for(schema).validate(reply.json)


@pytest.mark.parametrize(
    "name", ["AlertOut", "MadeOut", "AlertPageOut", "ExplanationOut", "AccountOut", "SessionsOut", "TokenPair"]
)
def test_a_field_too_many_would_be_noticed(document: Any, name: str) -> None:
    """The teeth of the test above: its schemas are closed."""
    assert document["components"]["schemas"][name]["additionalProperties"] is False
