"""The Merkle tree over a migration's events, as RFC 6962 (Certificate Transparency) defines it.

Leaf = SHA-256(0x00 || event hash), node = SHA-256(0x01 || left || right), in event order; the left subtree of n leaves has the largest power of two
below n. All hashes are 32 bytes; an event's hash is its hex hash decoded.

A tree grows without its leaves being kept: the roots of its perfect subtrees (`peaks`, largest first, one for each bit of the size) say all.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of a tree without leaves."""
_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(event_hash: bytes) -> bytes:
    """Answer the hash of a leaf."""
    return hashlib.sha256(_LEAF + event_hash).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Answer the hash of an inner node."""
    return hashlib.sha256(_NODE + left + right).digest()


def grow(peaks: list[bytes], size: int, event_hash: bytes) -> None:
    """Add one leaf to a tree of `size` leaves, in place."""
    # Spelt out rather than by the two functions above: a verifier spends a third of its time here.
    node = hashlib.sha256(_LEAF + event_hash).digest()
    while size & 1:
        node = hashlib.sha256(_NODE + peaks.pop() + node).digest()
        size >>= 1
    peaks.append(node)


def root_of_peaks(peaks: Sequence[bytes]) -> bytes:
    """Answer the root of a tree from its peaks."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(event_hashes: Iterable[bytes]) -> bytes:
    """Answer the root of the tree over all these events."""
    peaks: list[bytes] = []
    for size, event_hash in enumerate(event_hashes):
        grow(peaks, size, event_hash)
    return root_of_peaks(peaks)


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Answer the nodes that lead from leaf `index` (from 0) to the root, lowest first; `leaves` are all leaf hashes of the tree."""
    return inclusion_paths(leaves, [index])[0]


def inclusion_paths(leaves: Sequence[bytes], indexes: Sequence[int]) -> list[list[bytes]]:
    """Answer the paths of several leaves; the tree is built once for all of them."""
    return paths_and_root(leaves, indexes)[0]


def paths_and_root(leaves: Sequence[bytes], indexes: Sequence[int]) -> tuple[list[list[bytes]], bytes]:
    """Answer the paths of several leaves of a tree that is not empty, and its root."""
    paths: list[list[bytes]] = [[] for _ in indexes]
    places = list(indexes)
    level = list(leaves)
    while len(level) > 1:
        for path, place in zip(paths, places, strict=True):
            if place ^ 1 < len(level):
                path.append(level[place ^ 1])
        # A node without a sibling goes up as it is, which is what splitting at the largest power of two comes to.
        level = [node_hash(level[start], level[start + 1]) if start + 1 < len(level) else level[start] for start in range(0, len(level), 2)]
        places = [place >> 1 for place in places]
    return paths, level[0]


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Answer the root that a path leads to, None when the path does not fit a tree of `size` leaves."""
    if not 0 <= index < size:
        return None
    node, last = leaf, size - 1
    steps = iter(path)
    while last:
        if index & 1 or index < last:
            step = next(steps, None)
            if step is None:
                return None
            node = node_hash(step, node) if index & 1 else node_hash(node, step)
        index >>= 1
        last >>= 1
    return node if next(steps, None) is None else None
