"""The client over real sockets: what a cut connection means, uploads by stream, and no refusal of our own making."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from services.common.errors import UnavailableError
from services.loader.entities.file import FILE, upload_body
from services.loader.pipedrive.errors import OutcomeUnknownError
from tests.integration.loader.conftest import Simulator, context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager


@pytest.mark.requirement("L-10")
async def test_a_connection_cut_after_the_effect_is_no_refused_connection(simulator: Callable[..., AbstractContextManager[Simulator]]) -> None:
    with simulator("--limits", "off") as pipedrive:
        async with pipedrive.targets() as targets:
            client = targets.client("crm")
            # A kept connection first: the transport takes a cut on one of these for a failure to connect.
            await client.call("users.me", context())
            pipedrive.fault("cut_after", method="POST", times=1)
            with pytest.raises(OutcomeUnknownError):
                await client.call("organizations.create", context(), body={"name": "Once"})
            listed = await client.call("organizations.list", context(), query={"sort_by": "id", "sort_direction": "desc"})
            assert [record["name"] for record in listed.data].count("Once") == 1


async def test_a_read_is_repeated_after_a_cut_connection_and_every_try_is_counted(
    simulator: Callable[..., AbstractContextManager[Simulator]],
) -> None:
    with simulator("--limits", "off") as pipedrive:
        async with pipedrive.targets() as targets:
            client = targets.client("crm")
            await client.call("users.me", context())
            pipedrive.fault("cut_before", method="GET", times=1)
            calls = context()
            answer = await client.call("users.me", calls)
            assert answer.data["is_you"]
            assert [call.status for call in calls.log] == [0, 200]


async def test_nobody_there_is_told_without_doubt(free_port: Callable[[], int]) -> None:
    nobody = Simulator(f"http://127.0.0.1:{free_port()}")
    async with nobody.targets() as targets:
        calls = context()
        with pytest.raises(UnavailableError) as caught:
            await targets.client("crm").call("organizations.create", calls, body={"name": "Never"})
        assert caught.value.reason == "TARGET_UNREACHABLE"
        assert calls.token_count == 0


@pytest.mark.requirement("X-07", "X-08")
async def test_a_file_goes_up_as_a_stream_of_known_length(simulator: Callable[..., AbstractContextManager[Simulator]]) -> None:
    chunk, count = b"\x00\xff0123456789" * 10_000, 40
    open_reads: list[int] = []

    async def read(digest: str, *, first_byte: int = 0, byte_count: int | None = None) -> AsyncIterator[bytes]:
        assert (digest, first_byte, byte_count) == ("abc", 0, None)
        for number in range(count):
            open_reads.append(number)
            yield chunk

    with simulator("--limits", "off") as pipedrive:
        async with pipedrive.targets() as targets:
            client = targets.client("crm")
            organization = (await client.call("organizations.create", context(), body={"name": "Owner"})).data["id"]
            payload = {
                "name": "Plan «ñ» 図.bin",
                "staging_name": "files/abc",
                "byte_count": len(chunk) * count,
                "content_type": "application/octet-stream",
                "org_id": organization,
            }
            answer = await client.call("files.create", context(), body=upload_body(payload, read))
            assert FILE.image(answer.data) == FILE.image(payload)
    assert len(open_reads) == count


@pytest.mark.slow
@pytest.mark.requirement("G-03", "L-10")
async def test_no_call_of_ours_is_ever_refused_and_the_window_is_well_used(simulator: Callable[..., AbstractContextManager[Simulator]]) -> None:
    with simulator("--plan", "lite", "--seats", "5") as pipedrive:
        async with pipedrive.targets() as targets:
            client = targets.client("crm")
            begun = time.monotonic()
            call_count = 90
            waiting = asyncio.Semaphore(16)

            async def one(number: int) -> None:
                async with waiting:
                    await client.call("organizations.create", context(), body={"name": f"Org {number}"})

            await asyncio.gather(*(one(number) for number in range(call_count)))
            seconds = time.monotonic() - begun
            journal = pipedrive.control("GET", "journal")["entries"]
            assert [entry["status"] for entry in journal if entry["status"] == 429] == []
            # 20 in 2 s: the first 20 at once, then 10 a second; the answers' way is all that may be lost.
            assert seconds < 1.35 * (call_count - 20) / 10 + 2
