"""The SQLite file that keeps an account: opened by one simulator at a time, and only when it is one of ours."""

import sqlite3
from pathlib import Path

APPLICATION_ID = 0x50_49_50_45
"""Marks the file as ours; the letters PIPE."""
FORMAT = 1
"""Of what the file holds. A simulator that writes records in another shape counts it up."""
_TABLES = (
    "CREATE TABLE IF NOT EXISTS record (kind TEXT, id INTEGER, body BLOB, PRIMARY KEY (kind, id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS blob (digest TEXT PRIMARY KEY, content BLOB)",
)


class StoreError(Exception):
    """The state file cannot be used; the message is one line for a person."""


def open_state(path: Path) -> sqlite3.Connection:
    """Open or make the file and keep others out until it is closed.

    Raises:
        StoreError: When it cannot be opened or written, is in use, or is not a state file of this format.
    """
    if path.is_dir():
        raise StoreError(f"cannot use the state file {path}: it is a folder")
    if not path.parent.is_dir():
        raise StoreError(f"cannot use the state file {path}: there is no folder {path.parent}")
    try:
        database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.0)
        _prepare(database, path)
    except sqlite3.Error as error:
        raise StoreError(f"cannot use the state file {path}: {_reason(error)}") from error
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    run = database.execute
    run("PRAGMA locking_mode = EXCLUSIVE")
    tables = run("SELECT count(*) FROM sqlite_master").fetchone()[0]
    found_id, found_format = run("PRAGMA application_id").fetchone()[0], run("PRAGMA user_version").fetchone()[0]
    if tables and found_id != APPLICATION_ID:
        raise StoreError(f"{path} is a SQLite file of another program or of an older simulator; name another file")
    if tables and found_format != FORMAT:
        age = "a newer" if found_format > FORMAT else "an older"
        raise StoreError(f"the state file {path} is of {age} format ({found_format}, this simulator writes {FORMAT}); name another file")
    # A commit in WAL mode reaches the operating system at once, so it outlives the process; only a power cut could lose it.
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = NORMAL")
    run("BEGIN IMMEDIATE")
    for table in _TABLES:
        run(table)
    run(f"PRAGMA application_id = {APPLICATION_ID}")
    run(f"PRAGMA user_version = {FORMAT}")
    run("COMMIT")


def _reason(error: sqlite3.Error) -> str:
    text = str(error)
    if "locked" in text:
        return "another running simulator uses it"
    if "readonly" in text or "unable to open" in text:
        return "it cannot be written"
    return f"it is damaged ({text}); move it away to start with a new account"
