"""Keys by which a service shows NATS who it is: Ed25519, written as NATS writes them.

NATS knows the public key (`U...`) and lets the client sign a number of its choice; the seed (`SU...`) is the secret and never leaves the client.
Form of the texts: base32 of prefix, 32 bytes, and CRC-16/XMODEM with the low byte first (known: github.com/nats-io/nkeys, `strkey.go`).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_BYTES: Final = 32
_PREFIX_SEED: Final = 18 << 3
_PREFIX_USER: Final = 20 << 3
_SEED_HEAD: Final = bytes([_PREFIX_SEED | _PREFIX_USER >> 5, (_PREFIX_USER & 31) << 3])
_CHECK_BYTES: Final = 2


class KeyFormatError(ValueError):
    """A text is no key. The message never holds the text."""


@dataclass(frozen=True, slots=True)
class NKey:
    """The key of a user.

    Attributes:
        seed: the secret, `SU...`.
        public: what NATS knows, `U...`.
    """

    seed: str = field(repr=False)
    public: str
    _secret: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, text: str) -> Self:
        """Reads a seed. Raises KeyFormatError."""
        raw = _decoded(text.strip())
        if len(raw) != len(_SEED_HEAD) + SEED_BYTES or not raw.startswith(_SEED_HEAD):
            raise KeyFormatError("is not the seed of a user's key, which begins with SU and has 58 characters")
        return cls._of(raw[len(_SEED_HEAD) :])

    @classmethod
    def generate(cls) -> Self:
        """Makes a new one from the system's random numbers."""
        return cls._of(secrets.token_bytes(SEED_BYTES))

    def sign(self, nonce: str) -> bytes:
        """Answers the signature of what the server asks, in base64."""
        return base64.b64encode(_private(self._secret).sign(nonce.encode()))

    @classmethod
    def _of(cls, secret: bytes) -> Self:
        public = _private(secret).public_key().public_bytes_raw()
        return cls(seed=_encoded(_SEED_HEAD + secret), public=_encoded(bytes([_PREFIX_USER]) + public), _secret=secret)


def is_public(text: str) -> bool:
    """Whether a text is the public key of a user."""
    try:
        raw = _decoded(text)
    except KeyFormatError:
        return False
    return len(raw) == 1 + SEED_BYTES and raw[0] == _PREFIX_USER


def _private(secret: bytes) -> Ed25519PrivateKey:
    # Takes 30 ms to import, which those without keys need not pay.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    return Ed25519PrivateKey.from_private_bytes(secret)


def _encoded(raw: bytes) -> str:
    check = binascii.crc_hqx(raw, 0).to_bytes(_CHECK_BYTES, "little")
    return base64.b32encode(raw + check).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError):
        raise KeyFormatError("is no key: it is not base32") from None  # the cause would show the text
    body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
    if binascii.crc_hqx(body, 0).to_bytes(_CHECK_BYTES, "little") != check:
        raise KeyFormatError("is no key: its check sum is wrong, so a character is missing or wrong")
    return body
