"""Bytes that Pipedrive keeps elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from services.common.errors import UnavailableError
from services.loader.entities.file import download
from services.loader.pipedrive.http import NoAnswerError, Reply
from tests.unit.loader.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

STORAGE = "https://storage.example/7?signature=s"


@dataclass(slots=True)
class Elsewhere:
    """Sends downloads to a storage, which sees what it is asked with."""

    status: int = 200
    is_cut: bool = False
    seen: Mapping[str, str] | None = None

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> Reply:
        assert (method, content) == ("GET", None)
        if url != STORAGE:
            return Reply(302, {"Location": STORAGE}, b"")
        self.seen = headers
        if self.is_cut:
            raise NoAnswerError("ServerDisconnectedError")
        return Reply(self.status, {}, b"the bytes")


@pytest.mark.requirement("L-13")
async def test_a_file_is_fetched_from_where_pipedrive_sends_us_without_our_token() -> None:
    world, elsewhere = World(seed=None), Elsewhere()
    world.client._http = elsewhere
    calls = world.context
    assert await download(world.client, calls, "7") == b"the bytes"
    assert (elsewhere.seen, calls.token_count) == ({}, 20)


@dataclass(slots=True)
class Emptied:
    """Answers nothing for a while."""

    times: int
    call_count: int = 0

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> Reply:
        del method, url, headers, content
        self.call_count += 1
        return Reply(200, {}, b"" if self.call_count <= self.times else b"the bytes")


@pytest.mark.requirement("L-13")
@pytest.mark.parametrize(("times", "content", "call_count"), [(1, b"the bytes", 2), (2, b"the bytes", 3), (9, b"", 3)])
async def test_an_empty_answer_is_not_believed_at_once(times: int, content: bytes, call_count: int) -> None:
    world, emptied = World(seed=None), Emptied(times)
    world.client._http = emptied
    assert await download(world.client, world.context, "7") == content
    assert emptied.call_count == call_count


@pytest.mark.parametrize("elsewhere", [Elsewhere(status=403), Elsewhere(is_cut=True)])
async def test_a_storage_that_does_not_answer_is_tried_again_later(elsewhere: Elsewhere) -> None:
    world = World(seed=None)
    world.client._http = elsewhere
    with pytest.raises(UnavailableError):
        await download(world.client, world.context, "7")
