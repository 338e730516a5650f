"""What each answer of a push provider means: a table for each of the three.

What is ours to set right is ``Config`` in all of them. Where a wrong setting and a dead device are answered alike, the
device is retired in doubt (``Retire.confirm``).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fms.channels.outcomes import (
    Answered,
    Attempt,
    Config,
    Drop,
    Outcome,
    Retire,
    Retry,
    Sent,
    Shrink,
    json_object,
    retry_after,
)

QUOTA_WAIT_MS = 60_000
"""FCM counts by the minute."""

BELIEVED, BELIEVED_LATE = 2, 3
"""How often a refusal is to be heard that a wrong setting would bring on, too."""


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer of a provider's in JSON: its code or codes, and a line for people."""

    answer: Answered
    attempt: Attempt
    document: Mapping[str, Any]
    codes: Collection[str]
    why: str

    @property
    def asked(self) -> int | None:
        return _asked(self.answer, self.attempt)

    def renew(self) -> Outcome:
        """Once with another token of access, since tokens end; then it is not the token."""
        return Config(self.why) if self.attempt.renewed else Retry(self.why, 0, renew=True)


def fcm_outcome(answer: Answered, attempt: Attempt) -> Outcome:
    """What an answer of FCM (HTTP v1) means."""
    if answer.error is not None or not answer.status:
        return _unanswered(answer)
    document = json_object(answer.body)
    if answer.status == 200:
        return Sent(str(document.get("name", "")))
    error = _object(document.get("error"))
    codes = _fcm_codes(error)
    names = " ".join(sorted(codes)) or str(error.get("status", ""))
    why = f"FCM {answer.status} {names[:100]} {str(error.get('message', ''))[:200]}".strip()
    said = _Said(answer, attempt, error, codes, why)
    row = _FCM.get(answer.status)
    return row(said) if row else _of_any_provider(answer, attempt, why)


def _fcm_400(said: _Said) -> Outcome:
    if "THIRD_PARTY_AUTH_ERROR" in said.codes:
        return said.renew()
    return Retire(said.why) if said.attempt.valid and _blames_the_token(said) else Drop(said.why)


def _blames_the_token(said: _Said) -> bool:
    """Whether INVALID_ARGUMENT means the device: FCM says it, with other details, of a payload of ours, too."""
    violations = [
        _object(violation).get("field")
        for detail in _list(said.document, "details")
        for violation in _list(_object(detail), "fieldViolations")
    ]
    if "INVALID_ARGUMENT" not in said.codes or any(field != "message.token" for field in violations):
        return False
    return bool(violations) or "registration token" in str(said.document.get("message", "")).lower()


def _fcm_403(said: _Said) -> Outcome:
    # With an account of another project of ours every device is answered so.
    return Retire(said.why, BELIEVED) if "SENDER_ID_MISMATCH" in said.codes else Config(said.why)


def _fcm_404(said: _Said) -> Outcome:
    return Retire(said.why) if "UNREGISTERED" in said.codes else Config(said.why)


def _fcm_429(said: _Said) -> Outcome:
    return Retry(said.why, said.asked or QUOTA_WAIT_MS, everyone=True)


_FCM: Mapping[int, Callable[[_Said], Outcome]] = {
    400: _fcm_400,
    401: _Said.renew,
    403: _fcm_403,
    404: _fcm_404,
    429: _fcm_429,
}


def _fcm_codes(error: Mapping[str, Any]) -> set[str]:
    """The codes in details of FCM's own type."""
    details = [_object(detail) for detail in _list(error, "details")]
    ours = [detail for detail in details if str(detail.get("@type", "")).endswith("/google.firebase.fcm.v1.FcmError")]
    return {str(detail["errorCode"]) for detail in ours if "errorCode" in detail}


def apns_outcome(answer: Answered, attempt: Attempt) -> Outcome:
    """What an answer of APNs means."""
    if answer.error is not None or not answer.status:
        return _unanswered(answer)
    if answer.status == 200:
        return Sent(answer.headers.get("apns-id", ""))
    document = json_object(answer.body)
    reason = str(document.get("reason", ""))[:100]
    why = f"APNs {answer.status} {reason}".strip()
    row = _APNS.get(answer.status)
    said = _Said(answer, attempt, document, (reason,), why)
    return row(said) if row else _of_any_provider(answer, attempt, why)


def _apns_400(said: _Said) -> Outcome:
    match said.codes:
        case ("BadDeviceToken" | "DeviceTokenNotForTopic",):
            # The host for the other kind of build, or another app's topic, has this said of every device.
            return Retire(said.why, BELIEVED)
        case ("BadTopic" | "MissingTopic" | "TopicDisallowed",):
            return Config(said.why)
        case ("IdleTimeout",):
            return Retry(said.why)
    return Drop(said.why)


def _apns_403(said: _Said) -> Outcome:
    return said.renew() if "ExpiredProviderToken" in said.codes else Config(said.why)


def _apns_410(said: _Said) -> Outcome:
    """It says since when (UTC ms) the device is gone: one that was registered later is there again."""
    gone_at = said.document.get("timestamp")
    if not isinstance(gone_at, int):
        return Retire(said.why, BELIEVED)
    is_back = said.attempt.registered_at >= gone_at
    return Retry(f"{said.why}, before it was registered again") if is_back else Retire(said.why)


def _apns_429(said: _Said) -> Outcome:
    # Of tokens of access, there are too many already: the same is to be used on.
    return Retry(said.why, said.asked, everyone="TooManyProviderTokenUpdates" in said.codes)


_APNS: Mapping[int, Callable[[_Said], Outcome]] = {400: _apns_400, 403: _apns_403, 410: _apns_410, 429: _apns_429}


def webpush_outcome(answer: Answered, attempt: Attempt) -> Outcome:
    """What an answer of a browser's push service means (RFC 8030)."""
    if answer.error is not None or not answer.status:
        return _unanswered(answer)
    why = f"push service {answer.status}"
    match answer.status:
        case 200 | 201 | 202:
            ttl = answer.headers.get("ttl", "")
            seconds = int(ttl) if ttl.isascii() and ttl.isdecimal() and len(ttl) < 10 else None
            return Sent(answer.headers.get("location", ""), seconds)
        case 404 | 410:
            return Retire(why)
        case 400 | 401 | 403:
            return Retire(why, BELIEVED_LATE)
        case status if 300 <= status < 400:
            # Never followed: the service would say where our requests go.
            return Drop(why)
    return _of_any_provider(answer, attempt, why)


def _unanswered(answer: Answered) -> Outcome:
    return Retry(f"no answer: {answer.error or 'cut off'}"[:200], ambiguous=answer.ambiguous)


def _of_any_provider(answer: Answered, attempt: Attempt, why: str) -> Outcome:
    status = answer.status
    if status == 413:
        return Drop(f"{why}, shrunk as it is", alarm=False) if attempt.shrunk else Shrink()
    if status in {408, 429} or status >= 500:
        # What broke in the middle may have been done; with these two nothing was.
        return Retry(why, _asked(answer, attempt), ambiguous=status not in {429, 503})
    # FCM and APNs have not moved: their address is set wrong.
    return Config(why) if 300 <= status < 400 else Drop(why)


def _asked(answer: Answered, attempt: Attempt) -> int | None:
    return retry_after(answer.headers.get("retry-after"), attempt.now)


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    return found if isinstance(found, list) else []


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
