"""Bodies of requests: JSON as strictly as RFC 8259 allows, and nothing that a database could not keep."""

import json
from collections.abc import Iterator
from typing import Any

from flask import Request
from flask_smorest.arguments import ArgumentsMixin
from werkzeug.datastructures import MultiDict

from fms.web.problems import Fault, Problem


def read_json(content: bytes) -> Any:
    """A body's document; raises Problem.

    Names that stand twice are refused, for readers differ in which of them counts; so are numbers that JSON does not
    know, and texts with NUL or half of a surrogate pair, which neither UTF-8 nor PostgreSQL can hold.
    """
    try:
        found = json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_unknown)
    except (ValueError, RecursionError):
        raise Problem("malformed", "not JSON as RFC 8259 has it, in UTF-8, each name once in an object") from None
    if b"\\u" in content and not all(map(_can_be_kept, _texts(found))):
        raise Problem("malformed", "a text has NUL or half of a surrogate pair")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


def _unknown(name: str) -> float:
    raise ValueError(name)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, below in value.items():
            yield name
            yield from _texts(below)
    elif isinstance(value, list):
        for below in value:
            yield from _texts(below)


def _can_be_kept(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


class Bodies(type(ArgumentsMixin.ARGUMENTS_PARSER)):  # type: ignore[misc]  # flask-smorest's own has no types
    """Reads what a view's schemas want from its request, and leaves to them what they do not know."""

    DEFAULT_UNKNOWN_BY_LOCATION = dict.fromkeys(("json", "query"))

    def load_json(self, req: Request, _schema: Any) -> Any:
        """The body's document; an empty body is an empty object."""
        content = req.get_data()
        if not content:
            return {}
        if not req.is_json:
            raise Problem("wrong-type", "application/json is wanted")
        return read_json(content)

    def load_querystring(self, req: Request, schema: Any) -> Any:
        """The parameters of the query."""
        args: MultiDict[str, str] = req.args
        for name, value in args.items(multi=True):
            if "\0" in name or "\0" in value:
                raise Problem("invalid", "a parameter has NUL", Fault("NUL", parameter=name.replace("\0", "")))
        return super().load_querystring(req, schema)
