"""What each answer of a push provider means, row by row, and when to try again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fms.channels.answers import apns_outcome, fcm_outcome, webpush_outcome
from fms.channels.doubts import MOST_STRUCK, PERIOD_MS, Doubts
from fms.channels.outcomes import (
    Attempt,
    Config,
    Drop,
    Outcome,
    Retire,
    Retry,
    Sent,
    Shrink,
    backoff_ms,
    retry_after,
)
from tests.unit.push_tools import NOON, Reply, reply

ATTEMPT = Attempt(now=NOON, registered_at=NOON - 86_400_000)
RENEWED, SHRUNK = replace(ATTEMPT, renewed=True), replace(ATTEMPT, shrunk=True)

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"


def fcm(status: int, code: str | None = None, *fields: str, message: str = "", **headers: str) -> Reply:
    """An error of FCM's: with a detail of its own type, and a BadRequest about fields of ours."""
    details: list[Any] = [{"@type": FCM_ERROR, "errorCode": code}] if code else []
    if fields:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": field} for field in fields]})
    return reply(status, {"error": {"code": status, "message": message, "details": details}}, **headers)


UNKNOWN = "The registration token is not a valid FCM registration token"
INVALID = "INVALID_ARGUMENT"

# Each a row of the table, or one of its cases: the answer, what is known of the attempt, what it means (``why`` apart).
FCM: dict[str, tuple[Reply, Attempt, Outcome]] = {
    "200": (reply(200, {"name": "projects/p/messages/1"}), ATTEMPT, Sent("projects/p/messages/1")),
    "200 that says nothing": (reply(200), ATTEMPT, Sent("")),
    "400 about the token": (fcm(400, INVALID, message=UNKNOWN), ATTEMPT, Retire("")),
    "400 about message.token": (fcm(400, INVALID, "message.token"), ATTEMPT, Retire("")),
    "400 about the token, of a payload not checked": (
        fcm(400, INVALID, message=UNKNOWN), replace(ATTEMPT, valid=False), Drop("")
    ),
    "400 about the payload": (fcm(400, None, "message.data[0].value"), ATTEMPT, Drop("")),
    "400 about the payload, in both details": (fcm(400, INVALID, "message.android.ttl"), ATTEMPT, Drop("")),
    "400 about token and payload": (fcm(400, INVALID, "message.token", "message.data"), ATTEMPT, Drop("")),
    "400 about the token, but not by FCM": (fcm(400, None, message=UNKNOWN), ATTEMPT, Drop("")),
    "400 about something": (fcm(400, INVALID, message="Request contains an invalid argument."), ATTEMPT, Drop("")),
    "400 that says nothing": (reply(400), ATTEMPT, Drop("")),
    "401": (fcm(401), ATTEMPT, Retry("", 0, renew=True)),
    "401 again": (fcm(401), RENEWED, Config("")),
    "401 THIRD_PARTY_AUTH_ERROR": (fcm(401, "THIRD_PARTY_AUTH_ERROR"), ATTEMPT, Retry("", 0, renew=True)),
    "401 THIRD_PARTY_AUTH_ERROR again": (fcm(401, "THIRD_PARTY_AUTH_ERROR"), RENEWED, Config("")),
    "400 THIRD_PARTY_AUTH_ERROR again": (fcm(400, "THIRD_PARTY_AUTH_ERROR"), RENEWED, Config("")),
    "403 SENDER_ID_MISMATCH": (fcm(403, "SENDER_ID_MISMATCH"), ATTEMPT, Retire("", confirm=2)),
    "403": (fcm(403, None, message="Permission denied"), ATTEMPT, Config("")),
    "404 UNREGISTERED": (fcm(404, "UNREGISTERED"), ATTEMPT, Retire("")),
    "404": (fcm(404, None, message="Requested entity was not found."), ATTEMPT, Config("")),
    "404 of a page": (Reply(404, b"<html>UNREGISTERED</html>"), ATTEMPT, Config("")),
    "404 UNREGISTERED, but not by FCM": (
        reply(404, {"error": {"status": "UNREGISTERED", "details": [{"errorCode": "UNREGISTERED"}]}}),
        ATTEMPT,
        Config(""),
    ),
    "429 QUOTA_EXCEEDED": (fcm(429, "QUOTA_EXCEEDED"), ATTEMPT, Retry("", 60_000, everyone=True)),
    "429 with Retry-After": (fcm(429, "QUOTA_EXCEEDED", retry_after="7"), ATTEMPT, Retry("", 7_000, everyone=True)),
    "429 with garbage": (fcm(429, retry_after="soon"), ATTEMPT, Retry("", 60_000, everyone=True)),
    "500": (fcm(500, "INTERNAL"), ATTEMPT, Retry("", ambiguous=True)),
    "503": (fcm(503, "UNAVAILABLE"), ATTEMPT, Retry("")),
    "503 with Retry-After": (fcm(503, "UNAVAILABLE", retry_after="30"), ATTEMPT, Retry("", 30_000)),
    "time-out": (Reply(error="timed out", ambiguous=True), ATTEMPT, Retry("", ambiguous=True)),
    "no connection": (Reply(error="refused"), ATTEMPT, Retry("")),
    "200 cut off": (replace(reply(200), error="reset", ambiguous=True), ATTEMPT, Retry("", ambiguous=True)),
    "302": (reply(302, location="https://elsewhere.example/"), ATTEMPT, Config("")),
    "413": (reply(413), ATTEMPT, Shrink()),
    "418": (reply(418), ATTEMPT, Drop("")),
}  # fmt: skip


