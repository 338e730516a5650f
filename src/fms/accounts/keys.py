"""The secret keys of a site: they sign tokens and encrypt what devices are reached by."""

import base64
import hmac
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fms.errors import Fatal
from fms.settings import Settings
from fms.settings.fields import LEAST_KEY

KEY_FILE = "secret.key"


@dataclass(frozen=True)
class Keys:
    """One key or more, the newest first: it makes what is new, and all of them read what is there.

    What is signed, encrypted and proved with each is done with keys of its own, derived from it (RFC 5869).
    """

    secrets: tuple[str, ...]

    @property
    def current(self) -> str:
        """The name of the key that signs; it says nothing of the key."""
        return next(iter(self.signing))

    @cached_property
    def signing(self) -> Mapping[str, bytes]:
        """Keys for tokens, by name, the newest first."""
        return {sha256(b"name:" + key).hexdigest()[:16]: key for key in (self._derived(b"tokens"))}

    def encrypt(self, text: str) -> str:
        """What only ``decrypt`` reads; another text each time."""
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, text: str) -> str:
        """The text that was encrypted; raises Fatal if it was with a key that is not here any more."""
        try:
            return self._fernet.decrypt(text.encode()).decode()
        except InvalidToken:
            raise Fatal("a device's token was encrypted with a key that is not among secret_key any more") from None

    def proof(self, what: str) -> str:
        """A short secret about something, to be told to whoever is to prove that they hear us."""
        return _proof(self._derived(b"proofs")[0], what).decode()

    def is_proof(self, what: str, given: str) -> bool:
        """Whether it is what ``proof`` says of it, with any of the keys."""
        return any(hmac.compare_digest(_proof(key, what), given.encode()) for key in self._derived(b"proofs"))

    @cached_property
    def _fernet(self) -> MultiFernet:
        return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in self._derived(b"devices")])

    def _derived(self, purpose: bytes) -> list[bytes]:
        return [HKDF(SHA256(), 32, None, b"fms " + purpose).derive(secret.encode()) for secret in self.secrets]


def _proof(key: bytes, what: str) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(key, what.encode(), "sha256")[:18])


def load_keys(settings: Settings) -> Keys:
    """The keys of the setting, else of the file in the data directory, which is made if it is missing; raises Fatal."""
    if settings.secret_key is not None:
        return Keys(tuple(key.strip() for key in settings.secret_key.get_secret_value().split(",")))
    return Keys((_kept(settings.data / KEY_FILE),))


def _kept(path: Path) -> str:
    try:
        if not path.exists():
            _make(path)
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise Fatal(
                f"{path}: others may read it (mode {mode:03o}): chmod 600 it, or delete it to log everybody out"
            )
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Fatal(f"{path}: {getattr(error, 'strerror', None) or 'not a key'}") from None
    if len(key) < LEAST_KEY:
        raise Fatal(f"{path}: shorter than {LEAST_KEY} characters: delete it, and another is made")
    return key


def _make(path: Path) -> None:
    """Make the file whole and at once: of several processes that start together all read the key of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        path.hardlink_to(written)
    written.unlink()
