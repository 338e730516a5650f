"""The OpenAPI document says what there is, and no more; its page asks nobody but this server."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from fms.web.problems import PROBLEMS
from fms.web.routes import is_public
from tests.web.apps import app_of
from tests.web.people import Person

METHODS = {"get", "post", "put", "patch", "delete"}
UNDOCUMENTED = {"/api/openapi.json", "/api/docs", "/api/docs/start.js", "/api/docs/{name}"}
"""The document itself, and its page."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with app_of(tmp_path_factory.mktemp("openapi")) as found:
        yield found


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = Person(app).ask("GET", "/api/openapi.json").checked()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & set(item):
            yield path, method, item[method]


def routes(app: Flask) -> Iterator[tuple[str, str, Any]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in {name.lower() for name in rule.methods or ()} & METHODS:
            yield path, method, app.view_functions[rule.endpoint]


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_is_documented_and_nothing_else(app: Flask, document: dict[str, Any]) -> None:
    there = {(path, method) for path, method, _ in routes(app) if path not in UNDOCUMENTED}
    assert {(path, method) for path, method, _ in operations(document)} == there


def test_whether_a_token_is_wanted_is_said(app: Flask, document: dict[str, Any]) -> None:
    public = {(path, method): is_public(view) for path, method, view in routes(app)}
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, method, operation in operations(document):
        wanted: list[dict[str, list[str]]] = [] if public[path, method] else [{"bearer": []}]
        assert operation.get("security", []) == wanted, path
        assert ("401" in operation["responses"]) >= bool(wanted), path


def test_errors_are_problems(document: dict[str, Any]) -> None:
    titles = {f"{name}: {title}" for name, (_, title) in PROBLEMS.items()}
    for path, method, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status < "400" or (path, status) == ("/readyz", "503"):
                continue
            assert list(answer["content"]) == ["application/problem+json"], (path, method, status)
            assert answer["content"]["application/problem+json"]["schema"]["$ref"].endswith("/ProblemOut")
            assert set(answer["description"].split("; ")) <= titles


def test_operations_have_names_tags_and_words(document: dict[str, Any]) -> None:
    found = [operation for _, _, operation in operations(document)]
    names = [operation["operationId"] for operation in found]
    assert len(set(names)) == len(names)
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    for operation in found:
        assert operation["summary"].endswith((".", ":")) or operation.get("description"), operation["operationId"]
        assert [tags[tag] for tag in operation["tags"]]


def test_parts_of_paths_are_ids_with_words(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        declared = {one["name"]: one for one in item.get("parameters", ())}
        assert set(declared) == set(re.findall(r"{(\w+)}", path))
        for one in declared.values():
            assert (one["in"], one["schema"]) == ("path", {"type": "string", "format": "uuid"})
            assert one["description"]


def test_headers_are_said_of_the_methods_that_mind_them(document: dict[str, Any]) -> None:
    minding = {
        (method, parameter["name"])
        for path, method, operation in operations(document)
        if path.startswith("/api/alerts")
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }
    assert minding == {
        ("post", "Idempotency-Key"), ("put", "If-Match"), ("delete", "If-Match"), ("post", "If-Match")
    }  # fmt: skip


def test_nothing_is_declared_that_nobody_uses(document: dict[str, Any]) -> None:
    text = str(document)
    for kind in ("schemas", "responses", "parameters", "headers"):
        for name in document["components"].get(kind, {}):
            assert f"#/components/{kind}/{name}" in text, name


def test_the_page_asks_nobody_else(app: Flask) -> None:
    page = Person(app).ask("GET", "/api/docs")
    assert page.status == 200
    places = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(places) == 4
    for place in places:
        assert place.startswith("/api/docs/")
        with app.test_client().get(place) as part:
            assert part.status_code == 200
    assert "<script>" not in page.text
    policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'"


@pytest.mark.parametrize("path", ["/api/docs/swagger-ui.css", "/api/docs/start.js", "/api/openapi.json"])
def test_what_does_not_change_need_not_be_sent_again(app: Flask, path: str) -> None:
    first = Person(app).ask("GET", path)
    assert first.status == 200
    assert "no-store" not in first.headers["Cache-Control"]
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert Person(app).ask("GET", path, headers={"If-None-Match": first.headers["ETag"]}).status == 304


@pytest.mark.parametrize("name", ["..%2f..%2fpackage.json", "../swagger-ui.css", "%2fetc%2fpasswd", "nothing.js"])
def test_other_files_are_not_given_away(app: Flask, name: str) -> None:
    assert Person(app).ask("GET", f"/api/docs/{name}").status == 404