def apns(status: int, reason: str, **more: Any) -> Reply:
    return reply(status, {"reason": reason, **more})


APNS: dict[str, tuple[Reply, Attempt, Outcome]] = {
    "200": (reply(200, apns_id="9f6b"), ATTEMPT, Sent("9f6b")),
    "400 BadDeviceToken": (apns(400, "BadDeviceToken"), ATTEMPT, Retire("", confirm=2)),
    "400 DeviceTokenNotForTopic": (apns(400, "DeviceTokenNotForTopic"), ATTEMPT, Retire("", confirm=2)),
    "400 BadCollapseId": (apns(400, "BadCollapseId"), ATTEMPT, Drop("")),
    "400 PayloadEmpty": (apns(400, "PayloadEmpty"), ATTEMPT, Drop("")),
    "400 that says nothing": (reply(400), ATTEMPT, Drop("")),
    "400 BadTopic": (apns(400, "BadTopic"), ATTEMPT, Config("")),
    "400 MissingTopic": (apns(400, "MissingTopic"), ATTEMPT, Config("")),
    "400 TopicDisallowed": (apns(400, "TopicDisallowed"), ATTEMPT, Config("")),
    "400 IdleTimeout": (apns(400, "IdleTimeout"), ATTEMPT, Retry("")),
    "403 ExpiredProviderToken": (apns(403, "ExpiredProviderToken"), ATTEMPT, Retry("", 0, renew=True)),
    "403 ExpiredProviderToken again": (apns(403, "ExpiredProviderToken"), RENEWED, Config("")),
    "403 InvalidProviderToken": (apns(403, "InvalidProviderToken"), ATTEMPT, Config("")),
    "403 BadEnvironmentKeyInToken": (apns(403, "BadEnvironmentKeyInToken"), ATTEMPT, Config("")),
    "404 BadPath": (apns(404, "BadPath"), ATTEMPT, Drop("")),
    "405 MethodNotAllowed": (apns(405, "MethodNotAllowed"), ATTEMPT, Drop("")),
    "410 since it was registered": (
        apns(410, "Unregistered", timestamp=ATTEMPT.registered_at + 1), ATTEMPT, Retire("")
    ),
    "410 before it was registered again": (
        apns(410, "Unregistered", timestamp=ATTEMPT.registered_at - 1), ATTEMPT, Retry("")
    ),
    "410 as it was registered again": (apns(410, "Unregistered", timestamp=ATTEMPT.registered_at), ATTEMPT, Retry("")),
    "410 ExpiredToken": (apns(410, "ExpiredToken", timestamp=NOON), ATTEMPT, Retire("")),
    "410 without a time": (apns(410, "Unregistered"), ATTEMPT, Retire("", confirm=2)),
    "410 with a strange time": (apns(410, "Unregistered", timestamp="today"), ATTEMPT, Retire("", confirm=2)),
    "413 PayloadTooLarge": (apns(413, "PayloadTooLarge"), ATTEMPT, Shrink()),
    "413 PayloadTooLarge again": (apns(413, "PayloadTooLarge"), SHRUNK, Drop("", alarm=False)),
    "429 TooManyRequests": (apns(429, "TooManyRequests"), ATTEMPT, Retry("")),
    "429 TooManyProviderTokenUpdates": (apns(429, "TooManyProviderTokenUpdates"), ATTEMPT, Retry("", everyone=True)),
    "500": (apns(500, "InternalServerError"), ATTEMPT, Retry("", ambiguous=True)),
    "503 ServiceUnavailable": (apns(503, "ServiceUnavailable"), ATTEMPT, Retry("")),
    "503 Shutdown": (replace(apns(503, "Shutdown"), headers={"retry-after": "2"}), ATTEMPT, Retry("", 2_000)),
    "GOAWAY": (Reply(error="GOAWAY"), ATTEMPT, Retry("")),
    "time-out": (Reply(error="timed out", ambiguous=True), ATTEMPT, Retry("", ambiguous=True)),
}  # fmt: skip

