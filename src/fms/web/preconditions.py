"""``If-Match`` and ``If-None-Match`` (RFC 9110): of which version a client has something, and what follows from it."""

from typing import Any

from flask import Response, jsonify, request

from fms.alerts import Check
from fms.web.parts import parts
from fms.web.problems import Fault, Problem


def if_match() -> Check:
    """What is to be checked under the alert's lock for the request at work; raises Problem if it must say a version."""
    if "If-Match" not in request.headers and parts().site.settings.require_if_match:
        raise Problem("version-wanted", "say by If-Match which version of the alert is to be changed")
    return lambda alert: check_version(alert.version, "alert is")


def check_version(version: int, what: str) -> None:
    """Raise Problem unless the request at work is content with this version; ``what`` it is of, as "alert is"."""
    text = request.headers.get("If-Match")
    if text is None:
        return
    # A proxy that compresses makes tags weak; a version is good either way.
    wanted = {tag.strip().removeprefix("W/").strip('"') for tag in text.split(",")}
    if "*" not in wanted and str(version) not in wanted:
        detail = f"the {what} at version {version}"
        raise Problem("changed", detail, Fault(detail, header="If-Match"))


def versioned(document: Any, version: int) -> Response:
    """A document with its version as its tag; nothing but that if the client has this version."""
    if request.method == "GET" and request.if_none_match.contains_weak(str(version)):
        response = Response(status=304)
    else:
        response = jsonify(document)
    response.set_etag(str(version))
    return response
