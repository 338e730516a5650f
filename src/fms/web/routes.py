"""Views and their documents, declared together: one decorator says all that a route takes and answers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar, cast

from flask_smorest import Blueprint
from marshmallow import Schema, fields

from fms.web.bodies import Bodies
from fms.web.fields import Closed
from fms.web.problems import PROBLEMS

P = ParamSpec("P")
Answer = TypeVar("Answer")

PROBLEM = "application/problem+json"

IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the version that is to be changed; of another one it is not (412).",
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "A text of the client's choice. Sent again with the same body it is given the same answer.",
}


class FaultOut(Closed):
    """What is wrong with one part of a request."""

    detail = fields.String(required=True)
    pointer = fields.String(metadata={"description": "RFC 6901, into the body."})
    parameter = fields.String()
    header = fields.String()


class ProblemOut(Closed):
    """An error (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True)
    request_id = fields.String(required=True, allow_none=True)
    errors = fields.List(fields.Nested(FaultOut))


class Routes(Blueprint):  # type: ignore[misc]  # flask-smorest has no types
    """Some routes of the API."""

    ARGUMENTS_PARSER = Bodies()

    def __init__(self, name: str, prefix: str, description: str) -> None:
        super().__init__(name, f"fms.web.{name}", url_prefix=prefix, description=description)

    def view(
        self,
        method: str,
        path: str,
        *,
        answer: type[Schema] | Mapping[str, Any] | None = None,
        status: int = 200,
        body: type[Schema] | None = None,
        query: type[Schema] | None = None,
        public: bool = False,
        problems: Sequence[str] = (),
        headers: Sequence[Mapping[str, Any]] = (),
        content_type: str | None = None,
    ) -> Callable[[Callable[P, Answer]], Callable[P, Answer]]:
        """Declare a view.

        Args:
            method: of its requests.
            path: the same.
            answer: what it answers if all is well; a mapping is a JSON schema.
            status: with which that is answered.
            body: what it takes; the view is given a mapping.
            query: the same; it comes after that of the body.
            public: whether anybody may ask; else only with an access token.
            problems: which of ``PROBLEMS`` it may answer, apart from those that many views have.
            headers: OpenAPI parameters of headers that it minds.
            content_type: of the answer.
        """

        def declare(view: Callable[P, Answer]) -> Callable[P, Answer]:
            decorated: Any = view
            decorated.fms_public = public
            decorated = self.response(status, answer, content_type=content_type)(decorated)
            for code, names in _by_status(_problems(path, body, query, public=public) | set(problems)).items():
                words = "; ".join(f"{name}: {PROBLEMS[name][1]}" for name in names)
                decorated = self.alt_response(code, schema=ProblemOut, content_type=PROBLEM, description=words)(
                    decorated
                )
            if query is not None:
                decorated = self.arguments(query(), location="query")(decorated)
            if body is not None:
                decorated = self.arguments(body())(decorated)
            if not public:
                decorated = self.doc(security=[{"bearer": []}])(decorated)
            if headers:
                # Of this operation: what is said of a route is said of its other methods too.
                decorated = self.doc(parameters=list(headers))(decorated)
            decorated = self.doc(operationId=f"{self.name}_{view.__name__.rstrip('_')}")(decorated)
            return cast("Callable[P, Answer]", self.route(path, methods=[method])(decorated))

        return declare


def _problems(path: str, body: type[Schema] | None, query: type[Schema] | None, *, public: bool) -> set[str]:
    """Those that any view of this kind may answer."""
    found = {"too-many", "unavailable"}
    if not public:
        found.add("unauthenticated")
    if "<" in path:
        found.add("not-found")
    if body is not None or query is not None:
        found.add("invalid")
    if body is not None:
        found |= {"malformed", "too-large", "wrong-type"}
    return found


def _by_status(names: set[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for name in sorted(names):
        found.setdefault(PROBLEMS[name][0], []).append(name)
    return dict(sorted(found.items()))


def is_public(view: Callable[..., Any]) -> bool:
    """Whether anybody may ask a view. One that says nothing of it wants an access token."""
    return bool(getattr(view, "fms_public", False))


def public(view: Callable[P, Answer]) -> Callable[P, Answer]:
    """Mark a view that is no part of the documented API as one that anybody may ask."""
    view.fms_public = True  # type: ignore[attr-defined]  # functions may have attributes
    return view
