"""What was made while its account was being deleted goes with it, whichever request made it."""

from flask import Flask, Response, g, request

from fms.errors import FmsError
from fms.web.logs import app_log
from fms.web.parts import parts


def clear_leftovers(app: Flask) -> None:
    """Look after each request that may have written whether the account is there still."""
    app.after_request(_clear)


def _clear(response: Response) -> Response:
    who = g.get("identity")
    if who is not None and request.method not in ("GET", "HEAD", "OPTIONS"):
        try:
            parts().accounts.clear_if_gone(who.account)
        except FmsError as error:
            # The answer is true nevertheless, and fms db maintain deletes what has no user.
            app_log().warning("not cleared", why=str(error), request_id=g.request_id)
    return response
