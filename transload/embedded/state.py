"""`stack.json`: what runs where, so that commands find the ledger and a restart takes the same ports.

{"pid": 4711, "nats_url": "nats://127.0.0.1:20001", "nats_pid": 4712, "services": {"ledger": {"address": "127.0.0.1:20002", "pid": 4713}, ...}}

After a clean stop the pids are null. After a power cut they are stale: whether a stack runs is decided by the lock, never by the file.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transload.embedded.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_NAME = "stack.json"
_LOCK_NAME = "stack.lock"


def read(data_dir: Path) -> dict[str, Any]:
    """Answers what `stack.json` says, empty when there is none or it cannot be read as such."""
    try:
        content = json.loads((data_dir / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write(data_dir: Path, content: dict[str, Any]) -> None:
    """Replaces `stack.json` in one step."""
    draft = data_dir / f".{FILE_NAME}"
    draft.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(data_dir / FILE_NAME)


def is_running(data_dir: Path) -> bool:
    """Whether a supervisor holds this folder now."""
    try:
        with lock(data_dir):
            return False
    except StackError:
        return True


@contextmanager
def lock(data_dir: Path) -> Iterator[None]:
    """Holds the folder; the kernel lets go of it when this process ends, however it ends.

    Raises:
        StackError: another supervisor holds it, or the folder cannot be used.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StackError(f"{data_dir} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        pid = read(data_dir).get("pid")
        raise StackError(f"a stack already runs in {data_dir} (process {pid}); stop it, or use another folder") from error
    try:
        yield
    finally:
        os.close(descriptor)
