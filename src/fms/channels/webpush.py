"""Web Push: messages that only the browser can read (RFC 8291), sent by who signs for them (RFC 8292)."""

import base64
import binascii
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fms.channels.note import Note, Post, compact_json, cut_to_fit
from fms.errors import Fatal, Invalid

RECORD_BYTES = 4_096
"""So much, encrypted, is taken by every push service (RFC 8030, 7.2)."""

MOST_BYTES, SHRUNK_BYTES = 3_900, 1_900
"""Before it is encrypted, which adds 103 bytes."""

_LAST_RECORD = b"\x02"

SIGNED_MS = 43_200_000
KEPT_MS = 21_600_000
"""A signature counts for 12 hours (24 at most are allowed) and is used for 6: never near its end."""
MOST_ORIGINS = 1_000

_CONTACT = re.compile(r"mailto:[!-~]+@[!-~]+|https://[!-~]+")


@dataclass(frozen=True)
class Subscription:
    """Where a browser is reached, and by what it alone reads what comes."""

    endpoint: str
    point: EllipticCurvePublicKey = field(repr=False)
    auth: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "Subscription":
        """From the JSON that browsers give (``endpoint``, and ``p256dh`` and ``auth`` in ``keys``); raises Invalid."""
        try:
            document = json.loads(text)
            endpoint, keys = document["endpoint"], document["keys"]
            point, auth = keys["p256dh"], keys["auth"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Invalid("not a subscription to web push") from None
        if not all(isinstance(part, str) for part in (endpoint, point, auth)):
            raise Invalid("not a subscription to web push")
        return cls(endpoint, checked_point(point), _checked_auth(auth))


def checked_point(p256dh: str) -> EllipticCurvePublicKey:
    """The public key of a subscription; raises Invalid for what is no point of the curve.

    With one that is not, some libraries would give away their own key bit by bit.
    """
    raw = _decoded(p256dh)
    if len(raw) != 65 or raw[0] != 4:
        raise Invalid("p256dh: an uncompressed point of 65 bytes in base64url wanted")
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw)
    except ValueError:
        raise Invalid("p256dh: not a point of P-256") from None


def _checked_auth(auth: str) -> bytes:
    raw = _decoded(auth)
    if len(raw) != 16:
        raise Invalid("auth: 16 bytes in base64url wanted")
    return raw


def encrypted(
    text: bytes,
    to: Subscription,
    key: EllipticCurvePrivateKey | None = None,
    random: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """The text as one record of aes128gcm (RFC 8188). ``key`` is a new one for each message, as it must be."""
    sender = key or generate_private_key(SECP256R1())
    salt, public = random(16), _raw(sender.public_key())
    info = b"WebPush: info\0" + _raw(to.point) + public
    secret = HKDF(SHA256(), 32, to.auth, info).derive(sender.exchange(ECDH(), to.point))
    cipher = AESGCM(HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret))
    nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
    head = salt + RECORD_BYTES.to_bytes(4) + len(public).to_bytes(1) + public
    return head + cipher.encrypt(nonce, text + _LAST_RECORD, None)


def _raw(key: EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@dataclass(frozen=True)
class KeyPair:
    """What a site signs with, both in base64url; browsers are given the public one when they subscribe."""

    private: str = field(repr=False)
    public: str

    @classmethod
    def new(cls) -> "KeyPair":
        """One that nobody has."""
        key = generate_private_key(SECP256R1())
        return cls(_encoded(key.private_numbers().private_value.to_bytes(32)), _encoded(_raw(key.public_key())))


class Vapid:
    """Signs for a site: the push services know by it who sends, and whom to write to about it.

    Args:
        private: ``KeyPair.private``.
        contact: ``mailto:`` with an address, or an ``https:`` URL. Raises Fatal for another, and for no key.
    """

    def __init__(self, private: str, contact: str) -> None:
        if not _CONTACT.fullmatch(contact):
            raise Fatal("VAPID: the contact is mailto: with an address, or an https: URL")
        self._contact = contact
        self._key = _private_key(private)
        self._signed: dict[str, tuple[int, str]] = {}

    @property
    def public(self) -> str:
        """``KeyPair.public`` of the private key."""
        return _encoded(_raw(self._key.public_key()))

    def authorization(self, endpoint: str, now: int) -> str:
        """The header for requests to an endpoint at ``now`` (UTC ms), the same for all of its origin for hours."""
        origin = _origin(endpoint)
        signed_at, header = self._signed.pop(origin, (None, ""))
        if signed_at is None or not 0 <= now - signed_at < KEPT_MS:
            signed_at, header = now, self._sign(origin, now)
        while len(self._signed) >= MOST_ORIGINS:
            del self._signed[next(iter(self._signed))]
        # Taken out and put in again, the one that was not used for longest comes first.
        self._signed[origin] = (signed_at, header)
        return header

    def _sign(self, origin: str, now: int) -> str:
        claims = {"aud": origin, "exp": (now + SIGNED_MS) // 1_000, "sub": self._contact}
        return f"vapid t={jwt.encode(claims, self._key, 'ES256')}, k={self.public}"


def _private_key(text: str) -> EllipticCurvePrivateKey:
    raw = _decoded(text)
    try:
        if len(raw) == 32:
            return derive_private_key(int.from_bytes(raw), SECP256R1())
    except ValueError:
        pass
    raise Fatal("VAPID: the key is not the private one of a pair")


def _origin(endpoint: str) -> str:
    """Of a URL, as RFC 6454 writes it: without the port if it is the usual one."""
    parts = urlsplit(endpoint)
    host = parts.netloc.rpartition("@")[2].lower()
    return f"{parts.scheme}://{host.removesuffix(':443') if parts.scheme == 'https' else host}"


def post(to: Subscription, note: Note, vapid: Vapid, now: int, *, shrunk: bool = False) -> Post:
    """A note to a browser, at ``now`` (UTC ms); raises Invalid if it is too long without any text."""
    headers = {
        "authorization": vapid.authorization(to.endpoint, now),
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "ttl": str(note.ttl),
        "urgency": "high" if note.urgent else "normal",
        "topic": topic(note.tag),
    }
    return Post(to.endpoint, headers, encrypted(text(note, shrunk=shrunk), to))


def topic(tag: str) -> str:
    """What replaces itself while the browser is away: 32 characters that stand for the tag."""
    return base64.urlsafe_b64encode(sha256(tag.encode(errors="replace")).digest())[:32].decode()


def text(note: Note, *, shrunk: bool = False) -> bytes:
    """What the browser reads: the declarative form, which Safari shows without asking the site's own code."""
    return cut_to_fit(note, SHRUNK_BYTES if shrunk else MOST_BYTES, _written)


def _written(note: Note) -> bytes:
    shown = {"title": note.title, "body": note.body, "navigate": note.url, "tag": note.tag, "data": dict(note.data)}
    return compact_json({"web_push": 8030, "notification": shown})


def _decoded(text: str) -> bytes:
    """The bytes of a text in base64url, padded or not; none if it is something else."""
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
