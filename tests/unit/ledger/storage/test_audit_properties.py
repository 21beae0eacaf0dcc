"""Whatever is changed in a chain is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.audit import chain, find_break
from services.ledger.domain import Event, EventDraft
from transload.audit.chain import ChainHead
from transload.audit.merkle import root_of

NOW = datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
WORDS = st.text(max_size=12)
DRAFTS = st.lists(
    st.builds(
        EventDraft,
        kind=WORDS,
        actor=WORDS,
        key=WORDS,
        source_key=WORDS,
        target_id=WORDS,
        result=WORDS,
        payload=st.none() | st.dictionaries(WORDS, WORDS | st.integers() | st.floats(allow_nan=False, allow_infinity=False), max_size=3),
    ),
    min_size=1,
    max_size=8,
)
COLUMNS = ("migration_id", "kind", "actor", "key", "source_key", "target_id", "result", "payload_digest", "previous_hash", "hash")

pytestmark = pytest.mark.requirement("L-14")


def make(drafts: list[EventDraft]) -> list[Event]:
    events, head = chain("acme", ChainHead(), drafts, NOW)
    assert (head.sequence, head.hash) == (len(events), events[-1].hash)
    assert head.root_hash == root_of(bytes.fromhex(event.hash) for event in events).hex()
    return events


@given(DRAFTS)
def test_a_chain_verifies_with_and_without_its_payloads(drafts: list[EventDraft]) -> None:
    events = make(drafts)
    erased = [replace(event, payload=b"", salt="") for event in events]
    assert find_break(ChainHead(), events)[1] == 0
    assert find_break(ChainHead(), erased)[1] == 0


@given(DRAFTS, st.data())
def test_any_changed_column_is_found(drafts: list[EventDraft], data: st.DataObject) -> None:
    events = make(drafts)
    place = data.draw(st.integers(0, len(events) - 1))
    column = data.draw(st.sampled_from(COLUMNS))
    before = getattr(events[place], column)
    after = data.draw(WORDS.filter(lambda word: word != before))
    events[place] = replace(events[place], **{column: after})  # type: ignore[arg-type]
    _, broken, message = find_break(ChainHead(), events)
    assert broken == place + 1
    assert message


@given(DRAFTS, st.data())
def test_a_changed_time_or_payload_is_found(drafts: list[EventDraft], data: st.DataObject) -> None:
    events = make(drafts)
    place = data.draw(st.integers(0, len(events) - 1))
    event = events[place]
    if event.salt and data.draw(st.booleans()):
        events[place] = replace(event, payload=event.payload + b" ")
    else:
        events[place] = replace(event, event_time=event.event_time.replace(microsecond=data.draw(st.integers(0, 123455))))
    assert find_break(ChainHead(), events)[1] == place + 1


@given(DRAFTS.filter(lambda drafts: len(drafts) > 1), st.data())
def test_leaving_out_swapping_and_repeating_are_found(drafts: list[EventDraft], data: st.DataObject) -> None:
    events = make(drafts)
    place = data.draw(st.integers(0, len(events) - 2))
    how = data.draw(st.sampled_from(["left out", "swapped", "repeated"]))
    if how == "left out":
        del events[place]
    elif how == "swapped":
        events[place], events[place + 1] = events[place + 1], events[place]
    else:
        events.insert(place, events[place])
    assert find_break(ChainHead(), events)[1] in {place + 1, place + 2}


def test_equal_payloads_have_different_digests() -> None:
    events = make([EventDraft("a", "b", payload={"status": "paid"})] * 2)
    assert events[0].payload_digest != events[1].payload_digest
