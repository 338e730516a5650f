"""``fms users``: who may log in to the API, and as what."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fms.errors import Invalid
from fms_cli.options import Data, Json, one_of
from fms_cli.output import is_terminal, listing

if TYPE_CHECKING:
    from fms.model.account import Listed

Email = Annotated[str, typer.Argument(metavar="EMAIL", help="Whose.")]
FromStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin, one line, instead of asking for it.")
]
ROLE = "user, or operator: one who may also see how the site does."

_MOST_BYTES = 4_096


def add(
    email: Email,
    role: Annotated[str | None, typer.Option("--role", help=ROLE, show_default=False)] = None,
    password_stdin: FromStdin = False,
    data: Data = None,
) -> None:
    """Make an account, or give a password to a user whom an import has made. The password is asked for twice."""
    from fms.bootstrap import open_site
    from fms.model.account import ROLES

    one_of(role, ROLES, "--role")
    with open_site(data) as site:
        accounts = site.accounts()
        # Before anybody has typed a password twice for nothing.
        accounts.check_vacant(email)
        accounts.add(email, _new_password(from_stdin=password_stdin), role)
        made = accounts.find(email)
    typer.echo(f"{made.user.email}: can log in, as {made.role}")


def password(email: Email, password_stdin: FromStdin = False, data: Data = None) -> None:
    """Give an account another password; every login of it ends."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        accounts = site.accounts()
        found = accounts.find(email)
        accounts.set_password(found, _new_password(from_stdin=password_stdin))
    typer.echo(f"{found.user.email}: the password is changed, and every login has ended")


def role(
    email: Email, role: Annotated[str, typer.Argument(metavar="user|operator", help=ROLE)], data: Data = None
) -> None:
    """Say what an account may do, from its next request on."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        accounts = site.accounts()
        found = accounts.find(email)
        accounts.set_role(found, role)
    typer.echo(f"{found.user.email}: {role}")


def delete(
    email: Email, yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, data: Data = None
) -> None:
    """Delete a user with alerts, inbox, devices and logins: everything, at once and for ever."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        accounts = site.accounts()
        found = accounts.find(email)
        if not yes and not typer.confirm(f"delete {found.user.email} with all alerts, inbox and devices?"):
            typer.echo("nothing was deleted")
            return
        accounts.remove(found)
    typer.echo(f"{found.user.email}: deleted")


def list_(data: Data = None, as_json: Json = False) -> None:
    """List the users by e-mail, also those who cannot log in: an import has made them."""
    from fms.bootstrap import open_site

    with open_site(data) as site:
        rows = [_document(one) for one in site.accounts().everybody()]
    columns = ("email", "role", "log_in", "alerts", "sessions")
    listing(rows if as_json else map(_readable, rows), as_json=as_json, columns=columns, nothing="no users")


def _document(listed: "Listed") -> dict[str, Any]:
    account = listed.account
    return {
        "id": str(account.user.id),
        "email": account.user.email,
        "role": account.role,
        "has_password": account.password is not None,
        "is_being_deleted": account.closed_at is not None,
        "alerts": listed.alerts,
        "sessions": listed.sessions,
    }


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    state = "being deleted" if row["is_being_deleted"] else "yes" if row["has_password"] else "no password"
    return row | {"log_in": state}


def _new_password(*, from_stdin: bool) -> str:
    """A new password that keeps the rules; raises Invalid. Never an option: those are in the list of processes."""
    from fms.model.account import checked_password, normalised

    try:
        if from_stdin:
            return checked_password(_line())
        if not is_terminal(sys.stdin):
            raise Invalid("nobody is here to be asked for it: --password-stdin")
        given = checked_password(typer.prompt("Password", hide_input=True, err=True))
    except Invalid as error:
        raise Invalid(f"password: {error}") from None
    if given != normalised(typer.prompt("Once more", hide_input=True, err=True)):
        raise Invalid("password: the two are not the same; nothing was changed")
    return given


def _line() -> str:
    """The one line on stdin, without its end; blanks at its ends are part of a password."""
    found = b"" if sys.stdin is None else sys.stdin.buffer.read(_MOST_BYTES)
    try:
        text = found.decode()
    except UnicodeDecodeError:
        raise Invalid("stdin is not UTF-8") from None
    line = text.removesuffix("\n").removesuffix("\r")
    if "\n" in line:
        raise Invalid("one line is wanted on stdin")
    return line
