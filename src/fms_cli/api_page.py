"""The tables of ``docs/api.md`` that are made from the code: its routes, and its types of problems."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PAGE = Path("docs/api.md")

METHODS = ("get", "post", "put", "patch", "delete")
ANYWHERE = {"400", "413", "415", "429", "503", "default"}
"""What any route may answer: the page says so once; also of 401 where a token is wanted."""


def api_page() -> str:
    """The page as it is, with its tables made anew."""
    from fms.web.problems import PROBLEMS

    page = PAGE.read_text(encoding="utf-8")
    rows = [f"| `{name}` | {status} | {title} |" for name, (status, title) in PROBLEMS.items()]
    page = _between(page, "problems", ["| type | status | title |", "|---|---|---|", *rows])
    return _between(page, "routes", _routes(_document()))


def _between(page: str, name: str, lines: Iterable[str]) -> str:
    """The page with the lines between its marks."""
    start, end = f"<!-- {name}, made from the code by `make docs` -->\n", f"<!-- end of {name} -->\n"
    text = "\n".join(lines).strip("\n")
    made, count = re.subn(f"(?s)(?<={re.escape(start)}).*?(?={re.escape(end)})", lambda _: f"\n{text}\n\n", page)
    if count != 1:
        raise ValueError(f"{PAGE}: one pair of marks wanted: {start}{end}")
    return made


def _document() -> Mapping[str, Any]:
    """The OpenAPI document, as an app over an empty site serves it."""
    import structlog

    from fms.accounts.keys import Keys
    from fms.bootstrap import Site
    from fms.settings import Settings
    from fms.web.app import create_app

    silent = structlog.wrap_logger(structlog.ReturnLogger())
    with TemporaryDirectory() as folder, Site(Settings.model_validate({"data": folder}), served=True) as site:
        app = create_app(site, Keys(("nothing is signed with this one",)), silent)
        found: Mapping[str, Any] = app.test_client().get("/api/openapi.json").get_json()
        return found


def _routes(document: Mapping[str, Any]) -> Iterable[str]:
    """A table for each tag."""
    for tag in document["tags"]:
        yield from ["", f"**{tag['description']}**", "", "| route | who | answers | does |", "|---|---|---|---|"]
        for path, operations in document["paths"].items():
            for method in METHODS:
                if tag["name"] in operations.get(method, {}).get("tags", ()):
                    yield _row(method.upper(), path, operations[method])


def _row(method: str, path: str, operation: Mapping[str, Any]) -> str:
    said_once = ANYWHERE | ({"401"} if operation.get("security") else set())
    answers = ", ".join(sorted(set(operation["responses"]) - said_once))
    return f"| `{method} {path}` | {_who(operation)} | {answers} | {operation['summary']} |"


def _who(operation: Mapping[str, Any]) -> str:
    if not operation.get("security"):
        return "anybody"
    return "operators" if "403" in operation["responses"] else "you"
