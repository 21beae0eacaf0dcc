"""Who may grant from a target's budget: one arbiter at a time, for a term it must renew, with what must outlive it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.ledger.domain import BudgetTerm
from transload.v1.ledger_service_pb2 import KeptBudget

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from services.ledger.repository import Transaction


@dataclass(frozen=True, slots=True)
class Hold:
    """An arbiter asks for a term, or for more of its own.

    Attributes:
        kept: what to note; None at the beginning.
    """

    connection: str
    holder: str
    term: timedelta
    kept: bytes | None

    @property
    def replica(self) -> str:
        """The holder without its incarnation."""
        return self.holder.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Held:
    """The answer. `before` is the term that ended when this one began; None: it was only renewed, or there was none before."""

    term: BudgetTerm
    is_granted: bool
    before: BudgetTerm | None = None


async def hold_budget(tx: Transaction, hold: Hold, now: datetime, end_of: Callable[[datetime], datetime] | None = None) -> Held:
    """Give or renew the term, unless another arbiter has it. `end_of` says when a term that was to last until a time is over; None: then.

    A replica started again takes its own term over at once: its old process is gone. What is to be noted counts only within a term that never
    ended: who comes back after another one had the budget begins anew.
    """
    known = await tx.get_budget_term(hold.connection)
    if known is None:
        begun = BudgetTerm(hold.connection, 1, hold.holder, now + hold.term, hold.kept or b"")
        await tx.save_budget_term(begun)
        return Held(begun, is_granted=True)
    if end_of is not None:
        known = replace(known, expire_time=end_of(known.expire_time))
    if known.holder == hold.holder and hold.kept is not None:
        renewed = replace(known, expire_time=now + hold.term, kept=hold.kept)
        await tx.save_budget_term(renewed)
        return Held(renewed, is_granted=True)
    if known.replica != hold.replica and known.expire_time > now:
        return Held(known, is_granted=False)
    if hold.kept is not None:
        # It does not know yet that it lost the budget, and what it counted since is worth nothing.
        return Held(known, is_granted=False)
    kept = known.kept if known.replica == hold.replica else _shared(known.kept)
    begun = replace(known, term_number=known.term_number + 1, holder=hold.holder, expire_time=now + hold.term, kept=kept)
    await tx.save_budget_term(begun)
    return Held(begun, is_granted=True, before=known)


def _shared(kept: bytes) -> bytes:
    """Mark what an arbiter of another name left: its leases may outlive it and this term too, should this one end before it notes anything."""
    if not kept:
        return kept
    message = KeptBudget.FromString(kept)
    message.is_shared = True
    return message.SerializeToString(deterministic=True)
