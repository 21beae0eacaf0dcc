"""Being the one ledger that writes: taking the lease, carrying it on, hearing that it is lost, and standing by for it.

What a ledger knows of the work is built when it takes the lease and thrown away when it loses it: each term begins like a new process.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NoReturn

from services.common import telemetry
from services.common.errors import TransloadError, UnavailableError
from services.ledger.lease import LEASE_LENGTH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.common.clock import Clock
    from services.ledger.lease import Lease, LeaseStore

_LOG = telemetry.get_logger(__name__)

RENEW_SECONDS: Final = LEASE_LENGTH.total_seconds() / 4
LOOK_SECONDS: Final = 1.0
RELEASE_SECONDS: Final = 2.0


class Leadership:
    """A lease that is held."""

    def __init__(self, store: LeaseStore, lease: Lease, clock: Clock) -> None:
        self._store, self._lease, self._clock = store, lease, clock
        self._lost = asyncio.Event()
        store.on_lost(self._lost.set)

    async def keep(self) -> None:
        """Carry the lease on until it is lost. A database that does not answer takes nothing away: it lets nobody else have the lease either."""
        while not self._lost.is_set():
            await self._clock.sleep(RENEW_SECONDS)
            try:
                if not await self._store.renew(self._lease):
                    self._lost.set()
            except UnavailableError as error:
                _LOG.warning("lease.not_renewed", term=self._lease.term, problem=error.message)

    async def until_lost(self) -> None:
        """Return when another ledger has the lease."""
        await self._lost.wait()
        _LOG.warning("lease.lost", term=self._lease.term)

    async def release(self) -> None:
        """Let another take over at once, if the database can be told."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._store.release(self._lease)
        except (TransloadError, TimeoutError) as error:
            _LOG.warning("lease.not_released", term=self._lease.term, problem=type(error).__name__)


@asynccontextmanager
async def leading(store: LeaseStore, clock: Clock) -> AsyncIterator[Leadership | None]:
    """Take the lease and carry it on while the block runs; None while another ledger has it."""
    lease = await store.take()
    if lease is None:
        yield None
        return
    leadership = Leadership(store, lease, clock)
    if not store.is_shared:
        yield leadership
        return
    _LOG.info("lease.taken", term=lease.term)
    keeping = asyncio.create_task(leadership.keep())
    try:
        yield leadership
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await leadership.release()


async def until_free(store: LeaseStore, clock: Clock) -> None:
    """Return when the lease may be had."""
    while True:
        await clock.sleep(LOOK_SECONDS)
        try:
            if await store.is_free():
                return
        except UnavailableError as error:
            _LOG.warning("lease.not_seen", problem=error.message)


async def refuse_readiness() -> None:
    """Say in the health service that work is not welcome. Raises UnavailableError."""
    refuse()


def refuse() -> NoReturn:
    """Raise what every call of a ledger that stands by is answered with."""
    raise UnavailableError("this ledger stands by: another one is at work; ask again, or ask that one", reason="LEDGER_STANDBY")


class Standby:
    """Stands in for a servicer and refuses its every call."""

    def __init__(self, servicer: type) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        if inspect.isasyncgenfunction(getattr(self._servicer, name)):

            async def refuse_stream(request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ARG001
                refuse()
                yield

            return refuse_stream

        async def refuse_call(request: Any, context: Any) -> Any:  # noqa: ARG001
            refuse()

        return refuse_call
