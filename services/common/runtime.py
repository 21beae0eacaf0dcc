"""Runs a service: start, readiness, signals, and a stop in the one order that loses nothing.

Start: listen (NOT_SERVING), consume and run tasks, SERVING once every ping passes. Stop: NOT_SERVING, stop fetching, finish what is in hand,
refuse calls and let running ones end, close the resources in reverse order, flush telemetry.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import uvloop

from services.common import telemetry
from services.common.backoff import Backoff
from services.common.errors import ConfigurationError, TransloadError
from services.common.grpc_server import Server, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from grpc import aio

    from services.common.access.refusals import Refusal
    from services.common.consumer import Consumer
    from services.common.settings import GrpcSettings, TelemetrySettings

_LOG = telemetry.get_logger(__name__)

PING_SECONDS: Final = 5.0
PING_TIMEOUT_SECONDS: Final = 4.0
# Until the first success we look more often: whoever started us waits for it.
STARTING_PING_SECONDS: Final = 0.1
# One lost answer is no outage.
PING_FAILURES_MAX: Final = 3
EXIT_CONFIGURATION: Final = 2


class Settings(Protocol):
    """What every service's settings have."""

    @property
    def grpc(self) -> GrpcSettings:
        """Where to listen."""
        ...

    @property
    def telemetry(self) -> TelemetrySettings:
        """Who we are."""
        ...


