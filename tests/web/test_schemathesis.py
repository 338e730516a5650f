"""The API against its own OpenAPI document: requests that fit it and such that do not, also one after another."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from fms.runtime.watching import Log
from tests.web.people import ALERT, Person
from tests.web.shards import api_of

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
"""What must be true of every answer."""

ENDINGS = "/api/auth/logout|/api/auth/logout-everywhere|/api/account/sessions/|/api/account$|/api/account/password"
"""What ends the login with which everything else is asked."""

NOT_HERE = "/readyz|/metrics"
"""They say what is so at the moment."""

MADE = {
    "POST /api/alerts": ALERT,
    "POST /api/devices": {"provider": "fcm", "token": "a token of a phone", "name": "phone"},
}

SETTINGS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Person]]:
    """The document of a site as schemathesis reads it, and somebody who asks."""
    with api_of(tmp_path_factory.mktemp("schema"), cast("Log", Quiet())) as app:
        yield schemathesis.openapi.from_wsgi("/api/openapi.json", app), Person(app).joined()


class Quiet:
    """A log that says nothing."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_event, **_fields: None


def check(case: Any, person: Person) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {person.access}"}, checks=CHECKS)


def test_every_answer_is_one_that_the_document_names(asked: tuple[Any, Person]) -> None:
    document, person = asked
    operations = [found.ok() for found in document.exclude(path_regex=f"{ENDINGS}|{NOT_HERE}").get_all_operations()]
    assert len(operations) > 25
    for operation in operations:

        @settings(max_examples=12, **SETTINGS)
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            check(case, person)

        ask()


def statuses(operation: Any) -> set[int]:
    """How an operation is answered without a token."""
    found: set[int] = set()

    @settings(max_examples=2, **SETTINGS)
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        found.add(case.call_and_validate(checks=CHECKS[:4]).status_code)

    ask()
    return found


def test_without_a_token_there_is_nothing(asked: tuple[Any, Person]) -> None:
    document, _ = asked
    operations = [found.ok() for found in document.exclude(path_regex=NOT_HERE).get_all_operations()]
    closed = [one for one in operations if one.definition.raw.get("security")]
    assert len(operations) > len(closed) > 25
    for operation in closed:
        assert statuses(operation) == {401}


def test_what_was_made_is_used_and_no_answer_is_unknown(asked: tuple[Any, Person]) -> None:
    document, person = asked
    machine = document.exclude(path_regex=f"{ENDINGS}|{NOT_HERE}").as_state_machine()
    used: list[str] = []

    class Client(machine):  # type: ignore[misc,valid-type]  # it is made of the document
        def before_call(self, case: Any) -> None:
            # By chance hardly any alert or device would be made.
            case.body = MADE.get(case.operation.label, case.body)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": {"Authorization": f"Bearer {person.access}"}}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            if case.path_parameters and response.status_code == 200:
                used.append(case.operation.label)
            case.validate_response(response, checks=CHECKS[:4])

    Client.run(settings=settings(max_examples=12, stateful_step_count=8, **SETTINGS))
    assert used, "nothing that was made was found again"
