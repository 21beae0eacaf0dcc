"""The keys of an installation's services for NATS, in a folder: a seed for each, and the file the servers read.

Each service has two places in the servers' file. Normally the second holds a key whose seed nobody has; while a key is changed it holds the old one,
so that the service is let in before and after it was restarted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from transload.nkeys import KeyFormatError, NKey, is_public

if TYPE_CHECKING:
    from pathlib import Path

SERVICES: Final = ("ledger", "transformer", "loader")
"""The services that speak to NATS."""
KEYS_FILE: Final = "keys.conf"
_LINE: Final = re.compile(r'^(?P<slot>[A-Z]+_KEY(?:_BEFORE)?): "(?P<key>[A-Z2-7]+)"$')


class KeyFolderError(Exception):
    """The folder holds something else than keys, or cannot be used. The message names the file."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys of a service: the one it has, and the one that is let in beside."""

    service: str
    public: str
    before: str


def write(folder: Path, *, change: str = "", withdraw: str = "") -> list[Keys]:
    """Makes what is missing and answers the public keys. Doing it again changes nothing; a change that was cut short is finished.

    Args:
        folder: made if missing, for its owner alone.
        change: a service that gets a new seed; its old key is let in until it is withdrawn.
        withdraw: a service whose old key is let in no longer.

    Raises:
        KeyFolderError: a file cannot be read or written, or is not what it should be.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = _read(folder / KEYS_FILE)
        if change:
            _replace(folder / f"{change}.seed", NKey.generate().seed + "\n", mode=0o600)
        found = [_of(folder, service, known, withdraws=service == withdraw) for service in SERVICES]
        lines = [f'{one.service.upper()}_KEY: "{one.public}"\n{one.service.upper()}_KEY_BEFORE: "{one.before}"\n' for one in found]
        _replace(folder / KEYS_FILE, "".join(lines), mode=0o644)
    except OSError as error:
        raise KeyFolderError(f"{error.filename or folder} cannot be used: {error.strerror}") from error
    return found


def _of(folder: Path, service: str, known: dict[str, str], *, withdraws: bool) -> Keys:
    path = folder / f"{service}.seed"
    if not path.exists():
        _replace(path, NKey.generate().seed + "\n", mode=0o600)
    try:
        public = NKey.from_seed(path.read_text(encoding="utf-8")).public
    except (KeyFormatError, UnicodeDecodeError) as error:
        raise KeyFolderError(f"{path} {error if isinstance(error, KeyFormatError) else 'is no key'}") from None
    last = known.get(f"{service.upper()}_KEY", public)
    before = last if last != public else known.get(f"{service.upper()}_KEY_BEFORE", public)
    # The servers refuse a file in which a key stands twice.
    return Keys(service, public, NKey.generate().public if withdraws or before == public else before)


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _LINE.match(line)
        if match is None or not is_public(match["key"]):
            raise KeyFolderError(f'{path}, line {number}: not written by this command; keys stand there as NAME_KEY: "U..."')
        found[match["slot"]] = match["key"]
    return found


def _replace(path: Path, text: str, *, mode: int) -> None:
    """Writes a file in one step, readable as `mode` says from the first moment."""
    draft = path.with_name(f".{path.name}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
