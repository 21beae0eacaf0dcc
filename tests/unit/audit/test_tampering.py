"""Whatever single thing is done to an exported trail is found, whether payloads stand in it or were erased."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.audit.trails import MIGRATION, SIGNER, Trail, trail_of
from transload.audit.heads import Signer
from transload.audit.verifier import verify_export

pytestmark = pytest.mark.requirement("L-14")

EVENTS = 24
SIGNED_AT = (5, 6, 17)


def trail(*, is_erased: bool) -> list[bytes]:
    """Lines of an export after its first: as it was written, or with every payload erased as the ledger does it."""
    if not is_erased:
        return trail_of(EVENTS, signed_at=SIGNED_AT).lines[1:]
    made = Trail()
    for number in range(1, EVENTS + 1):
        made.add(is_erased=number != EVENTS, source_key=f"client/{number % 3}", kind="payload.erased" if number == EVENTS else "", name="Zoë")
        if number in SIGNED_AT:
            made.sign()
    made.sign()
    return made.lines[1:]


WHOLE = {False: trail(is_erased=False), True: trail(is_erased=True)}
FOREIGN = trail_of(EVENTS, signed_at=SIGNED_AT).lines[1:]
"""Another trail of the same migration id under the same key: events and heads that are right in themselves."""


def is_event(line: bytes) -> bool:
    return line.startswith(b'{"sequence"')


def edited(lines: list[bytes], draw: Any) -> list[bytes]:
    place = draw(st.integers(0, len(lines) - 1))
    line = lines[place].rstrip(b"\n")
    at = draw(st.integers(0, len(line) - 1))
    to = draw(st.integers(0, 255).filter(lambda byte: byte not in {line[at], 10, 13}))
    return [*lines[:place], line[:at] + bytes([to]) + line[at + 1 :] + b"\n", *lines[place + 1 :]]


def without(lines: list[bytes], draw: Any) -> list[bytes]:
    place = draw(st.integers(0, len(lines) - 1))
    return [*lines[:place], *lines[place + 1 :]]


def with_another(lines: list[bytes], draw: Any) -> list[bytes]:
    place = draw(st.integers(0, len(lines)))
    return [*lines[:place], draw(st.sampled_from(lines + FOREIGN)), *lines[place:]]


def replaced(lines: list[bytes], draw: Any) -> list[bytes]:
    place = draw(st.integers(0, len(lines) - 1))
    return [*lines[:place], draw(st.sampled_from(FOREIGN)), *lines[place + 1 :]]


def swapped(lines: list[bytes], draw: Any) -> list[bytes]:
    first, second = sorted(draw(st.lists(st.integers(0, len(lines) - 1), min_size=2, max_size=2, unique=True)))
    changed = list(lines)
    changed[first], changed[second] = lines[second], lines[first]
    return changed


def cut_off(lines: list[bytes], draw: Any) -> list[bytes]:
    return lines[: draw(st.integers(0, len(lines) - 1))]


def beheaded(lines: list[bytes], draw: Any) -> list[bytes]:
    return lines[draw(st.integers(1, len(lines) - 1)) :]


def cut_in_a_line(lines: list[bytes], draw: Any) -> list[bytes]:
    content = b"".join(lines)
    return content[: draw(st.integers(0, len(content) - 2))].splitlines(keepends=True)


DEEDS = (edited, without, with_another, replaced, swapped, cut_off, beheaded, cut_in_a_line)


@pytest.mark.parametrize("deed", DEEDS, ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("is_erased", [False, True])
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_still_verifies_is_the_trail_up_to_a_head(is_erased: bool, deed: Any, data: st.DataObject) -> None:
    lines = WHOLE[is_erased]
    assert verify_export(lines, MIGRATION, SIGNER.public_key).is_whole
    changed = deed(lines, data.draw)
    verdict = verify_export(changed, MIGRATION, SIGNER.public_key)
    if not verdict.is_whole:
        assert verdict.message
        return
    # Nothing that was said is untrue, and nothing before the last head is missing: a head too few, one that stands twice, its hex digits in capitals.
    assert [line for line in changed if is_event(line)] == [line for line in lines if is_event(line)][: verdict.event_count]
    assert verdict.event_count in {*SIGNED_AT, EVENTS}
    assert verdict.event_count == EVENTS or deed in {cut_off, cut_in_a_line}


@pytest.mark.parametrize("is_erased", [False, True])
def test_heads_of_another_key_are_refused_whatever_they_say(is_erased: bool) -> None:
    forged = Trail(signer=Signer.generate())
    for number in range(EVENTS):
        forged.add(is_erased=is_erased, name=f"Zoë {number}")
    forged.sign()
    assert verify_export(forged.lines[1:], MIGRATION).is_whole
    assert not verify_export(forged.lines[1:], MIGRATION, SIGNER.public_key).is_whole
