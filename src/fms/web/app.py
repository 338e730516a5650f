"""The Flask app: every request is given an id, told who asks, limited, answered and logged."""

from collections.abc import Callable
from typing import Any

from flask import Flask, current_app, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from fms.accounts.keys import Keys, load_keys
from fms.bootstrap import Site
from fms.db.creation import AlertCreation
from fms.db.inbox_pages import InboxPages
from fms.db.listing import AlertPages
from fms.runtime.watching import Log
from fms.web import accounts, alert_files, alerts, auth, devices, inbox, ops, preferences, problems
from fms.web.access import watch_requests
from fms.web.cors import allow_origins
from fms.web.leftovers import clear_leftovers
from fms.web.limits import limit
from fms.web.logs import keep_log
from fms.web.openapi import Documented, serve_documents
from fms.web.parts import Parts, parts
from fms.web.problems import Problem
from fms.web.routes import is_public
from fms.web.tokens import Tokens

ROUTES = (
    auth.routes,
    accounts.routes,
    alerts.routes,
    alert_files.routes,
    inbox.routes,
    devices.routes,
    preferences.routes,
    ops.routes,
)


class _App(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """A view as it is: Flask would look at each one of them for each request whether it is a coroutine."""
        return func


def create_app(
    site: Site, keys: Keys | None = None, log: Log | None = None, draining: Callable[[], bool] = lambda: False
) -> Flask:
    """The API of a site; raises Fatal.

    Args:
        site: opened ``served``.
        keys: default: those of the settings or the data directory.
        log: has a line for each request, and what went wrong.
        draining: whether this process is about to end.
    """
    settings = site.settings
    app = _App("fms.web", static_folder=None)
    app.config |= {
        "MAX_CONTENT_LENGTH": settings.body_limit_kb * 1024,
        "MAX_FORM_MEMORY_SIZE": settings.body_limit_kb * 1024,
        "PROPAGATE_EXCEPTIONS": False,
    }
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the provider that Flask has
    app.url_map.strict_slashes = False
    # Else other spellings of a path are answered by redirections.
    app.url_map.merge_slashes = False
    keep_log(app, log)
    problems.register(app)
    watch_requests(app)
    allow_origins(app, settings)
    clear_leftovers(app)
    keys = keys or load_keys(settings)
    accounts_service = site.accounts()
    app.extensions["fms"] = Parts(
        site,
        accounts_service,
        Tokens(app, accounts_service, keys, settings),
        keys,
        AlertCreation(site.router, site.mint, site.clock),
        AlertPages(site.router),
        InboxPages(site.router, site.clock),
        site.devices(keys),
        draining,
    )
    app.before_request(_identify)
    api = Documented(app)
    for routes in ROUTES:
        api.register_blueprint(routes)
    serve_documents(app, api)
    limit(app, settings)
    app.before_request(_refuse)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]  # as Flask says
    return app


def _identify() -> None:
    """Refuse whoever is nobody, but where anybody may ask: a view that says nothing of it is not public."""
    if request.endpoint is None or request.method == "OPTIONS":
        return
    if not is_public(current_app.view_functions[request.endpoint]):
        try:
            g.identity = parts().tokens.identify()
        except Problem as problem:
            g.refused = problem


def _refuse() -> None:
    """Say so to whoever was nobody, now that their address was counted."""
    if "refused" in g:
        raise g.refused
