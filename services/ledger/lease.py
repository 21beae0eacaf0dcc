"""Who may write: one ledger at a time holds the lease, and each that takes it gets the next term.

The term is a fencing token: a transaction commits only under the newest one. So a ledger that slept through the end of its lease can do no harm,
however sure it is that it still has it. Expiry only decides when another may try, and is measured by the database's clock alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

LEASE_LENGTH: Final = timedelta(seconds=10)
"""How long a lease lasts that is not renewed: a ledger that died is stood in for after that time."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease as it was written last."""

    holder: str
    term: int
    expire_time: datetime


def taken(last: Lease | None, holder: str, now: datetime, length: timedelta) -> Lease | None:
    """Answer the lease `holder` gets, or None while somebody has it: an earlier life of the same holder, too, because it may still be at work."""
    if last is not None and now < last.expire_time:
        return None
    return Lease(holder, 1 if last is None else last.term + 1, now + length)


def renewed(last: Lease | None, mine: Lease, now: datetime, length: timedelta) -> Lease | None:
    """Answer the lease carried on, or None when another has taken it. One that ran out is carried on as long as nobody did."""
    if last is None or (last.term, last.holder) != (mine.term, mine.holder):
        return None
    return Lease(mine.holder, mine.term, now + length)


class LeaseStore(Protocol):
    """Where the lease stands. Methods raise `UnavailableError` when that does not answer."""

    is_shared: bool
    """Whether another process may want it at all."""

    async def take(self) -> Lease | None:
        """Take the lease and write under its term from now on, or answer None while somebody has it."""
        ...

    async def renew(self, mine: Lease) -> bool:
        """Carry the lease on; answers False when another has taken it."""
        ...

    async def release(self, mine: Lease) -> None:
        """Let go of the lease, so that another need not wait for its end."""
        ...

    async def is_free(self) -> bool:
        """Answer whether `take` is worth a try."""
        ...

    def on_lost(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a transaction is refused because another has taken the lease."""
        ...


class SoleLease:
    """The lease of a database that one process has for itself: always there, never lost."""

    is_shared = False

    def __init__(self, holder: str) -> None:
        self._holder = holder

    async def take(self) -> Lease | None:
        """Answer the lease."""
        return Lease(self._holder, 0, datetime.max)  # noqa: DTZ901 - it has no end

    async def renew(self, mine: Lease) -> bool:  # noqa: ARG002
        """Answer True."""
        return True

    async def release(self, mine: Lease) -> None:
        """Do nothing."""

    async def is_free(self) -> bool:
        """Answer True."""
        return True

    def on_lost(self, listener: Callable[[], None]) -> None:
        """Do nothing: it cannot be lost."""
