"""What the views work with: the site's services, and who asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from flask import current_app, g

from fms.accounts.devices import Devices
from fms.accounts.keys import Keys
from fms.accounts.service import Accounts, Identity
from fms.bootstrap import Site
from fms.db.creation import AlertCreation
from fms.db.inbox_pages import InboxPages
from fms.db.listing import AlertPages
from fms.errors import Invalid, NotFound
from fms.model.ids import parse_id
from fms.model.user import User
from fms.web.tokens import Tokens


@dataclass(frozen=True)
class Parts:
    """The services of one app; ``draining``: whether its process is about to end."""

    site: Site
    accounts: Accounts
    tokens: Tokens
    keys: Keys
    creation: AlertCreation
    pages: AlertPages
    inbox: InboxPages
    devices: Devices
    draining: Callable[[], bool]


def parts() -> Parts:
    """Those of the app at work."""
    return cast("Parts", current_app.extensions["fms"])


def identity() -> Identity:
    """Who asks; every view that is not public has somebody."""
    return cast("Identity", g.identity)


def id_in_path(text: str) -> UUID:
    """The id in a request's path; raises NotFound if it is none, as for one that nothing has."""
    try:
        return parse_id(text)
    except Invalid:
        raise NotFound(f"nothing has the id {text}") from None


def me() -> User:
    """The user who asks."""
    return identity().account.user
