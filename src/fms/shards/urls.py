"""URLs of databases: which forms there are, what stands in them for a secret, and how they are shown."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from fms.errors import Fatal

_POSTGRES = ("postgres", "postgresql", "postgresql+psycopg2")
_SECRETS = ("password", "sslpassword")
_STAND_IN = re.compile(r"(:?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}(@?)")


def parse_url(text: str) -> URL:
    """The URL of a database, with the driver that fms uses; raises Fatal without showing what may be a password."""
    kind, _, rest = expanded(text).partition(":")
    if kind in _POSTGRES:
        # The bare scheme would mean another driver to SQLAlchemy.
        kind = "postgresql+psycopg2"
    elif kind != "sqlite":
        raise Fatal(f"this kind of database is not supported: {kind[:20] or 'none'} (postgresql or sqlite wanted)")
    try:
        return make_url(f"{kind}:{rest}")
    except (ArgumentError, ValueError):
        # Its text may quote a piece of the password.
        raise Fatal(f"{kind.partition('+')[0]}: not a URL (is a sign of the password to be written as %XX?)") from None


def expanded(text: str) -> str:
    """A URL in which each ``${NAME}`` is the value of that environment variable; raises Fatal if there is none.

    A value that is the whole password (``:${NAME}@``) may hold any sign, others are put in as they are.
    """
    return _STAND_IN.sub(_value, text)


def _value(found: re.Match[str]) -> str:
    before, name, after = found.groups()
    value = os.environ.get(name)
    if value is None:
        raise Fatal(f"the URL of a database asks for the environment variable {name}, which is not set")
    return before + (quote(value, safe="") if before and after else value) + after


def shown(url: URL) -> str:
    """A URL for people: without any password, and without the driver."""
    open_query = {name: value for name, value in url.query.items() if name not in _SECRETS}
    plain = url.set(drivername=url.get_backend_name(), query=open_query)
    return URL.create(
        plain.drivername, plain.username, None, plain.host, plain.port, plain.database, plain.query
    ).render_as_string()


def located(text: str, data: Path) -> URL:
    """A URL as ``parse_url`` reads it; a SQLite file that is named without a folder lies in the data directory."""
    url = parse_url(text)
    if url.get_backend_name() != "sqlite" or not url.database:
        return url
    return url.set(database=str(data.resolve() / url.database))


def missing_file(url: URL) -> Path | None:
    """The file of a SQLite database that is not there (opening it would make it anew); None for any other database."""
    if url.get_backend_name() != "sqlite" or Path(url.database or "").is_file():
        return None
    return Path(url.database or "")


def identity(url: URL) -> tuple[object, ...]:
    """What all URLs of one database have in common, as far as URLs tell."""
    if url.get_backend_name() == "sqlite":
        return (url.database,)
    where = {name: url.query.get(name) for name in ("host", "port", "options")}
    return ((url.host or "").lower(), url.port or 5432, url.database or url.username, *where.items())
