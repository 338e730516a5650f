"""The OpenAPI document, and a page that shows it without any other server."""

from pathlib import Path
from typing import Any

import flask_swagger_ui
from flask import Flask, Response, send_from_directory
from flask_smorest import Api

import fms
from fms.web.routes import public

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


class Documented(Api):  # type: ignore[misc]  # flask-smorest has no types
    """The app's routes with their document; errors are answered as ``problems`` says."""

    def __init__(self, app: Flask) -> None:
        app.config |= {
            "API_TITLE": "fms",
            "API_VERSION": fms.__version__,
            "OPENAPI_VERSION": "3.1.0",
            "OPENAPI_JSON_PATH": None,
        }
        super().__init__(app)

    def _register_error_handlers(self) -> None:
        """Errors are registered for the whole app."""


def serve_documents(app: Flask, api: Documented) -> None:
    """Serve the document and its page."""

    @app.get("/api/openapi.json")
    @public
    def document() -> dict[str, Any]:
        found: dict[str, Any] = api.spec.to_dict()
        return found

    @app.get("/api/docs")
    @public
    def page() -> Response:
        return _safe(Response(_PAGE, mimetype="text/html"))

    @app.get("/api/docs/start.js")
    @public
    def start() -> Response:
        return Response(_START, mimetype="text/javascript")

    @app.get("/api/docs/<path:name>")
    @public
    def asset(name: str) -> Response:
        return send_from_directory(ASSETS, name)


def _safe(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = _POLICY
    return response
