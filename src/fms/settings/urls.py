"""URLs with passwords in them: what can be wrong with one, and how it is shown."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

_PASSWORD = re.compile(r"^([^:/@]+://[^:/@]*):(?!\$\{\w+\}@[^@]*$).*@", re.DOTALL)
"""Up to the last @, as the password may hold any sign; but a mere ``${NAME}`` is no secret."""

_SECRETS = re.compile(r"([?&][^=&]*(?:password|passwd|passphrase|secret|token|ssl_options)[^=&]*=)[^&]*", re.IGNORECASE)


def fault_of(url: str, schemes: Sequence[str]) -> str | None:
    """What is wrong with a URL as far as its text tells, in words that quote nothing of it; None: nothing.

    One that begins with ``${NAME}`` is not known before that variable is asked for.
    """
    if url.startswith("${"):
        return None
    if url.partition("://")[0] not in schemes:
        wanted = [f"{scheme}://" for scheme in schemes if "+" not in scheme]
        return f"{', '.join(wanted[:-1])} or {wanted[-1]} wanted at its beginning"
    if _has_stray_signs(url):
        return "not a URL (is a sign of the password to be written as %XX?)"
    return None


def _has_stray_signs(url: str) -> bool:
    """Whether a / ? # or [ of the password, which should be written as %XX, ends the name of the host too early."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return True
    return "@" in parts.path + parts.query + parts.fragment


def masked(url: str) -> str:
    """A URL for people, with ``***`` for what is secret in it."""
    return _SECRETS.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
