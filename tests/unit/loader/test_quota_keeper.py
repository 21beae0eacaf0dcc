"""The keeper: terms are begun, renewed and given up, and what outlives an arbiter is noted before it is relied on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.common.errors import UnavailableError
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.budget import Budget
from services.loader.quota.keeper import Keeper, Term
from services.loader.quota.leases import Headers, Lease, Refusal
from services.loader.quota.settings import QuotaSettings

if TYPE_CHECKING:
    from services.loader.quota.tokens import Kept
    from tests.fakes.clock import FakeClock


class Terms:
    """A ledger that answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer = Term(is_granted=True)
        self.is_away = False
        self.asked: list[Kept | None] = []

    async def hold_budget(self, connection: str, *, term_seconds: float, kept: Kept | None) -> Term:
        assert (connection, term_seconds) == ("crm", 15.0)
        if self.is_away:
            raise UnavailableError("away")
        self.asked.append(kept)
        return self.answer


@pytest.fixture
def terms() -> Terms:
    return Terms()


def arbiter_of(clock: FakeClock) -> Arbiter:
    return Arbiter(settings=QuotaSettings(), clock=clock, has_terms=True)


def keeper_of(arbiter: Arbiter, terms: Terms, clock: FakeClock) -> Keeper:
    return Keeper(arbiter=arbiter, terms=terms, settings=QuotaSettings(), clock=clock)


def is_granted(budget: Budget) -> bool:
    answer = budget.acquire(requests=1, tokens=5)
    if isinstance(answer, Refusal):
        return False
    assert isinstance(answer, Lease)
    budget.release(answer.lease_id, requests_sent=1, tokens_spent=5, headers=Headers(status=200))
    return True


@pytest.mark.requirement("G-03")
async def test_nothing_is_granted_before_the_ledger_has_noted_where_we_begin(clock: FakeClock, terms: Terms) -> None:
    arbiter = arbiter_of(clock)
    budget, keeper = arbiter.budget("crm"), keeper_of(arbiter, terms, clock)
    assert not is_granted(budget)
    await keeper.keep_due()
    assert not is_granted(budget)
    await keeper.keep_due()
    assert is_granted(budget)
    assert terms.asked[0] is None
    assert terms.asked[1] is not None
    assert terms.asked[1].floor == 30_000 - 300


async def test_while_the_ledger_is_away_a_term_runs_out_and_goes_on_afterwards(clock: FakeClock, terms: Terms) -> None:
    arbiter = arbiter_of(clock)
    budget, keeper = arbiter.budget("crm"), keeper_of(arbiter, terms, clock)
    await keeper.keep_due()
    await keeper.keep_due()
    terms.is_away = True
    for _ in range(14):
        clock.advance(1)
        await keeper.keep_due()
        assert is_granted(budget)
    clock.advance(1)
    assert not is_granted(budget)
    terms.is_away = False
    clock.advance(1)
    await keeper.keep_due()
    assert is_granted(budget)


async def test_who_lost_the_budget_grants_nothing_and_begins_anew(clock: FakeClock, terms: Terms) -> None:
    arbiter = arbiter_of(clock)
    budget, keeper = arbiter.budget("crm"), keeper_of(arbiter, terms, clock)
    await keeper.keep_due()
    await keeper.keep_due()
    assert is_granted(budget)
    terms.answer = Term(is_granted=False, retry_seconds=9.0)
    clock.advance(5)
    await keeper.keep_due()
    assert not is_granted(budget)
    clock.advance(1)
    await keeper.keep_due()
    assert terms.asked[-1] is None


async def test_tokens_are_noted_ahead_so_that_calls_do_not_wait_for_the_ledger(clock: FakeClock, terms: Terms) -> None:
    arbiter = arbiter_of(clock)
    budget, keeper = arbiter.budget("crm"), keeper_of(arbiter, terms, clock)
    await keeper.keep_due()
    await keeper.keep_due()
    for count in range(400):
        clock.advance(2.1 / 20)
        await keeper.keep_due()
        assert is_granted(budget), count
    floors = [kept.floor for kept in terms.asked if kept is not None]
    assert floors == sorted(floors, reverse=True)
    assert 7 <= len(floors) <= 25


async def test_a_budget_nobody_asks_for_is_not_renewed(clock: FakeClock, terms: Terms) -> None:
    arbiter = arbiter_of(clock)
    budget, keeper = arbiter.budget("crm"), keeper_of(arbiter, terms, clock)
    await keeper.keep_due()
    await keeper.keep_due()
    for _ in range(100):
        clock.advance(1)
        await keeper.keep_due()
    assert len(terms.asked) == 2
    assert not is_granted(budget)
    await keeper.keep_due()
    assert is_granted(budget)
