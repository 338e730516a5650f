"""A push as a signed HTTP request: what a webhook gets, and how its owner knows that it is from here."""

import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from typing import Any

from fms.channels.words import entries, may_be_mistake, old_price, shown
from fms.errors import Invalid
from fms.model.clock import SECOND_MS
from fms.model.fare_document import fare_document
from fms.model.notification import Notification, Push

SIGNATURE = "fms-signature"
"""The header that signs a body: ``t=1793577600,v1=<hex>``, a ``v1`` for each secret that is valid just now."""

WINDOW_MS = 300_000
"""How far the time of a signature may be from the receiver's: an older request is one that somebody plays again."""

LISTED = 100
"""Rows in one request; the others are counted."""

SHORTEST_SECRET = 16

_VALUE = re.compile(r"t=(\d{1,12})((?:,v1=[0-9a-f]{64}){1,8})", re.ASCII)


def webhook_body(push: Push, now: int) -> bytes:
    """The push as JSON in UTF-8. Its ``id`` is the push's: sent again it is the same. ``now`` (UTC ms): ages."""
    said = entries(push, now, LISTED)
    rows = [_row(row, title, body) for row, (title, body) in zip(push.rows, said, strict=False)]
    document = {
        "version": 1,
        "id": str(push.group_id),
        "user": push.user.email,
        "title": said[0][0],
        "rows": rows,
        "more": len(push.rows) - len(rows),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _row(row: Notification, title: str, body: str) -> dict[str, Any]:
    message = row.message
    return {
        "notification_id": str(message.notification_id),
        "alert_id": str(message.alert_id),
        "ref": message.ref,
        "kind": message.kind,
        "title": title,
        "body": body,
        "threshold_minor": message.threshold,
        "trigger_minor": message.trigger,
        "old_price_minor": old_price(row),
        "unusual": may_be_mistake(row),
        "fare": fare_document(shown(row)),
    }


def webhook_headers(body: bytes, secrets: Sequence[bytes], now: int) -> dict[str, str]:
    """The headers of a request with this body, signed at ``now`` (UTC ms): sign again whenever it is sent again."""
    return {"content-type": "application/json; charset=utf-8", SIGNATURE: signature(body, secrets, now)}


def signature(body: bytes, secrets: Sequence[bytes], now: int) -> str:
    """HMAC-SHA256 over ``<t>.<body>`` by each secret, ``t`` being ``now`` (UTC ms) in whole seconds.

    Two secrets are valid while one takes the place of the other. Raises Invalid for none, and for a short one.
    """
    if not secrets:
        raise Invalid("a webhook needs a secret")
    at = now // SECOND_MS
    return f"t={at}" + "".join(f",v1={_digest(body, secret, at)}" for secret in secrets)


def _digest(body: bytes, secret: bytes, at: int) -> str:
    if len(secret) < SHORTEST_SECRET:
        raise Invalid(f"a webhook's secret has at least {SHORTEST_SECRET} bytes")
    return hmac.new(secret, b"%d.%b" % (at, body), hashlib.sha256).hexdigest()


def check_signature(body: bytes, value: str, secrets: Sequence[bytes], now: int, window_ms: int = WINDOW_MS) -> None:
    """What a receiver does before it believes a body; raises Invalid unless it was signed by one of the secrets.

    Within the window a request can still be played again: remember the ``id`` of a body for twice as long, and do
    nothing when it comes again, which is also how a request that was sent twice is one.

    Args:
        body: the bytes as they came, not parsed and written again.
        value: of the header ``SIGNATURE``.
        secrets: those that are valid.
        now: UTC ms.
        window_ms: how far ``t`` may be from ``now``, in either direction.
    """
    found = _VALUE.fullmatch(value)
    if not found:
        raise Invalid("not a signature")
    at = int(found[1])
    given = found[2].removeprefix(",v1=").split(",v1=")
    # All are compared, each in constant time: how long it takes says nothing of a secret.
    matches = [hmac.compare_digest(_digest(body, secret, at), one) for secret in secrets for one in given]
    if not any(matches):
        raise Invalid("signed by another secret, or changed on its way")
    if abs(now - at * SECOND_MS) > window_ms:
        raise Invalid("signed too long ago, or a clock is wrong")
