"""People who use the API of a site, in this process, without a server between."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

from flask import Flask
from werkzeug.datastructures import Headers

from fms.model.route import slot_of_user

PASSWORD = "correct horse battery staple"  # noqa: S105  # of tests

ALERT: dict[str, Any] = {
    "kind": "target",
    "target_minor": 4000,
    "origin": "STN",
    "destination": "BGY",
    "depart_from": "2027-10-01",
    "depart_to": "2027-10-14",
    "currency": "GBP",
}


@dataclass(frozen=True)
class Reply:
    """What the API answered; ``json`` is None if it is not JSON."""

    status: int
    headers: Headers
    text: str
    json: Any

    def checked(self, status: int = 200) -> Any:
        """The JSON of an answer that has this status."""
        assert self.status == status, f"{self.status}: {self.text}"
        return self.json


@dataclass
class Person:
    """Somebody with an account, or without one while ``access`` is empty."""

    app: Flask
    email: str = field(default_factory=lambda: f"{uuid4().hex}@example.org")
    password: str = PASSWORD
    access: str = ""
    refresh: str = ""

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Reply:
        """One request, as this person. ``more``: as for Flask's test client."""
        said = {"Authorization": f"Bearer {self.access}"} if self.access else {}
        content = {} if body is None else {"json": body}
        found = self.app.test_client().open(path, method=method, headers={**said, **(headers or {})}, **content, **more)
        reply = Reply(found.status_code, found.headers, found.text, found.get_json(silent=True))
        found.close()
        return reply

    def joined(self) -> "Person":
        """Themselves, registered and logged in."""
        self.ask("POST", "/api/auth/register", {"email": self.email, "password": self.password}).checked(201)
        return self.logged_in()

    def logged_in(self) -> "Person":
        """Themselves, with new tokens."""
        tokens = self.ask("POST", "/api/auth/login", {"email": self.email, "password": self.password}).checked()
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]
        return self

    def alert(self, **changes: Any) -> dict[str, Any]:
        """An alert that they made."""
        found: dict[str, Any] = self.ask("POST", "/api/alerts", ALERT | changes).checked(201)
        return found


def neighbour_of(person: Person) -> Person:
    """Somebody else with an account, whose rows lie in the same shard: what is not asked for by user is seen there."""
    router = person.app.extensions["fms"].site.router
    here = router.of(slot_of_user(person.email)).name
    emails = (f"{uuid4().hex}@example.org" for _ in count())
    return Person(person.app, next(one for one in emails if router.of(slot_of_user(one)).name == here)).joined()
