"""What the ledger's rules ask of its storage.

`Ledger.transaction()` is the unit of work: all writes of one decision and the events that tell of them stand in one transaction, or none does.
There is one writer at a time; a transaction sees everything committed before it, so read-modify-write inside it is safe. After a commit the
listeners hear which migrations changed.

Errors of the database arrive as `UnavailableError`; a caller repeats the whole transaction.
"""

from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from services.ledger.reader import Reader
from services.ledger.transaction import Transaction

__all__ = ["Ledger", "Listener", "Reader", "Transaction"]

Item = TypeVar("Item")
Listener = Callable[[str], None]
"""Hears the id of a migration that changed; must not block and must not raise."""


class Ledger(Protocol):
    """The storage of the ledger."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a unit of work: commits at the end of the block, rolls back when it raises."""
        ...

    def read(self) -> AbstractAsyncContextManager[Reader]:
        """Begin a consistent read that does not wait for the writer."""
        ...

    async def transact(self, work: Callable[[Transaction], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` as one unit of work and answer what it answers: cheaper than `transaction` for what is done for every record.

        It may run in another thread and may wait for nothing but the transaction.
        """
        ...

    async def look(self, work: Callable[[Reader], Coroutine[Any, Any, Item]]) -> Item:
        """Run `work` on one consistent state: cheaper than `read` for what is asked all the time.

        It may run in another thread and may wait for nothing but the reader.
        """
        ...

    def subscribe(self, listener: Listener, *, outbox_only: bool = False) -> Callable[[], None]:
        """Call `listener` after every commit that changed a migration, or only after those that queued messages; answers how to stop it."""
        ...

    def on_change(self, migration_id: str) -> None:
        """Tell the listeners that a migration changed. Transactions do this themselves after their commit."""
        ...

    async def scrub(self) -> None:
        """Leave nothing of what was erased in the files of the database, as far as it can. Raises UnavailableError: ask again."""
        ...

    async def ping(self) -> None:
        """Raise `UnavailableError` unless the database answers."""
        ...
