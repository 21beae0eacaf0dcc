"""The ledger's signing key on disk."""

import os
from pathlib import Path

from services.common.errors import ConfigurationError
from transload.audit.heads import KeyFileError, Signer

_SETTING = {"setting": "TRANSLOAD_LEDGER_SIGNING_KEY_FILE"}


def load_signer(path: Path) -> Signer:
    """Read the signing key, or make one when there is no file: readable by its owner only, and whole or not there.

    Raises:
        ConfigurationError: The file cannot be read or written, or holds no Ed25519 key.
    """
    try:
        if not path.exists():
            _write_once(path, Signer.generate().pem())
        return Signer.from_pem(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"the signing key {path} cannot be used: {error.strerror or error}", metadata=_SETTING) from error
    except KeyFileError as error:
        raise ConfigurationError(f"the signing key {path} cannot be used: {error}", metadata=_SETTING) from error


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that is not there; when another process was first, its file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