WEBPUSH: dict[str, tuple[Reply, Attempt, Outcome]] = {
    "201": (reply(201, location="/message/1", ttl="60"), ATTEMPT, Sent("/message/1", 60)),
    "200": (reply(200), ATTEMPT, Sent("")),
    "202": (reply(202, ttl="a day"), ATTEMPT, Sent("")),
    "404": (reply(404), ATTEMPT, Retire("")),
    "410": (reply(410), ATTEMPT, Retire("")),
    "400": (reply(400), ATTEMPT, Retire("", confirm=3)),
    "401": (reply(401), ATTEMPT, Retire("", confirm=3)),
    "403": (reply(403), ATTEMPT, Retire("", confirm=3)),
    "413": (reply(413), ATTEMPT, Shrink()),
    "413 again": (reply(413), SHRUNK, Drop("", alarm=False)),
    "429": (reply(429), ATTEMPT, Retry("")),
    "429 with Retry-After": (reply(429, retry_after="120"), ATTEMPT, Retry("", 120_000)),
    "429 for days": (reply(429, retry_after="172800"), ATTEMPT, Retry("", 3_600_000)),
    "500": (reply(500), ATTEMPT, Retry("", ambiguous=True)),
    "502": (reply(502), ATTEMPT, Retry("", ambiguous=True)),
    "503": (reply(503, retry_after="Sun, 01 Nov 2026 12:01:00 GMT"), ATTEMPT, Retry("", 60_000)),
    "time-out": (Reply(error="timed out", ambiguous=True), ATTEMPT, Retry("", ambiguous=True)),
    "301": (reply(301, location="http://10.0.0.1/"), ATTEMPT, Drop("")),
    "307": (reply(307, location="https://elsewhere.example/"), ATTEMPT, Drop("")),
    "308": (reply(308), ATTEMPT, Drop("")),
    "405": (reply(405), ATTEMPT, Drop("")),
}


def unexplained(outcome: Outcome) -> Outcome:
    """The outcome without its words; those must be there."""
    match outcome:
        case Retire() | Retry() | Config():
            assert outcome.why
            return replace(outcome, why="")
        case Drop():
            assert outcome.reason
            return replace(outcome, reason="")
    return outcome


@pytest.mark.parametrize("row", FCM)
def test_fcm_means(row: str) -> None:
    answer, attempt, outcome = FCM[row]
    assert unexplained(fcm_outcome(answer, attempt)) == outcome


@pytest.mark.parametrize("row", APNS)
def test_apns_means(row: str) -> None:
    answer, attempt, outcome = APNS[row]
    assert unexplained(apns_outcome(answer, attempt)) == outcome


