"""What a database does to the ledger: refuses a commit, or the process dies in it, before or after it took effect."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

import sqlalchemy
from sqlalchemy import QueuePool, RootTransaction

from tests.simulation.processes import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random


class DeadError(BaseException):
    """The process died in the midst of this call; nothing of it runs again."""


@dataclass(slots=True)
class DatabaseFaults:
    """What the next commits of the ledger meet.

    Attributes:
        refused_share: part of the commits that fail and are rolled back.
        dies_in: the process dies in this many commits from now; 0: not.
        kill: kills the process and starts it again after a while.
        hits: how often each kind of fault really hit.
    """

    draw: Random
    kill: Callable[[str], object]
    hits: Counter[str] = field(default_factory=Counter)
    refused_share: float = 0.0
    dies_in: int = 0

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Stand between SQLAlchemy and the driver while the block runs."""
        commit = RootTransaction.commit

        def guarded(transaction: RootTransaction) -> None:
            owner = OWNER.get()
            if owner is None or not _is_writer(transaction):
                commit(transaction)
                return
            if self.refused_share and self.draw.random() < self.refused_share:
                self.hits["database"] += 1
                raise sqlalchemy.exc.OperationalError("COMMIT", None, Exception("disk I/O error"))
            if self.dies_in:
                self.dies_in -= 1
                if not self.dies_in:
                    self._die(owner.name, lambda: commit(transaction))
            commit(transaction)

        with mock.patch.object(RootTransaction, "commit", guarded):
            yield

    def _die(self, name: str, commit: Callable[[], Any]) -> None:
        self.hits["dies in commit"] += 1
        if self.draw.random() < 0.5:
            commit()
        self.kill(name)
        raise DeadError


def _is_writer(transaction: RootTransaction) -> bool:
    """Readers commit, too, but nothing is at stake."""
    pool = transaction.connection.engine.pool
    return isinstance(pool, QueuePool) and pool.size() == 1
