"""The file that says who callers are: by the SHA-256 of a bearer token or by the name in a client certificate, with actor and role."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import yaml

from services.common.access.roles import SERVICES, Role
from services.common.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_ACTOR_CHARACTERS_MAX: Final = 200
_KEYS: Final = frozenset({"actor", "role", "services", "token_sha256", "certificate"})
TOKEN_CHARACTERS_MIN: Final = 32
"""Shorter tokens are refused: a digest without salt protects only what cannot be guessed."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may call.

    Attributes:
        actor: who it is in the audit trail.
        role: what it may do.
        services: with role `service`: which of our services it is.
    """

    actor: str
    role: Role
    services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Callers:
    """Everybody who may call."""

    tokens: tuple[tuple[str, Caller], ...]
    """SHA-256 in hex, and whose token it is."""
    certificates: dict[str, Caller]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the file.

        Raises:
            ConfigurationError: it cannot be read, or something in it is wrong; the message names the place, never a digest.
        """
        try:
            content = yaml.safe_load(path.read_bytes())
        except OSError as error:
            raise _wrong(path, f"cannot be read: {error.strerror or type(error).__name__}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            # The parser's own words quote the text, which may be a token in the wrong place.
            raise _wrong(path, "is no YAML" + (f" (line {mark.line + 1})" if mark is not None else "")) from None
        if not isinstance(content, dict) or set(content) != {"callers"} or not isinstance(content["callers"], list):
            raise _wrong(path, "must hold `callers:` with a list")
        tokens: dict[str, Caller] = {}
        certificates: dict[str, Caller] = {}
        for number, entry in enumerate(content["callers"], start=1):
            caller, digests, names = _entry(entry, path, f"caller {number}")
            for known, keys in ((tokens, digests), (certificates, names)):
                if any(key in known for key in keys):
                    raise _wrong(path, f"caller {number} ({caller.actor}): its token or certificate stands in the file before")
                known.update(dict.fromkeys(keys, caller))
        return cls(tuple(tokens.items()), certificates)

    def by_token(self, token: str) -> Caller | None:
        """Answers whose token it is. Takes as long for a wrong one as for a right one."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for known, caller in self.tokens:
            if hmac.compare_digest(known, digest):
                found = caller
        return found if len(token) >= TOKEN_CHARACTERS_MIN else None

    def by_certificate(self, names: Iterable[str]) -> Caller | None:
        """Answers who the certificate with these names belongs to; nobody when its names belong to several."""
        found = {caller for name in names if (caller := self.certificates.get(name)) is not None}
        return found.pop() if len(found) == 1 else None


def _entry(entry: Any, path: Path, where: str) -> tuple[Caller, list[str], list[str]]:
    if not isinstance(entry, dict) or set(entry) - _KEYS:
        raise _wrong(path, f"{where}: {', '.join(sorted(_KEYS))} may stand there")
    actor = entry.get("actor")
    if not isinstance(actor, str) or not actor.strip() or not actor.isprintable() or len(actor) > _ACTOR_CHARACTERS_MAX:
        raise _wrong(path, f"{where}: `actor` must be text of 1 to {_ACTOR_CHARACTERS_MAX} characters; it stands in the audit trail")
    where = f"{where} ({actor.strip()})"
    if not isinstance(entry.get("role"), str) or entry["role"] not in set(Role):
        raise _wrong(path, f"{where}: `role` must be one of {', '.join(Role)}")
    role = Role(entry["role"])
    digests, names = (_texts(entry.get(key), path, f"{where}: `{key}`") for key in ("token_sha256", "certificate"))
    digests = [digest.lower() for digest in digests]
    if not all(_DIGEST.fullmatch(digest) for digest in digests):
        raise _wrong(path, f"{where}: `token_sha256` must be the SHA-256 of the token, 64 hexadecimal digits, not the token itself")
    if not digests and not names:
        raise _wrong(path, f"{where}: one of `token_sha256` and `certificate` is needed")
    return Caller(actor.strip(), role, _services(entry, role, path, where)), digests, names


def _services(entry: dict[str, Any], role: Role, path: Path, where: str) -> frozenset[str]:
    named = _texts(entry.get("services"), path, f"{where}: `services`")
    if role is not Role.SERVICE:
        if named:
            raise _wrong(path, f"{where}: `services` belongs to role `service`")
        return frozenset()
    if set(named) - set(SERVICES) or not named:
        raise _wrong(path, f"{where}: `services` must name which it is: {', '.join(SERVICES)}")
    return frozenset(named)


def _texts(value: Any, path: Path, where: str) -> list[str]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, str) and one.strip() for one in values):
        raise _wrong(path, f"{where} must be text or a list of texts")
    return [one.strip() for one in values]


def _wrong(path: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(f"TRANSLOAD_ACCESS_FILE: {path} {problem}", metadata={"setting": "TRANSLOAD_ACCESS_FILE"})
