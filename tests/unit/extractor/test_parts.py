"""Parts of large files: they add up, whatever the sizes and however the bytes come."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extractor.parts import PART_NAME_CHARACTERS_MAX, PartHasher, joining_text, part_bytes

pytestmark = pytest.mark.requirement("D-04", "X-07")


@given(chunks=st.lists(st.binary(max_size=40)), size=st.integers(1, 30))
def test_parts_are_the_bytes_in_order_none_longer_than_asked(chunks: list[bytes], size: int) -> None:
    hasher = PartHasher(size)
    for chunk in chunks:
        hasher.update(chunk)
    whole = b"".join(chunks)
    parts = hasher.parts("film.mp4")
    pieces = [whole[part.first_byte : part.first_byte + part.byte_count] for part in parts]
    assert b"".join(pieces) == whole
    assert all(0 < part.byte_count <= size for part in parts)
    assert all(part.byte_count == size for part in parts[:-1])
    assert [part.digest for part in parts] == [hashlib.sha256(piece).hexdigest() for piece in pieces]


@pytest.mark.parametrize(("count", "first", "last"), [(3, ".001", ".003"), (999, ".001", ".999"), (1_000, ".0001", ".1000")])
def test_names_sort_as_the_parts_are_joined_and_are_never_too_long(count: int, first: str, last: str) -> None:
    hasher = PartHasher(1)
    hasher.update(b"x" * count)
    names = [part.name for part in hasher.parts("n" * 250 + ".mp4")]
    assert names == sorted(names)
    assert (names[0].endswith(first), names[-1].endswith(last)) == (True, True)
    assert len(set(names)) == count
    assert all(len(name) <= PART_NAME_CHARACTERS_MAX for name in names)


def test_parts_stay_below_the_limit_however_a_megabyte_is_counted() -> None:
    assert part_bytes(25 * 1024 * 1024) < 25_000_000
    assert part_bytes(1) == 1


def test_commands_hold_nothing_a_source_can_choose() -> None:
    hasher = PartHasher(4)
    hasher.update(b"12345678")
    name = 'a"; $(reboot) `reboot` %PATH%.mp4'
    text = joining_text(name, 8, "0" * 64, hasher.parts(name))
    commands = [line for line in text.splitlines() if line.startswith(("Windows:", "macOS", "Linux:"))]
    assert len(commands) == 5
    assert not any("reboot" in line or "PATH" in line for line in commands)
