"""Firebase Cloud Messaging, HTTP v1: messages, and the OAuth token of a service account that sends them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fms.channels.note import Note, Post, compact_json, cut_to_fit
from fms.channels.outcomes import Answered, Config, Retry, json_object, retry_after
from fms.errors import Fatal, Invalid

HOST = "https://fcm.googleapis.com"
MOST_BYTES, SHRUNK_BYTES = 4_096, 2_048

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TEXTS = ("project_id", "client_email", "private_key", "private_key_id", "token_uri")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9.:-]{0,99}")
_RESERVED = re.compile(r"from|message_type|notification|(?:google|gcm).*", re.DOTALL)
_VISIBLE = re.compile(r"[!-~]+")
_OURS = ("title", "body", "tag", "url")

_ASSERTED_SECONDS = 3_600
_MARGIN_MS = 300_000
"""So long before its end a token is not used any more: what waits in line must not arrive with a dead one."""


@dataclass(frozen=True)
class ServiceAccount:
    """Who sends: an account of Google's, for one project."""

    project: str
    email: str
    key_id: str
    token_url: str
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "ServiceAccount":
        """From the JSON that Google's console gives; raises Fatal, without saying what is in it."""
        missing = [name for name in _TEXTS if not isinstance(document.get(name), str) or not document[name]]
        if missing:
            raise Fatal(f"service account of FCM: {', '.join(missing)} missing")
        if not _PROJECT.fullmatch(document["project_id"]):
            raise Fatal("service account of FCM: project_id is not the name of a project")
        key = _private_key(document["private_key"])
        return cls(
            document["project_id"], document["client_email"], document["private_key_id"], document["token_uri"], key
        )


def _private_key(pem: str) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise Fatal("service account of FCM: private_key is not an RSA key in PEM")
    return key


@dataclass(frozen=True)
class AccessToken:
    """What Google lets in, and until when, UTC ms."""

    text: str = field(repr=False)
    until: int


class Access:
    """The token of one account: asked for, kept, and given up."""

    def __init__(self, account: ServiceAccount) -> None:
        self._account = account
        self._token: AccessToken | None = None

    def token(self, now: int) -> str | None:
        """The token to send with at ``now`` (UTC ms); None: post ``request`` first, and hand its answer to ``take``."""
        return self._token.text if self._token and now < self._token.until - _MARGIN_MS else None

    def request(self, now: int) -> Post:
        """What asks for a token (RFC 7523)."""
        account, issued = self._account, now // 1_000
        until = issued + _ASSERTED_SECONDS
        claims = {"iss": account.email, "scope": _SCOPE, "aud": account.token_url, "iat": issued, "exp": until}
        assertion = jwt.encode(claims, account.key, "RS256", {"kid": account.key_id})
        body = urlencode({"grant_type": _GRANT, "assertion": assertion}).encode()
        return Post(account.token_url, {"content-type": "application/x-www-form-urlencoded"}, body)

    def take(self, answer: Answered, now: int) -> Retry | Config | None:
        """Keep the token of an answer; else why there is none."""
        if answer.error is not None or not answer.status or answer.status in (408, 429) or answer.status >= 500:
            asked = retry_after(answer.headers.get("retry-after"), now)
            return Retry(f"no token: {answer.error or answer.status}", asked, everyone=True)
        document = json_object(answer.body)
        text, seconds = document.get("access_token"), document.get("expires_in")
        is_token = isinstance(text, str) and _VISIBLE.fullmatch(text)
        if answer.status != 200 or not is_token or not isinstance(seconds, int):
            return Config(f"FCM: no token: {answer.status} {str(document.get('error', ''))[:100]}".strip())
        self._token = AccessToken(str(text), now + seconds * 1_000)
        return None

    def refuse(self, token: str) -> None:
        """Give up a token that was refused. Of many sends that went with it only the first changes anything."""
        if self._token and self._token.text == token:
            self._token = None


def post(url: str, token: str, note: Note, access: str, *, shrunk: bool = False, data_only: bool = False) -> Post:
    """A note to the device of a token; raises Invalid if it breaks a rule of FCM's.

    Args:
        url: ``message_url`` of the project.
        token: the device's.
        note: what is told.
        access: the OAuth token.
        shrunk: make it half as long.
        data_only: nothing is shown by Android itself: the app does that, from ``title``, ``body``, ``tag`` and ``url``.
    """
    headers = {"authorization": f"Bearer {access}", "content-type": "application/json"}
    return Post(url, headers, body(token, note, shrunk=shrunk, data_only=data_only))


def message_url(project: str, host: str = HOST) -> str:
    """Where the messages of a project go."""
    return f"{host}/v1/projects/{project}/messages:send"


def body(token: str, note: Note, *, shrunk: bool = False, data_only: bool = False) -> bytes:
    """The body of a message. The limit is on all of it but the token; see ``post``."""
    for name in note.data:
        if _RESERVED.fullmatch(name) or name in _OURS:
            raise Invalid(f"data: {name} has a meaning of its own")
    addressed = len(compact_json({"token": token})) - 1  # with the comma after it
    most = (SHRUNK_BYTES if shrunk else MOST_BYTES) + addressed
    return cut_to_fit(
        note, most, lambda short: compact_json({"message": {"token": token} | _content(short, data_only)})
    )


def _content(note: Note, data_only: bool) -> dict[str, Any]:
    """No ``collapse_key``: a device takes only a few of those in a row. The tag replaces what is shown."""
    android: dict[str, Any] = {"ttl": f"{note.ttl}s", "priority": "HIGH" if note.urgent else "NORMAL"}
    data = {**note.data, "tag": note.tag, "url": note.url}
    shown = {"title": note.title, "body": note.body}
    if data_only:
        return {"data": data | shown, "android": android}
    return {"notification": shown, "data": data, "android": android | {"notification": {"tag": note.tag}}}
