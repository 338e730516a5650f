"""Every route of the API, by method: who may ask, with what, and how somebody else's ids would get in.

A new route has its row here, or ``test_every_route_has_a_row`` fails.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.web.people import ALERT, PASSWORD

PUBLIC, USER, OPERATOR = "public", "user", "operator"
"""Who may ask."""

NEW_PASSWORD = "another horse battery staple"  # noqa: S105  # of tests
LINE = json.dumps(ALERT | {"ref": "imported"})
FILE = {"data": LINE, "content_type": "application/x-ndjson"}

PREFERENCES = {
    "zone": "Europe/London", "quiet_from": None, "quiet_to": None, "daily_cap": 3, "snoozed_until": None,
    "channels": None,
}  # fmt: skip

Ids = dict[str, str]
"""A person's things by the name of the path parameter that stands for them; ``refresh_token``, ``email`` too."""


@dataclass(frozen=True)
class Row:
    """One method of one route.

    Attributes:
        body: JSON that it takes of the owner of the ids; None: none.
        status: what the owner is answered.
        more: what else a request has, as for ``Person.ask``.
        foreign: bodies with ids of another person's, and what they are answered.
        queries: queries with ids of another person's, and what they are answered.
    """

    method: str
    path: str
    who: str = USER
    body: Callable[[Ids], Any] | None = None
    status: int = 200
    more: dict[str, Any] = field(default_factory=dict)
    foreign: tuple[tuple[Callable[[Ids], Any], int], ...] = ()
    queries: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, ids: Ids) -> str:
        """The path, for a person's ids."""
        found = self.path
        for name, value in ids.items():
            found = found.replace(f"<{name}>", value).replace(f"<path:{name}>", value)
        return found

    def asked(self, ids: Ids) -> Any:
        """The body, for a person's ids."""
        return None if self.body is None else self.body(ids)


def _credentials(ids: Ids) -> dict[str, str]:
    return {"email": ids["email"], "password": PASSWORD}


def _edit(_ids: Ids) -> dict[str, Any]:
    return ALERT | {"target_minor": 3_000}


def device(token: str) -> dict[str, str]:
    return {"provider": "fcm", "token": sha256(token.encode()).hexdigest() * 2, "name": "mobile"}


def _new_password(_ids: Ids) -> dict[str, str]:
    return {"password": PASSWORD, "new_password": NEW_PASSWORD}


def _up_to(ids: Ids) -> dict[str, str]:
    return {"up_to": ids["notification_id"]}


def _password(_ids: Ids) -> dict[str, str]:
    return {"password": PASSWORD}


MATRIX = (
    Row("POST", "/api/auth/register", PUBLIC, lambda _: {"email": "new@example.org", "password": PASSWORD}, 201),
    Row("POST", "/api/auth/login", PUBLIC, _credentials),
    Row("POST", "/api/auth/refresh", PUBLIC, lambda ids: {"refresh_token": ids["refresh_token"]}),
    Row("POST", "/api/auth/logout", status=204),
    Row("POST", "/api/auth/logout-everywhere", status=204),
    Row("GET", "/api/account"),
    Row("DELETE", "/api/account", body=_password, status=204),
    Row("POST", "/api/account/password", body=_new_password, status=204),
    Row("GET", "/api/account/export"),
    Row("GET", "/api/account/sessions"),
    Row("DELETE", "/api/account/sessions/<session_id>", status=204),
    Row(
        "POST", "/api/alerts", body=lambda _: ALERT | {"ref": "second"}, status=201,
        foreign=(
            (lambda ids: ALERT | {"id": ids["alert_id"]}, 422),
            (lambda ids: ALERT | {"user_id": ids["user_id"]}, 422),
            (lambda ids: ALERT | {"user": ids["email"]}, 422),
            (lambda ids: ALERT | {"ref": ids["ref"]}, 201),
            (lambda ids: ALERT | {"ref": ids["alert_id"]}, 201),
        ),
    ),
    Row(
        "GET", "/api/alerts",
        queries=(("ref={ref}", 200), ("ref={alert_id}", 200), ("cursor={cursor}", 200), ("user_id={user_id}", 422),
                 ("user={email}", 422), ("id={alert_id}", 422)),
    ),
    Row("GET", "/api/alerts/<alert_id>"),
    Row("PUT", "/api/alerts/<alert_id>", body=_edit),
    Row("DELETE", "/api/alerts/<alert_id>", status=204),
    Row("POST", "/api/alerts/<alert_id>/pause"),
    Row("POST", "/api/alerts/<alert_id>/resume"),
    Row("POST", "/api/alerts/<alert_id>/snooze", body=lambda _: {"until": "2027-01-01T00:00:00Z"}),
    Row("GET", "/api/alerts/<alert_id>/explain"),
    Row("POST", "/api/alerts/import", more=FILE),
    Row("GET", "/api/alerts/export"),
    Row(
        "GET", "/api/notifications",
        queries=(("alert_id={alert_id}", 200), ("cursor={inbox_cursor}", 200), ("user_id={user_id}", 422)),
    ),
    Row("GET", "/api/notifications/unread"),
    Row("POST", "/api/notifications/read", body=lambda _: {}, foreign=((_up_to, 404),)),
    Row("GET", "/api/notifications/<notification_id>"),
    Row("POST", "/api/notifications/<notification_id>/read"),
    Row("POST", "/api/notifications/<notification_id>/unread"),
    Row("POST", "/api/devices", body=lambda ids: device(f"one more of {ids['user_id']}"), status=201),
    Row("GET", "/api/devices"),
    Row("PUT", "/api/devices/<device_id>", body=lambda _: {"name": "telephone"}),
    Row("POST", "/api/devices/<device_id>/proof", body=lambda ids: {"proof": ids["proof"]}),
    Row("DELETE", "/api/devices/<device_id>", status=204),
    Row("GET", "/api/preferences"),
    Row("PUT", "/api/preferences", body=lambda _: PREFERENCES),
    Row("GET", "/livez", PUBLIC),
    Row("GET", "/readyz", PUBLIC),
    Row("GET", "/metrics", PUBLIC),
    Row("GET", "/api/operator/status", OPERATOR),
    Row("GET", "/api/openapi.json", PUBLIC),
    Row("GET", "/api/docs", PUBLIC),
    Row("GET", "/api/docs/start.js", PUBLIC),
    Row("GET", "/api/docs/<path:name>", PUBLIC),
)  # fmt: skip
