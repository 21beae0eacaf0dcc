"""Credentials of sources and targets, by connection name.

A connection `crm` is looked for in `TRANSLOAD_CONNECTION_CRM_URL` with `_KEY` or `_KEY_FILE`, then in the folder
`{TRANSLOAD_CONNECTIONS_DIR}/crm/{url,key}`. It is read at each use, so that a corrected key works without a restart. Systems that want more to let us
in have more parts, each with a variable and a file of its name: `_CLIENT_SECRET`, `_CLIENT_SECRET_FILE`, `client_secret`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from services.common import secrecy
from services.common.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_SECRETS = frozenset({"url", "client_id"})
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a system is and the secret that opens it.

    Attributes:
        name: `[a-z0-9-]+`.
        url: base URL without a trailing slash.
        key: API key or token; empty where the system wants none; never printed.
        parts: all parts that were asked for and are there, by name; never printed.
    """

    name: str
    url: str
    key: str = field(default="", repr=False)
    parts: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class ConnectionParts:
    """What must be known to open a system, and what may be, beside its URL."""

    required: tuple[str, ...] = ("key",)
    optional: tuple[str, ...] = ()


class Connections:
    """Finds connections in the environment and in the connections folder."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Keeps a reference to `environ`; nothing is read yet."""
        return cls(environ)

    def get(self, name: str, wanted: ConnectionParts = ConnectionParts()) -> Connection:
        """Reads a connection now.

        Raises:
            InvalidRequestError: `name` is not a connection name.
            ConfigurationError: its URL or key is missing or cannot be read; the message names the variable and the file.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequestError(f"connection name {name!r}: lower-case letters, digits and dashes are allowed, at most 63")
        url = self._required(name, "url").rstrip("/")
        parts = {part: self._required(name, part) for part in wanted.required}
        parts |= {part: value for part in wanted.optional if (value := self._part(name, part))}
        secrecy.remember(*(value for part, value in parts.items() if part not in _NO_SECRETS))
        return Connection(name=name, url=url, key=parts.get("key", ""), parts=parts)

    def _required(self, name: str, part: str) -> str:
        if value := self._part(name, part):
            return value
        variable = _variable(name, part)
        folder = self._environ.get("TRANSLOAD_CONNECTIONS_DIR", "")
        places = f"set {variable} or {variable}_FILE" + (f", or write it to the file {name}/{part} in TRANSLOAD_CONNECTIONS_DIR" if folder else "")
        raise ConfigurationError(f"connection {name!r} has no {part}: {places}", metadata={"setting": variable, "connection": name})

    def _part(self, name: str, part: str) -> str:
        """Answer a part, empty where it is not there. Raises ConfigurationError for a file that is there and says nothing."""
        variable = _variable(name, part)
        if value := self._environ.get(variable, "").strip():
            return value
        if file_name := self._environ.get(f"{variable}_FILE", ""):
            return _read(Path(file_name), f"{variable}_FILE", name)
        folder = self._environ.get("TRANSLOAD_CONNECTIONS_DIR", "")
        if folder and (path := Path(folder) / name / part).exists():
            return _read(path, variable, name)
        return ""


def _variable(name: str, part: str) -> str:
    return f"TRANSLOAD_CONNECTION_{name.upper().replace('-', '_')}_{part.upper()}"


def _read(path: Path, variable: str, name: str) -> str:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        facts = {"setting": variable, "connection": name}
        raise ConfigurationError(f"the file of {variable} cannot be read: {_why(error)}", metadata=facts) from error
    if not value:
        raise ConfigurationError(f"the file of {variable} is empty", metadata={"setting": variable, "connection": name})
    return value


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "no answer") if isinstance(error, OSError) else "it is no UTF-8"
