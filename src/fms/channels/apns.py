"""Apple's push service: the token of a team that sends, and the messages."""

import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fms.channels.note import Note, Post, compact_json, cut_to_fit
from fms.errors import Fatal, Invalid

HOST, SANDBOX = "https://api.push.apple.com", "https://api.sandbox.push.apple.com"
MOST_BYTES, SHRUNK_BYTES = 4_096, 2_048

RENEWED_MS = 2_700_000
LEAST_MS = 1_200_000
"""Whoever makes new tokens more often than every 20 minutes is refused (TooManyProviderTokenUpdates)."""
MOST_AGE_MS = 3_000_000
"""After an hour Apple refuses a token: ten minutes are left for clocks that differ."""

_BACKDATED_MS = _STEP_MS = 300_000
_NEVER = -(10**15)
_IDENTIFIER = re.compile(r"[A-Z0-9]{10}")
_DEVICE = re.compile(r"[0-9a-f]{16,200}")


@dataclass(frozen=True)
class TeamKey:
    """The key of a team of developers."""

    team: str
    key_id: str
    key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def of(cls, team: str, key_id: str, pem: str) -> "TeamKey":
        """From the .p8 file that Apple gives, and its names; raises Fatal, without saying what is in it."""
        if not _IDENTIFIER.fullmatch(team) or not _IDENTIFIER.fullmatch(key_id):
            raise Fatal("APNs: team and key have names of ten capital letters and digits")
        try:
            key = load_pem_private_key(pem.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise Fatal("APNs: the key is not one for ES256 in PEM")
        return cls(team, key_id, key)


class ProviderToken:
    """The token that all messages of a team go with.

    Apple wants one token of a team, whatever number of processes sends. So it is made of the clock alone: begun at
    fixed times, and signed without chance (RFC 6979), it is the same everywhere, and nobody has to pass it on.
    """

    def __init__(self, key: TeamKey) -> None:
        self._key = key
        self._since, self._issued = _NEVER, _NEVER
        self._text = ""

    def token(self, now: int) -> str:
        """The token to send with at ``now`` (UTC ms)."""
        begun = now - now % RENEWED_MS
        # Issued a little earlier than it is used: Apple refuses what its own clock takes to be of the future.
        issued = begun - _BACKDATED_MS
        if issued - self._since >= LEAST_MS:
            self._make(begun, issued)
        elif now - self._issued >= MOST_AGE_MS:
            self._make(now - now % _STEP_MS, now - now % _STEP_MS)
        return self._text

    def refuse(self, token: str, now: int) -> bool:
        """Apple calls the token expired: make another if there may be one already; whether there is another."""
        begun = now - now % _STEP_MS  # so that those who hear it one after the other make the same one
        if token == self._text and begun - self._since >= LEAST_MS:
            self._make(begun, begun)
        return token != self._text

    def _make(self, since: int, issued: int) -> None:
        self._since, self._issued, self._text = since, issued, _signed(self._key, issued // 1_000)


def _signed(key: TeamKey, issued: int) -> str:
    """A JSON Web Token with ES256 (RFC 7515, 7518). Libraries for it sign with chance, each time otherwise."""
    parts = ({"alg": "ES256", "kid": key.key_id, "typ": "JWT"}, {"iss": key.team, "iat": issued})
    signed = b".".join(_encoded(compact_json(part)) for part in parts)
    try:
        signature = key.key.sign(signed, ECDSA(SHA256(), deterministic_signing=True))
    except UnsupportedAlgorithm:
        raise Fatal("APNs: the installed cryptography has an OpenSSL older than 3.2") from None
    r, s = decode_dss_signature(signature)
    return b".".join([signed, _encoded(r.to_bytes(32) + s.to_bytes(32))]).decode()


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def post(
    host: str, topic: str, device: str, note: Note, access: str, *, id_: UUID, now: int, shrunk: bool = False
) -> Post:
    """A note to the device of a token; raises Invalid if it breaks a rule of Apple's.

    Args:
        host: ``HOST`` or ``SANDBOX``: of the builds whose devices these are.
        device: its token.
        note: what is told.
        topic: the bundle id of the app.
        access: the token of the team.
        id_: of this delivery; it comes back, and Apple's logs know it.
        now: UTC ms.
        shrunk: make it half as long.
    """
    if not _DEVICE.fullmatch(device):
        raise Invalid("not the token of a device in hexadecimal")
    headers = {
        "authorization": f"bearer {access}",
        "apns-topic": topic,
        "apns-push-type": "alert",
        "apns-priority": "10" if note.urgent else "5",
        "apns-expiration": str(now // 1_000 + note.ttl if note.ttl else 0),
        "apns-collapse-id": collapse_id(note.tag),
        "apns-id": str(id_),
    }
    return Post(f"{host}/3/device/{device}", headers, body(note, shrunk=shrunk))


def collapse_id(tag: str) -> str:
    """What replaces itself, in 64 bytes at most: the tag, or what stands for it if it is too long for a header."""
    if len(tag) <= 64 and tag.isascii() and tag.isprintable() and tag == tag.strip() != "":
        return tag
    # Cut off, two could be one.
    return sha256(tag.encode(errors="replace")).hexdigest()


def body(note: Note, *, shrunk: bool = False) -> bytes:
    """The payload; raises Invalid if it is too long without any text, or data would stand in for what Apple reads."""
    if not {"aps", "tag", "url"}.isdisjoint(note.data):
        raise Invalid("data: aps, tag and url have a meaning of their own")
    return cut_to_fit(note, SHRUNK_BYTES if shrunk else MOST_BYTES, lambda short: compact_json(_content(short)))


def _content(note: Note) -> dict[str, Any]:
    aps = {"alert": {"title": note.title, "body": note.body}, "sound": "default"}
    return {"aps": aps, "tag": note.tag, "url": note.url, **note.data}
