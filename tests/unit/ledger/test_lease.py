"""Who may write, as a rule; and that each that takes the lease gets a newer term, whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.lease import Lease, renewed, taken

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=10)


def test_the_first_gets_the_first_term() -> None:
    assert taken(None, "a", NOW, LENGTH) == Lease("a", 1, NOW + LENGTH)


def test_a_live_lease_is_nobodys_else_not_even_a_namesakes() -> None:
    held = Lease("a", 4, NOW + timedelta(microseconds=1))
    assert taken(held, "b", NOW, LENGTH) is None
    assert taken(held, "a", NOW, LENGTH) is None


def test_one_that_ran_out_goes_to_the_next_with_a_newer_term() -> None:
    assert taken(Lease("a", 4, NOW), "b", NOW, LENGTH) == Lease("b", 5, NOW + LENGTH)


def test_one_that_ran_out_is_carried_on_while_nobody_took_it() -> None:
    mine = Lease("a", 4, NOW - LENGTH)
    assert renewed(mine, mine, NOW, LENGTH) == Lease("a", 4, NOW + LENGTH)
    assert renewed(Lease("b", 5, NOW), mine, NOW, LENGTH) is None
    assert renewed(Lease("b", 4, NOW), mine, NOW, LENGTH) is None  # an older backup was restored, and another began there
    assert renewed(None, mine, NOW, LENGTH) is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12), st.booleans()), max_size=60))
def test_two_never_hold_the_newest_term(steps: list[tuple[str, int, bool]]) -> None:
    written: Lease | None = None
    believed: dict[str, Lease] = {}
    now, terms = NOW, []
    for who, seconds, renews in steps:
        now += timedelta(seconds=seconds)
        if renews and who in believed:
            if (lease := renewed(written, believed[who], now, LENGTH)) is not None:
                written = lease
        elif (lease := taken(written, who, now, LENGTH)) is not None:
            terms.append(lease.term)
            written = believed[who] = lease
        assert sum(lease.term == written.term for lease in believed.values()) == 1 if written else not believed
    assert terms == sorted(set(terms))
