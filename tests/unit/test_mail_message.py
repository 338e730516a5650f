"""A push as an e-mail, as a mailbox reads it."""

from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser

import pytest

from fms.channels.mail import mail
from fms.channels.words import lines, title
from fms.errors import Invalid
from fms.model.notification import Notification
from tests.builders import MONDAY, fare
from tests.unit.told_rows import ID, USER, push, row

SENDER = "alerts@fms.example.org"


def received(*rows: Notification, email: str = USER.email, now: int = MONDAY) -> EmailMessage:
    """The message after it has been bytes."""
    sent = mail(push(*rows, user=replace(USER, email=email)), now, SENDER).as_bytes()
    message = message_from_bytes(sent, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


class Shown(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text = ""
        self.tags: set[str] = set()
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


def test_a_mail_is_to_its_user_about_the_best_row() -> None:
    message = received(row(), row("new_low"))
    assert {name: str(value) for name, value in message.items() if name in ("From", "To", "Subject", "Date")} == {
        "From": "fms <alerts@fms.example.org>",
        "To": "me@example.org",
        "Subject": title(row()),
        "Date": "Mon, 02 Nov 2026 00:00:00 +0000",
    }
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"] is None


def test_a_mail_says_in_text_and_in_html_what_the_push_says() -> None:
    rows = [row(ref=f"zürich {number}") for number in range(7)]
    message = received(*rows)
    said = lines(push(*rows), MONDAY)
    assert said[-1] == "+2 in your inbox"
    assert part(message, "plain").splitlines() == said
    page = Shown(part(message, "html"))
    assert [line.strip() for line in page.text.splitlines() if line.strip()] == [line.strip() for line in said]
    assert page.tags == {"html", "body", "p", "b", "br"}


def test_sent_again_it_is_the_same_message() -> None:
    one, again = (received(row(), now=now) for now in (MONDAY, MONDAY + 60_000))
    assert one["Message-ID"] == again["Message-ID"] == f"<{ID}@fms.example.org>"
    assert mail(push(row()), MONDAY, SENDER).as_bytes() == mail(push(row()), MONDAY, SENDER).as_bytes()


@pytest.mark.parametrize(
    "email",
    [
        "me@example.org\r\nBcc: all@example.org", "me@example.org\nBcc: all@example.org", "me@exa\rmple.org",
        "you@example.org,me@example.org", "you@example.org;me@example.org", "you <me@example.org>", "me",
        "@example.org", "zoë@example.org", "me@", "me@a..b", f"me@{'a' * 64}.org", "",
    ],
)  # fmt: skip
def test_what_is_not_one_address_gets_no_mail(email: str) -> None:
    with pytest.raises(Invalid, match="not an e-mail address"):
        mail(push(row(), user=replace(USER, email=email)), MONDAY, SENDER)
    with pytest.raises(Invalid, match="not an e-mail address"):
        mail(push(row()), MONDAY, email)


def test_nothing_from_outside_makes_a_header_or_a_tag() -> None:
    evil = "x\r\nBcc: all@example.org\r\n\r\n<script>alert(1)</script>"
    message = received(row(ref=evil, fare=fare(price=38_000, origin=evil, fare_brand=evil, source=evil)))
    expected = {"from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type"}
    assert {name.lower() for name in message} == expected
    assert [one.get_content_type() for one in message.walk()][1:] == ["text/plain", "text/html"]
    assert "script" not in Shown(part(message, "html")).tags
    assert len(part(message, "plain").splitlines()) == 2


def test_the_senders_name_makes_no_header_either() -> None:
    sent = mail(push(row()), MONDAY, SENDER, "fares\r\nBcc: all@example.org").as_bytes()
    assert message_from_bytes(sent, policy=default)["Bcc"] is None


def test_a_domain_is_written_as_dns_has_it() -> None:
    assert received(row(), email="me@bücher.example")["To"] == "me@xn--bcher-kva.example"
