"""``If-Match`` (RFC 9110): a change is made only of the version that the client has seen, if it says which."""

from flask import request

from fms.alerts import Check
from fms.model.alert import Alert
from fms.web.parts import parts
from fms.web.problems import Fault, Problem


def if_match() -> Check:
    """What is to be checked under the alert's lock for the request at work; raises Problem if it must say a version."""
    text = request.headers.get("If-Match")
    if text is None:
        if parts().site.settings.require_if_match:
            raise Problem("version-wanted", "say by If-Match which version of the alert is to be changed")
        return lambda _alert: None
    # A proxy that compresses makes tags weak; a version is good either way.
    wanted = {tag.strip().removeprefix("W/").strip('"') for tag in text.split(",")}

    def check(alert: Alert) -> None:
        if "*" not in wanted and str(alert.version) not in wanted:
            detail = f"the alert is at version {alert.version}"
            raise Problem("changed", detail, Fault(detail, header="If-Match"))

    return check