S = TypeVar("S", bound=Settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The parts of a service, wired.

    Attributes:
        name: as in logs and traces.
        servicers: generated `add_..._to_server` functions with their servicers.
        consumers: run until stop, then drained.
        tasks: run beside the consumers, started again with growing pauses if they fail, cancelled on stop; one that returns is done.
        pings: dependencies by name; the service says SERVING while all pass. Do not ping a service that pings you back by its readiness.
        on_refused: told that somebody known may not do what it asked for.
        until: returns when the service has to be wired anew: it is stopped in peace, all its connections end, and `build` is asked for another.
    """

    name: str
    servicers: Sequence[tuple[Callable[[Any, aio.Server], None], object]] = ()
    consumers: Sequence[Consumer] = ()
    tasks: Sequence[Callable[[], Awaitable[None]]] = ()
    pings: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    on_refused: Callable[[Refusal], Awaitable[None]] | None = None
    until: Callable[[], Awaitable[None]] | None = None


def main(name: str, settings: S | Callable[[Mapping[str, str]], S], build: Callable[[S], AbstractAsyncContextManager[Service]]) -> None:
    """Runs a service until SIGTERM or SIGINT. Leaves with code 2 when its configuration is wrong.

    Args:
        name: `ledger`, `extractor`, `transformer` or `loader`.
        settings: the settings, or what reads them from the environment (then a mistake is reported like any other).
        build: wires the service; its resources close when the block ends.
    """
    telemetry.setup(name, environ={})  # logs, for what goes wrong before the settings are read
    try:
        values = settings(os.environ) if callable(settings) else settings
        flush = telemetry.setup(name, replica=values.telemetry.replica, log_level=values.telemetry.log_level)
        try:
            # Loading takes the ledger and the loader about a tenth less processor time than on asyncio's own loop.
            uvloop.run(run(values, build))
        finally:
            flush()
    except ConfigurationError as error:
        _LOG.error("service.misconfigured", problem=error.message, **error.metadata)
        sys.exit(EXIT_CONFIGURATION)
    except asyncio.CancelledError:
        _LOG.warning("service.cancelled")


async def run(settings: S, build: Callable[[S], AbstractAsyncContextManager[Service]], *, stop: asyncio.Event | None = None) -> None:
    """Runs a service until `stop` is set or a signal comes. A second signal, or one while still connecting, ends it at once."""
    stop = stop or asyncio.Event()
    running = asyncio.create_task(_run_until(settings, build, stop))

    def on_signal() -> None:
        if stop.is_set():
            running.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        await running
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _run_until(settings: S, build: Callable[[S], AbstractAsyncContextManager[Service]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        await _run(settings, build, stop)


async def _run(settings: S, build: Callable[[S], AbstractAsyncContextManager[Service]], stop: asyncio.Event) -> None:
    building = build(settings)
    service = await _unless(stop, building.__aenter__())
    if service is None:
        return
    try:
        grpc = settings.grpc
        serving = serve(grpc.listen, service.servicers, security=grpc.security, health_listen=grpc.health_listen, on_refused=service.on_refused)
        async with serving as server:
            await _serve(settings.grpc, service, server, stop)
    except BaseException as error:
        if not await building.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        await building.__aexit__(None, None, None)
    _LOG.info("service.stopped")


async def _serve(settings: GrpcSettings, service: Service, server: Server, stop: asyncio.Event) -> None:
    _LOG.info("service.listening", address=server.address)
    if settings.address_file is not None:
        await asyncio.to_thread(_write_whole, settings.address_file, server.address)
    consuming = [asyncio.create_task(_keep_running(consumer.run, "consumer", consumer.spec.name)) for consumer in service.consumers]
    tasks = [asyncio.create_task(_keep_running(task, "task", getattr(task, "__qualname__", "task"))) for task in service.tasks]
    watching = asyncio.create_task(_watch_dependencies(service, server))
    try:
        await _until_over(service, stop)
        _LOG.info("service.stopping")
        watching.cancel()
        await server.set_serving(False)
        for consumer in service.consumers:
            consumer.stop()
        if consuming:
            await asyncio.wait(consuming, timeout=settings.drain_seconds)
        await server.stop(settings.drain_seconds)
    finally:
        pending = [*consuming, *tasks, watching]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


async def _until_over(service: Service, stop: asyncio.Event) -> None:
    """Returns when the process is to stop or the service is to be wired anew."""
    waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(stop.wait())]
    if service.until is not None:
        waiting.append(asyncio.ensure_future(_keep_running(service.until, "end", service.name)))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _watch_dependencies(service: Service, server: Server) -> None:
    is_ready = False
    failures = 0
    while True:
        problems = await _problems(service)
        failures = failures + 1 if problems else 0
        if not problems and not is_ready:
            is_ready = True
            await server.set_serving(True)
            _LOG.info("service.serving", address=server.address)
        elif is_ready and failures >= PING_FAILURES_MAX:
            is_ready = False
            await server.set_serving(False)
            _LOG.warning("service.not_ready", problems=problems)
        await asyncio.sleep(PING_SECONDS if is_ready else STARTING_PING_SECONDS * min(max(failures, 1), 10))


async def _problems(service: Service) -> dict[str, str]:
    problems: dict[str, str] = {}
    for name, ping in service.pings.items():
        try:
            async with asyncio.timeout(PING_TIMEOUT_SECONDS):
                await ping()
        except TransloadError as error:
            problems[name] = error.message
        except Exception as error:  # noqa: BLE001 - whatever a dependency's client throws means that it is not ready
            problems[name] = type(error).__name__
    return problems


async def _keep_running(run_once: Callable[[], Awaitable[None]], kind: str, name: str) -> None:
    backoff = Backoff(0.5, 30.0)
    attempt = 0
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            return await run_once()
        except Exception as error:  # noqa: BLE001 - a bug in one task must not end the process
            attempt = attempt + 1 if loop.time() - started < backoff.cap_seconds else 1
            _LOG.exception("task.failed", error, kind=kind, name=name, attempt=attempt)
        await asyncio.sleep(backoff.delay_seconds(attempt))


async def _unless(stop: asyncio.Event, doing: Awaitable[Service]) -> Service | None:
    """Answers what `doing` answers, or None when stopped before: then it is cancelled."""
    task = asyncio.ensure_future(doing)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return None
    finally:
        stopping.cancel()
        task.cancel()


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
