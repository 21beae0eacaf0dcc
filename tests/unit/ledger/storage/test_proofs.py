"""Proofs of large trails: computed piece by piece, right for every size, and beside the event loop."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import Any, cast

import pytest

from services.common.errors import NotFoundError
from services.ledger import audit
from services.ledger.repository import Reader
from transload.audit import merkle
from transload.audit.merkle import leaf_hash, root_of_path

pytestmark = pytest.mark.requirement("L-14")


def event_hash(sequence: int) -> str:
    return hashlib.sha256(str(sequence).encode()).hexdigest()


class Trail:
    """A reader of a trail of `size` events."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def list_event_hashes(self, migration_id: str, *, after_sequence: int = 0, limit: int = 1000) -> list[str]:
        await asyncio.sleep(0)
        return [event_hash(sequence) for sequence in range(after_sequence + 1, min(after_sequence + limit, self.size) + 1)]


def reader(size: int) -> Reader:
    return cast("Reader", cast("Any", Trail(size)))


async def test_paths_through_subtrees_are_those_of_the_whole_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_SUBTREE_EVENTS", 4)
    for size in range(1, 35):
        leaves = [leaf_hash(bytes.fromhex(event_hash(sequence))) for sequence in range(1, size + 1)]
        found = await audit.inclusion_paths(reader(size), "m", size, range(1, size + 1))
        assert found == merkle.inclusion_paths(leaves, range(size))


async def test_a_trail_that_was_cut_is_named_instead_of_proven() -> None:
    with pytest.raises(NotFoundError, match="verify it"):
        await audit.inclusion_paths(reader(9), "m", 10, [3])


async def test_the_ledger_answers_while_a_proof_of_a_large_trail_is_made() -> None:
    size = 12 * audit._SUBTREE_EVENTS + 5
    loop = asyncio.get_running_loop()
    pauses: list[float] = []

    async def answer() -> None:
        """Stand for every other caller: note how long the loop kept it waiting."""
        while True:
            began = loop.time()
            await asyncio.sleep(0.001)
            pauses.append(loop.time() - began)

    answering = asyncio.create_task(answer())
    began = loop.time()
    path = (await audit.inclusion_paths(reader(size), "m", size, [size // 2]))[0]
    lasted = loop.time() - began
    answering.cancel()
    with suppress(asyncio.CancelledError):
        await answering
    root = root_of_path(leaf_hash(bytes.fromhex(event_hash(size // 2))), size // 2 - 1, size, path)
    assert root == merkle.root_of(bytes.fromhex(event_hash(sequence)) for sequence in range(1, size + 1))
    # In one piece the proof would be one pause; a piece is a twelfth of it, and most of that stands beside the loop.
    assert max(pauses) < lasted / 3