@pytest.mark.parametrize("row", WEBPUSH)
def test_a_push_service_means(row: str) -> None:
    answer, attempt, outcome = WEBPUSH[row]
    assert unexplained(webpush_outcome(answer, attempt)) == outcome


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([FCM_ERROR, INVALID]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "details", "@type", "errorCode", "fieldViolations", "reason", "timestamp", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(status=st.integers(100, 599), document=JSON, header=st.text(max_size=40))
def test_no_answer_is_too_strange_to_be_judged(status: int, document: Any, header: str) -> None:
    answer = reply(status, document, retry_after=header, ttl=header)
    for judge in (fcm_outcome, apns_outcome, webpush_outcome):
        assert isinstance(judge(answer, ATTEMPT), Outcome)


def test_deep_json_is_judged_too() -> None:
    assert isinstance(fcm_outcome(Reply(404, b"[" * 8_000), ATTEMPT), Config)


def test_a_device_is_retired_only_for_what_names_it() -> None:
    """Whatever else FCM and APNs say: at most in doubt, and a wrong token of access, host or topic never at all."""
    certain = {
        row
        for table, judge in ((FCM, fcm_outcome), (APNS, apns_outcome))
        for row, (answer, attempt, _) in table.items()
        if isinstance(outcome := judge(answer, attempt), Retire) and not outcome.confirm
    }
    assert certain == {
        "400 about the token", "400 about message.token", "404 UNREGISTERED", "410 since it was registered",
        "410 ExpiredToken",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("1", 1_000), ("120", 120_000), (" 5 ", 5_000), ("0", 1_000), ("3600", 3_600_000), ("3601", 3_600_000),
        ("999999999999", 3_600_000),
        ("Sun, 01 Nov 2026 12:00:30 GMT", 30_000), ("Sunday, 01-Nov-26 12:00:30 GMT", 30_000),
        ("Sun Nov  1 12:00:30 2026", 30_000), ("Sun, 01 Nov 2026 11:00:00 GMT", 1_000),
        ("Mon, 02 Nov 2026 12:00:00 GMT", 3_600_000),
        (None, None), ("", None), ("soon", None), ("-5", None), ("1.5", None), ("+5", None), ("5 s", None),
        ("١٢", None), ("1" * 5_000, None), ("Sun, 41 Nov 2026 12:00:30 GMT", None),
        ("Sun, 01 Foo 2026 12:00:30 GMT", None),
        ("Sun, 01 Nov 2026 99:00:30 GMT", None),
        ("Sun, 01 Nov 2026 :::::::: GMT", None), ("2026-11-01T12:00:30Z", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_every_form_and_bounded(header: str | None, wait: int | None) -> None:
    assert retry_after(header, NOON) == wait


@given(st.from_regex(r"\A([A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT|[ -~]{0,40})\Z"), st.integers(0))
def test_retry_after_is_never_shorter_than_a_second_nor_longer_than_an_hour(header: str, now: int) -> None:
    wait = retry_after(header, now)
    assert wait is None or 1_000 <= wait <= 3_600_000


def test_who_says_nothing_is_tried_again_ever_later() -> None:
    assert [backoff_ms(n, 0) for n in range(1, 5)] == [10_000] * 4
    assert [backoff_ms(n, 1) for n in (1, 2, 3, 7, 100)] == [20_000, 40_000, 80_000, 900_000, 900_000]


IN_DOUBT = Retire("403", confirm=3)


def test_a_device_in_doubt_is_retired_when_it_was_refused_thrice_while_others_are_accepted() -> None:
    doubts = Doubts()
    assert isinstance(doubts.judged(IN_DOUBT, "dead", NOON), Retry)
    assert doubts.judged(Sent("1"), "other", NOON) == Sent("1")
    assert isinstance(doubts.judged(IN_DOUBT, "dead", NOON), Retry)
    assert doubts.judged(IN_DOUBT, "dead", NOON) == Retire("403")


def test_a_device_in_doubt_stays_as_long_as_nobody_is_accepted() -> None:
    doubts = Doubts()
    for _ in range(100):
        doubts.judged(Sent("1"), "other", NOON)
    # What was accepted before says nothing of a key that was changed since.
    answers = [doubts.judged(IN_DOUBT, "device", NOON) for _ in range(20)]
    assert all(isinstance(answer, Retry) for answer in answers)


def test_an_accepted_device_begins_anew() -> None:
    doubts = Doubts()
    judged = []
    for outcome in (IN_DOUBT, IN_DOUBT, Sent("1"), IN_DOUBT, IN_DOUBT):
        doubts.judged(Sent("1"), "other", NOON)
        judged.append(doubts.judged(outcome, "device", NOON))
    assert [type(one) for one in judged] == [Retry, Retry, Sent, Retry, Retry]


def test_many_devices_in_doubt_are_a_wrong_setting_and_none_is_retired() -> None:
    doubts = Doubts()
    answers = []
    for n in range(400):
        doubts.judged(Sent("1"), f"fine-{n}", NOON + n) if n % 2 else None
        answers += [doubts.judged(IN_DOUBT, f"{n % 50}", NOON + n)]
    assert not any(isinstance(answer, Retire) for answer in answers)
    assert all(isinstance(answer, Config) for answer in answers[4:])


def test_a_few_dead_devices_among_many_are_no_wrong_setting() -> None:
    doubts = Doubts()
    for n in range(100):
        doubts.judged(Sent("1"), f"fine-{n}", NOON)
    answers = [doubts.judged(Retire("400", confirm=2), f"dead-{n}", NOON) for n in range(20)]
    assert all(isinstance(answer, Retry) for answer in answers)


@pytest.mark.parametrize(("later", "judged"), [(PERIOD_MS, Config), (2 * PERIOD_MS, Retry), (9 * PERIOD_MS, Retry)])
def test_a_wrong_setting_is_forgotten_when_it_is_set_right(later: int, judged: type[Outcome]) -> None:
    doubts = Doubts()
    for n in range(10):
        doubts.judged(IN_DOUBT, f"{n}", NOON)
    assert isinstance(doubts.judged(IN_DOUBT, "a", NOON + later), judged)


def test_a_few_devices_are_not_many_because_they_are_refused_again() -> None:
    doubts = Doubts()
    answers = [doubts.judged(IN_DOUBT, f"{n % 4}", NOON + n * PERIOD_MS // 8) for n in range(24)]
    assert all(isinstance(answer, Retry) for answer in answers)


def test_what_is_certain_is_not_doubted() -> None:
    doubts = Doubts()
    outcomes: list[Outcome] = [Retire("410"), Retry("503"), Shrink(), Drop("bug"), Config("key")]
    assert [doubts.judged(outcome, "device", NOON) for outcome in outcomes] == outcomes


def test_doubts_take_no_more_room_than_they_may() -> None:
    doubts = Doubts()
    for n in range(MOST_STRUCK + 100):
        doubts.judged(IN_DOUBT, f"{n}", NOON)
    assert len(doubts._strikes) == len(doubts._current.refused) == MOST_STRUCK
