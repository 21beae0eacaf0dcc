"""The set of records a list has shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import Record
from services.ledger.runs.seen import Seen

RECORD = Record("acme", "deal:sales_order/1", "deal", "sales_order", "1", 7)


@pytest.mark.requirement("L-13")
@given(st.sets(st.integers(0, 3_000)), st.sets(st.integers(0, 3_000)))
def test_packed_or_not_it_holds_what_was_added(first: set[int], second: set[int]) -> None:
    seen = Seen()
    for order in first:
        seen.add(replace(RECORD, create_order=order))
    seen = Seen(seen.pack())
    for order in second:
        seen.add(replace(RECORD, create_order=order))
    again = Seen(seen.pack())
    assert {order for order in range(3_010) if replace(RECORD, create_order=order) in again} == first | second


@pytest.mark.requirement("L-13")
def test_a_million_records_seen_in_order_are_a_few_hundred_bytes() -> None:
    seen = Seen()
    seen._bits = bytearray(b"\xff" * 125_000)
    assert len(seen.pack()) < 1_000
