"""What becomes of a push: six outcomes, and when to try again.

What is ours to set right (``Config``) never costs a device or a notification: an operator is told, and all waits.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

LEAST_WAIT_MS, MOST_WAIT_MS = 1_000, 3_600_000
FIRST_BACKOFF_MS, MOST_BACKOFF_MS = 10_000, 900_000


@dataclass(frozen=True, slots=True)
class Sent:
    """Accepted. ``provider_id`` is what the provider calls it, ``ttl_seconds`` how long it is kept if that was said."""

    provider_id: str
    ttl_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Retire:
    """The device is gone. With ``confirm``, a wrong setting of ours would be answered the same: see ``Doubts``.

    Attributes:
        confirm: how often it must have been said of this device, while others are accepted; 0: it is certain.
    """

    why: str
    confirm: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """Send it again, under the same tag.

    Attributes:
        after_ms: not earlier than so long from now; None: ``backoff_ms`` says.
        ambiguous: it may have been delivered nevertheless.
        everyone: nothing at all goes to this provider before that.
        renew: with another token of access than the one that was refused.
    """

    why: str
    after_ms: int | None = None
    ambiguous: bool = False
    everyone: bool = False
    renew: bool = False


@dataclass(frozen=True, slots=True)
class Shrink:
    """Send a shorter one at once."""


@dataclass(frozen=True, slots=True)
class Drop:
    """It will never be accepted, and the device is not to blame; ``alarm``: a person should look why."""

    reason: str
    alarm: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """Ours to set right: nothing goes to this provider, nothing is used up, until a person acts."""

    why: str


Outcome = Sent | Retire | Retry | Shrink | Drop | Config


class Answered(Protocol):
    """What came back of a request.

    Attributes:
        status: of HTTP; 0 if none came.
        headers: by name in small letters.
        error: why there was no whole answer; None: there was one.
        ambiguous: without an answer, whether the request may have been carried out.
    """

    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102
    @property
    def error(self) -> str | None: ...  # noqa: D102
    @property
    def ambiguous(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is known of a send when its answer is there.

    Attributes:
        now: when the answer came, UTC ms.
        registered_at: when the device was registered last, UTC ms.
        renewed: it went with a token of access made anew because the one before was refused.
        shrunk: it was made shorter already.
        valid: the payload keeps the provider's rules, as far as they are known here.
    """

    now: int
    registered_at: int
    renewed: bool = False
    shrunk: bool = False
    valid: bool = True


def retry_after(header: str | None, now: int) -> int | None:
    """How long ``Retry-After`` asks to wait (seconds, or an HTTP date; RFC 9110, 10.2.3), in ms, from 1 s to 1 h.

    None: it says nothing that can be understood. ``now``: UTC ms.
    """
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        asked = int(text) * 1_000
    elif _DATE.fullmatch(text):
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return None
        asked = int(date.replace(tzinfo=UTC).timestamp() * 1_000) - now
    else:
        return None
    return min(max(asked, LEAST_WAIT_MS), MOST_WAIT_MS)


def json_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object that a body is; an empty one if it is none, as what proxies say."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def backoff_ms(attempt: int, chance: float) -> int:
    """How long to wait after an attempt that failed if nobody said, in ms; ``attempt`` counts from 1.

    From 10 s, since providers count quicker retries against the sender, up to twice as much each time and 15 min at
    most. ``chance``, from 0 to 1, spreads what failed together.
    """
    room = min(FIRST_BACKOFF_MS << min(attempt, 10), MOST_BACKOFF_MS) - FIRST_BACKOFF_MS
    return FIRST_BACKOFF_MS + int(room * chance)


_SECONDS = re.compile(r"[0-9]{1,18}")
# The form that is written today, and the two older ones that must be read still (RFC 9110, 5.6.7).
_DATE = re.compile(
    r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT"
    r"|[A-Z][a-z]{5,8}, [0-9]{2}-[A-Z][a-z]{2}-[0-9]{2} [0-9:]{8} GMT"
    r"|[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} [0-9]{4}"
)
