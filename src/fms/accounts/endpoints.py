"""Which URLs may be those of a push service: all that can be said of one without asking the network.

It is sent to, later and again and again, so that whoever registers it could make fms ask machines that only fms can
reach. What its host's name stands for can change: that is to be looked at whenever something is sent.
"""

import re

from fms.errors import Invalid

LONGEST = 2_048

_PORT = "443"
# One pattern, and no parser: two that understood a URL each in its own way would let one in through the gap.
_URL = re.compile(
    r"(?i:https)://(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>[0-9]+))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?(?P<query>\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_AT_HOME = ("localhost", "localdomain", "local", "internal", "home.arpa")
"""Names that stand for machines nearby (RFC 6761, 6762, 8375)."""


def checked_endpoint(text: str) -> str:
    """The endpoint of a push service, the same text for every way to write it (RFC 3986, 6.2.2); raises Invalid."""
    found = _URL.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise Invalid(f"an https URL of at most {LONGEST} characters wanted, without user, password and fragment")
    if found["port"] not in (None, _PORT):
        raise Invalid(f"port {_PORT} wanted")
    path = found["path"] or "/"
    if any(part in (".", "..") for part in path.split("/")) or "//" in path:
        raise Invalid("a path without empty or dotted parts wanted")
    return f"https://{_checked_host(found['host'].lower())}{path}{_ENCODED.sub(_one_way, found['query'] or '')}"


def _checked_host(host: str) -> str:
    labels = host.split(".")
    # What ends in a number is an address: 127.1, 2130706433 and 0x7f.0.0.1 are this machine.
    numeric = labels[-1].isdecimal() or labels[-1].startswith("0x")
    if len(host) > 253 or len(labels) < 2 or numeric or not all(map(_LABEL.fullmatch, labels)):
        raise Invalid("the full name of a host wanted, no address")
    if any(host == name or host.endswith(f".{name}") for name in _AT_HOME):
        raise Invalid("the name of a public host wanted")
    return host


def _one_way(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[1], 16))
    return character if character in _UNRESERVED else encoded[0].upper()
