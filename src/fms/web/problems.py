"""Errors as ``application/problem+json`` (RFC 9457): what happened, which field, and by which id to ask about it."""

import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, json, request
from werkzeug.exceptions import HTTPException

from fms.accounts.passwords import TooMany
from fms.accounts.service import Refused
from fms.errors import FmsError, Invalid, NotFound, Transient
from fms.web.logs import app_log

PROBLEMS = {
    "malformed": (400, "The request cannot be read"),
    "unauthenticated": (401, "A valid access token is needed"),
    "wrong-credentials": (401, "Wrong e-mail or password"),
    "forbidden": (403, "This needs another role"),
    "not-found": (404, "There is nothing like that here"),
    "wrong-method": (405, "This cannot be done here"),
    "not-acceptable": (406, "No such form of an answer"),
    "conflict": (409, "It is there already"),
    "changed": (412, "It was changed meanwhile"),
    "too-large": (413, "The request is too large"),
    "wrong-type": (415, "This is not the type of content that is wanted"),
    "invalid": (422, "A field breaks a rule"),
    "immutable": (422, "This cannot be changed"),
    "key-reused": (422, "The Idempotency-Key was used for something else"),
    "limit": (422, "There are as many as there may be"),
    "version-wanted": (428, "If-Match is needed"),
    "too-many": (429, "Too many requests"),
    "fault": (500, "A fault of the server"),
    "unavailable": (503, "Not now: try again in a moment"),
}
"""Every type of problem: its HTTP status and title. Their URIs are ``urn:fms:problem:`` and the name."""

RETRY_SECONDS = 1

_BY_STATUS = {
    400: "malformed", 401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "wrong-method",
    406: "not-acceptable", 409: "conflict", 412: "changed", 413: "too-large", 415: "wrong-type", 422: "invalid",
    428: "version-wanted", 429: "too-many", 503: "unavailable",
}  # fmt: skip
_FIELD = re.compile(r"([a-z][a-z0-9_]*): (.+)", re.DOTALL)


@dataclass(frozen=True)
class Fault:
    """What is wrong with one part of a request: ``pointer`` (RFC 6901) into the body, or the name of a parameter."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None

    def document(self) -> dict[str, str]:
        """As it stands under ``errors``."""
        return {name: value for name, value in vars(self).items() if value is not None}


class Problem(FmsError):  # noqa: N818  # named after what is answered
    """What a view raises to answer with an error.

    Args:
        kind: one of ``PROBLEMS``.
        detail: what is the matter here.
        faults: with which parts.
        headers: of the answer.
    """

    def __init__(self, kind: str, detail: str, *faults: Fault, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.kind = kind
        self.faults = faults
        self.headers = headers or {}


def answer(problem: Problem) -> Response:
    """The problem as a response."""
    status, title = PROBLEMS[problem.kind]
    document = {
        "type": f"urn:fms:problem:{problem.kind}",
        "title": title,
        "status": status,
        "detail": str(problem),
        "instance": request.path,
        "request_id": g.get("request_id"),
    }
    if problem.faults:
        document["errors"] = [fault.document() for fault in problem.faults]
    response = Response(json.dumps(document), status, dict(problem.headers), mimetype="application/problem+json")
    if status == 401:
        response.headers.setdefault("WWW-Authenticate", "Bearer")
    return response


def problem_of(error: Exception) -> Problem:
    """What an error is to whoever asked."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_http(error)
    meaning = next(made for kind, made in _MEANINGS.items() if isinstance(error, kind))
    return meaning(error)


def _not_now(error: Exception) -> Problem:
    app_log().warning("not now", why=str(error), request_id=g.get("request_id"))
    return Problem("unavailable", _in_public(error), headers={"Retry-After": str(RETRY_SECONDS)})


def _fault(error: Exception) -> Problem:
    # Of our own errors the text is known to be fit for a log; others may quote a password, or a whole request.
    why = str(error) if isinstance(error, FmsError) else None
    app_log().error("fault", error=_kinds(error), why=why, where=_places(error), request_id=g.get("request_id"))
    return Problem("fault", "a fault of the server; its log has it under the request_id")


def _kinds(error: BaseException) -> str:
    """What kinds of errors led to one, the first cause last."""
    before = error.__cause__ or error.__context__
    return type(error).__name__ + (f" from {_kinds(before)}" if before else "")


def _places(error: Exception) -> str:
    """Where it came from, innermost first, on one line; unlike a traceback without what variables held."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return " < ".join(f"{Path(one.filename).name}:{one.lineno} {one.name}" for one in frames)


def _in_public(error: Exception) -> str:
    # Others name databases and hosts.
    text = str(error)
    return text if text.startswith("slot ") else "a service that this needs does not answer just now: try again"


def invalid(text: str, kind: str = "invalid") -> Problem:
    """The problem of an error text such as ``depart_to: before depart_from``."""
    found = _FIELD.fullmatch(text)
    if found is None:
        return Problem(kind, text)
    return Problem(kind, text, Fault(found[2], pointer=f"/{found[1]}"))


_MEANINGS: Mapping[type[Exception], Callable[[Exception], Problem]] = {
    Refused: lambda error: Problem("wrong-credentials", str(error)),
    TooMany: lambda error: Problem("too-many", str(error), headers={"Retry-After": str(RETRY_SECONDS)}),
    NotFound: lambda _error: Problem("not-found", "there is nothing like that here"),
    Invalid: lambda error: invalid(str(error)),
    Transient: _not_now,
    Exception: _fault,
}
"""The first that fits counts."""


def _of_http(error: HTTPException) -> Problem:
    code = error.code or 500
    if code == 404:
        return _MEANINGS[NotFound](error)
    kind = _BY_STATUS.get(code, "fault" if code >= 500 else "malformed")
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    messages: Mapping[str, Any] = (getattr(error, "data", None) or {}).get("messages", {})
    faults = [fault for place, found in messages.items() for fault in _faults(place, found, "")]
    detail = "; ".join(_in_words(fault) for fault in faults) or (error.description or PROBLEMS[kind][1])
    return Problem(kind, detail, *faults, headers=headers)


def _in_words(fault: Fault) -> str:
    name = fault.parameter or fault.header or (fault.pointer or "/").removeprefix("/")
    return f"{name}: {fault.detail}" if name else fault.detail


def _faults(place: str, found: Any, path: str) -> Iterator[Fault]:
    """Marshmallow's messages, which are lists at the ends of a tree of names."""
    if isinstance(found, Mapping):
        for name, below in found.items():
            yield from _faults(place, below, path if name == "_schema" else f"{path}/{_escaped(str(name))}")
        return
    for one in found if isinstance(found, list) else [found]:
        detail = str(one).removesuffix(".")
        if place == "json":
            yield Fault(detail, pointer=path)
        else:
            name = path.split("/")[1] if path else ""
            yield Fault(detail, **{"header" if place == "headers" else "parameter": name})


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def register(app: Flask) -> None:
    """Answer every error of an app so."""
    app.register_error_handler(Exception, lambda error: answer(problem_of(error)))
