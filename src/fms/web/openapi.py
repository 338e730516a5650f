"""The OpenAPI document, and a page that shows it without any other server."""

from pathlib import Path
from typing import Any

import flask_swagger_ui
from flask import Flask, Response, request, send_from_directory
from flask_smorest import Api

import fms
from fms.web.routes import public

DAY_SECONDS = 24 * 60 * 60

ASSETS = Path(flask_swagger_ui.__file__).parent / "dist"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>fms API</title>
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
<link rel="icon" href="/api/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""

_START = """window.ui = SwaggerUIBundle({
  url: "/api/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
});
"""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'"
)
"""The page's styles are partly inline; its scripts are not."""


_ABOUT = """Flight price alerts: say which flights you want and when they are cheap enough, and be told once they are.

Lists answer `{"items": […], "next": …}`; `next` is null or the `cursor` of the next page. Errors are
`application/problem+json` (RFC 9457) and name the field. Prices are integers in the currency's minor unit."""

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The `access_token` that a login answers with. It is short-lived: /api/auth/refresh gives the next.",
}

_UNUSED = (
    "Error", "PaginationMetadata", "DEFAULT_ERROR", "UNPROCESSABLE_ENTITY", "NOT_MODIFIED", "PRECONDITION_FAILED",
    "PRECONDITION_REQUIRED", "PAGINATION",
)  # fmt: skip
"""What flask-smorest puts there for features of its own."""


class Documented(Api):  # type: ignore[misc]  # flask-smorest has no types
    """The app's routes with their document; errors are answered as ``problems`` says."""

    def __init__(self, app: Flask) -> None:
        app.config |= {
            "API_TITLE": "fms",
            "API_VERSION": fms.__version__,
            "OPENAPI_VERSION": "3.1.0",
            "OPENAPI_JSON_PATH": None,
            "API_SPEC_OPTIONS": {
                "info": {"description": _ABOUT, "license": {"name": "MIT", "identifier": "MIT"}},
                "servers": [{"url": "/", "description": "Where this document comes from."}],
            },
        }
        super().__init__(app)
        self.spec.components.security_scheme("bearer", _BEARER)

    def _register_error_handlers(self) -> None:
        """Errors are registered for the whole app."""


def document(api: Documented) -> dict[str, Any]:
    """The document of all routes that are registered."""
    found: dict[str, Any] = api.spec.to_dict()
    for name in _UNUSED:
        for kind in found["components"].values():
            kind.pop(name, None)
    for item in found["paths"].values():
        for parameter in item.get("parameters", ()):
            parameter.update(_of_path(parameter["name"]))
        for operation in item.values():
            if isinstance(operation, dict):
                # There is none: what is not said is not answered.
                operation["responses"].pop("default", None)
    _link(found["paths"])
    return found


def _link(paths: dict[str, Any]) -> None:
    """Say where what a POST makes is used: in the paths that begin with its own and an id."""
    for path, item in paths.items():
        made = [one for status, one in item.get("post", {}).get("responses", {}).items() if status in ("200", "201")]
        below = [one for one in paths if one.startswith(f"{path}/{{")] if path.count("/") == 2 else []
        for other in below:
            name = other.removeprefix(f"{path}/{{").partition("}")[0]
            operations = [one for one in paths[other].values() if isinstance(one, dict)]
            links = {
                one["operationId"]: {"operationId": one["operationId"], "parameters": {name: "$response.body#/id"}}
                for one in operations
            }
            for response in made:
                response.setdefault("links", {}).update(links)


def _of_path(name: str) -> dict[str, Any]:
    what = name.removesuffix("_id")
    return {"schema": {"type": "string", "format": "uuid"}, "description": f"The id of the {what}."}


def serve_documents(app: Flask, api: Documented) -> None:
    """Serve the document of the routes that are registered by now, and its page."""
    text = app.json.dumps(document(api))

    @app.get("/api/openapi.json")
    @public
    def openapi() -> Response:
        return _lasting(Response(text, mimetype="application/json"))

    @app.get("/api/docs")
    @public
    def page() -> Response:
        return _safe(Response(_PAGE, mimetype="text/html"))

    @app.get("/api/docs/start.js")
    @public
    def start() -> Response:
        return _lasting(Response(_START, mimetype="text/javascript"))

    @app.get("/api/docs/<path:name>")
    @public
    def asset(name: str) -> Response:
        return send_from_directory(ASSETS, name, max_age=DAY_SECONDS)


def _lasting(response: Response) -> Response:
    """An answer that may be used again if the server, asked, says so."""
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def _safe(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    return response
