"""What a webhook gets, and how its owner checks it."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from fms.channels.webhook import (
    LISTED,
    SIGNATURE,
    WINDOW_MS,
    check_signature,
    signature,
    webhook_body,
    webhook_headers,
)
from fms.channels.words import body, title
from fms.errors import Invalid
from fms.model.clock import SECOND_MS
from fms.model.fare_document import fare_of_document
from fms.model.user import User
from tests.builders import MONDAY, fare
from tests.unit.told_rows import ID, push, row

OLD, NEW = b"sixteen bytes or", b"more of another secret"


def document(*rows: Any) -> dict[str, Any]:
    read = json.loads(webhook_body(push(*rows), MONDAY))
    assert isinstance(read, dict)
    return read


def test_a_body_says_what_the_message_says_and_the_fare_as_a_document() -> None:
    one = row(unusual=True)
    read = document(one)
    (told,) = read.pop("rows")
    assert read == {"version": 1, "id": str(ID), "user": "me@example.org", "title": title(one), "more": 0}
    assert fare_of_document(told.pop("fare")) == fare(price=38_000)
    assert told == {
        "notification_id": str(ID), "alert_id": str(ID), "ref": "mine", "kind": "target", "title": title(one),
        "body": body(one, MONDAY), "threshold_minor": 40_000, "trigger_minor": 39_600, "old_price_minor": 45_000,
        "unusual": True,
    }  # fmt: skip


def test_what_another_fare_was_is_not_said_of_the_one_that_is_told() -> None:
    (told,) = document(row(unusual=True, told=(39_000, 8)))["rows"]
    assert (told["old_price_minor"], told["unusual"], told["fare"]["total_amount_minor"]) == (None, False, 39_000)


def test_rows_beyond_the_most_are_counted() -> None:
    read = document(*[row()] * (LISTED + 3))
    assert (len(read["rows"]), read["more"]) == (LISTED, 3)


def test_sent_again_at_the_same_time_a_body_is_the_same_bytes() -> None:
    assert webhook_body(push(row()), MONDAY) == webhook_body(push(row()), MONDAY)


def test_a_body_is_utf_8() -> None:
    assert "zürich ✈".encode() in webhook_body(push(row(ref="zürich ✈"), user=User(ID, "me@example.org")), MONDAY)


def test_a_request_is_signed_over_its_time_and_its_bytes() -> None:
    sent = webhook_body(push(row()), MONDAY)
    headers = webhook_headers(sent, [OLD], MONDAY + 999)
    at = MONDAY // SECOND_MS
    digest = hmac.new(OLD, f"{at}.".encode() + sent, hashlib.sha256).hexdigest()
    assert headers == {"content-type": "application/json; charset=utf-8", SIGNATURE: f"t={at},v1={digest}"}


def test_another_program_makes_the_same_signature() -> None:
    # printf '1793577600.{}' | openssl dgst -sha256 -hmac 'sixteen bytes or'
    digest = "ae9a82e7cff174d0ec1f23a3d5d60127124d066484920abe75b6d4dbf50329f8"
    assert signature(b"{}", [OLD], 1_793_577_600_000) == f"t=1793577600,v1={digest}"


def test_a_receiver_believes_what_was_signed_by_any_valid_secret() -> None:
    check_signature(b"{}", signature(b"{}", [OLD], MONDAY), [OLD], MONDAY)
    check_signature(b"{}", signature(b"{}", [OLD, NEW], MONDAY), [NEW], MONDAY)
    check_signature(b"{}", signature(b"{}", [NEW], MONDAY), [OLD, NEW], MONDAY)


def test_a_receiver_refuses_another_body_another_time_and_another_secret() -> None:
    value = signature(b"{}", [OLD], MONDAY)
    later = value.replace(f"t={MONDAY // SECOND_MS}", f"t={MONDAY // SECOND_MS + 1}")
    for sent, given, secret in [(b"{} ", value, OLD), (b"{}", later, OLD), (b"{}", value, NEW)]:
        with pytest.raises(Invalid, match="another secret, or changed"):
            check_signature(sent, given, [secret], MONDAY)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(Invalid):
        check_signature(b"{}", signature(b"{}", [OLD], MONDAY), [], MONDAY)


@pytest.mark.parametrize("apart", [WINDOW_MS + 1, -WINDOW_MS - 1])
def test_outside_of_the_window_a_request_is_played_again(apart: int) -> None:
    value = signature(b"{}", [OLD], MONDAY)
    check_signature(b"{}", value, [OLD], MONDAY + apart - apart // abs(apart))
    with pytest.raises(Invalid, match="too long ago"):
        check_signature(b"{}", value, [OLD], MONDAY + apart)


@pytest.mark.parametrize(
    "value",
    [
        "", "t=1", "v1=" + "0" * 64, "t=1,v1=" + "0" * 63, "t=1,v1=" + "A" * 64, "t=1,t=2,v1=" + "0" * 64,
        "t=-1,v1=" + "0" * 64, "t=1,v1=" + "0" * 64 + "\n", "t=\u0661,v1=" + "0" * 64, "t=1,v0=" + "0" * 64,
        "t=" + "1" * 5_000 + ",v1=" + "0" * 64, "t=1" + (",v1=" + "0" * 64) * 9,
    ],
)  # fmt: skip
def test_a_header_of_another_form_is_no_signature(value: str) -> None:
    with pytest.raises(Invalid, match="not a signature"):
        check_signature(b"{}", value, [OLD], MONDAY)


def test_a_short_secret_or_none_is_refused() -> None:
    for secrets in ([], [b"short"], [OLD, b""]):
        with pytest.raises(Invalid, match="secret"):
            signature(b"{}", secrets, MONDAY)
