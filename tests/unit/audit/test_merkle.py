"""The tree: it grows to the root its leaves have, and each leaf's path leads to it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transload.audit.merkle import EMPTY_ROOT, grow, inclusion_path, leaf_hash, node_hash, root_of, root_of_path, root_of_peaks

pytestmark = pytest.mark.requirement("L-14")

HASHES = [hashlib.sha256(bytes([number])).digest() for number in range(70)]


def defined_root(leaves: list[bytes]) -> bytes:
    """The root as RFC 6962 defines it."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return node_hash(defined_root(leaves[:split]), defined_root(leaves[split:]))


@pytest.mark.parametrize("size", [*range(1, 35), 63, 64, 65, 70])
def test_root_and_every_path_are_as_defined(size: int) -> None:
    leaves = [leaf_hash(one) for one in HASHES[:size]]
    root = defined_root(leaves)
    assert root_of(HASHES[:size]) == root
    for index in range(size):
        path = inclusion_path(leaves, index)
        assert root_of_path(leaves[index], index, size, path) == root


def test_a_tree_without_leaves_has_the_root_of_nothing() -> None:
    assert root_of([]) == EMPTY_ROOT == hashlib.sha256(b"").digest()


@given(size=st.integers(1, 70), added=st.integers(0, 20))
def test_a_tree_grows_from_its_peaks_alone(size: int, added: int) -> None:
    peaks: list[bytes] = []
    for place, one in enumerate(HASHES[:size]):
        grow(peaks, place, one)
    assert len(peaks) == size.bit_count()
    again = list(peaks)
    for place, one in enumerate(HASHES[:added], size):
        grow(again, place, one)
    assert root_of_peaks(again) == root_of([*HASHES[:size], *HASHES[:added]])


@given(size=st.integers(2, 70), data=st.data())
def test_a_path_proves_one_leaf_at_one_place_in_one_tree(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(one) for one in HASHES[:size]]
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(leaves, index)
    root = root_of(HASHES[:size])
    other = data.draw(st.integers(0, size - 1).filter(lambda place: place != index))
    assert root_of_path(leaves[other], index, size, path) != root
    assert root_of_path(leaves[index], other, size, path) != root
    assert root_of_path(leaves[index], index, size, path[:-1]) != root
    assert root_of_path(leaves[index], index, size, [*path, path[0]]) != root
    assert root_of_path(leaves[index], size, size, path) is None
    place = data.draw(st.integers(0, len(path) - 1))
    assert root_of_path(leaves[index], index, size, [*path[:place], bytes(32), *path[place + 1 :]]) != root
