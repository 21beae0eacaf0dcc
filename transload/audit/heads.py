"""Signed heads: the ledger's word, under its Ed25519 key, for how many events a migration has and what they are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

STATEMENT_TYPE: Final = "transload.audit_head.v1"
_KEY_ID_LENGTH: Final = 16


class KeyFileError(Exception):
    """A signing key cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """How far a trail reaches, and whose word it is."""

    migration_id: str
    tree_size: int
    """Events the tree covers: 1 to `tree_size`."""
    root_hash: str
    """Root (hex) of the Merkle tree over them."""
    chain_hash: str
    """Hash (hex) of the last of them."""
    sign_time: str
    """RFC 3339 in UTC with microseconds."""
    public_key: str = ""
    """Ed25519 public key (hex, 32 bytes)."""
    signature: str = ""
    """Ed25519 signature (hex, 64 bytes) of `statement()`."""

    def statement(self) -> bytes:
        """Answer what is signed: canonical JSON with a type, so that the signature means nothing elsewhere."""
        said = {
            "type": STATEMENT_TYPE,
            "migration_id": self.migration_id,
            "tree_size": self.tree_size,
            "root_hash": self.root_hash,
            "chain_hash": self.chain_hash,
            "sign_time": self.sign_time,
        }
        return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)

    def is_signed(self) -> bool:
        """Whether the signature fits the statement and the public key."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            key.verify(bytes.fromhex(self.signature), self.statement())
        except (ValueError, InvalidSignature):
            return False
        return True

    def as_data(self) -> dict[str, Any]:
        """Answer the head as plain data."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def head_from_data(data: Any) -> AuditHead:
    """Read a head from plain data.

    Raises:
        ValueError: a field is missing or has the wrong type.
    """
    fields = AuditHead.__dataclass_fields__
    if not isinstance(data, dict) or set(data) != set(fields):
        raise ValueError("a signed head has exactly the fields " + ", ".join(fields))
    for name, value in data.items():
        if type(value) is not (int if name == "tree_size" else str):
            raise ValueError(f"{name} of a signed head has the wrong type")
    return AuditHead(**data)


class Signer:
    """Holds the ledger's private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()

    @classmethod
    def generate(cls) -> Signer:
        """Make a signer with a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> Signer:
        """Read a private key in PEM (PKCS 8, not encrypted).

        Raises:
            KeyFileError: it is no Ed25519 private key.
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise KeyFileError("no unencrypted private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError("the key is not an Ed25519 key")
        return cls(key)

    def pem(self) -> bytes:
        """Answer the private key in PEM."""
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def sign(self, migration_id: str, tree_size: int, root_hash: str, chain_hash: str, sign_time: str) -> AuditHead:
        """Answer a signed head."""
        head = AuditHead(migration_id, tree_size, root_hash, chain_hash, sign_time, self.public_key)
        return AuditHead(**(head.as_data() | {"signature": self._key.sign(head.statement()).hex()}))


def key_id(public_key: str) -> str:
    """Answer the short name of a public key (hex): the start of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:_KEY_ID_LENGTH]
