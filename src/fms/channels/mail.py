"""A push as an e-mail: text, and the same as simple HTML."""

from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from fms.channels.words import SHOWN, entries, lines, plain, rest, title
from fms.errors import Invalid
from fms.model.notification import Push


def mail(push: Push, now: int, sender: str, name: str = "fms", most: int = SHOWN) -> EmailMessage:
    """The push as one message to its user.

    Its Message-ID is made of the push's id, so that sent again it is the same message: one mailbox shows it once.

    Args:
        push: its best row first.
        now: UTC ms; ages are counted to it.
        sender: the address that it is from.
        name: the name beside it.
        most: rows shown.

    Raises Invalid unless sender and user are one address each, which has no letters beyond ASCII before the ``@``: such
    mail every server on its way would have to support (RFC 6531).
    """
    from_whom = _address(sender, name)
    message = EmailMessage(policy=SMTP)
    message["From"] = from_whom
    message["To"] = _address(push.user.email)
    message["Subject"] = title(push.rows[0])
    message["Date"] = format_datetime(datetime.fromtimestamp(now // 1000, UTC))
    message["Message-ID"] = f"<{push.group_id}@{from_whom.domain}>"
    # Nobody's holiday note shall answer.
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join(lines(push, now, most)) + "\n")
    message.add_alternative(_html(push, now, most), subtype="html")
    # Otherwise it is drawn by lot, and no two messages are the same.
    message.set_boundary(f"=_{push.group_id.hex}")
    return message


def _address(email: str, name: str = "") -> Address:
    """One address, and never two: a comma or a line's end would make more of it. The domain as DNS has it."""
    local, _, domain = email.rpartition("@")
    try:
        # Its ASCII form needs no SMTPUTF8 of the servers on the way.
        return Address(plain(name), addr_spec=f"{local}@{domain.encode('idna').decode()}")
    except (ValueError, IndexError, MessageError):
        raise Invalid(f"not an e-mail address: {email[:60]!r}") from None


def _html(push: Push, now: int, most: int) -> str:
    said = zip(push.rows, entries(push, now, most), strict=False)
    shown = [
        f"<p><b>{escape(plain(row.message.ref))}: {escape(head)}</b><br>\n{escape(details)}</p>"
        for row, (head, details) in said
    ]
    more = rest(push, most)
    text = "\n".join([*shown, f"<p>{more}</p>"] if more else shown)
    return f'<!DOCTYPE html>\n<html lang="en">\n<body>\n{text}\n</body>\n</html>\n'
