"""Reading everything back by lists: each once, from any page on, and the bytes of files."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.common.canonical import digest
from services.common.errors import InvalidRequestError
from services.loader.quota.servicer import QuotaServicer
from services.loader.readback import Listing, ReadBack
from services.loader.servicer import LoaderServicer
from tests.unit.loader import payloads
from tests.unit.loader.test_readback import many
from tests.unit.loader.test_worker import DEAL, ORG, base
from tests.unit.loader.world import CONNECTION, World
from transload.v1 import loader_service_pb2 as pb


@pytest.fixture
def world() -> World:
    return World(seed=None)


async def pages(world: World, entity: str, token: str = "", **more: Any) -> tuple[list[tuple[list[str], str]], int]:
    calls = world.context
    mark = Listing(changed_since=world.clock.now() - timedelta(days=1), page_token=token, **more)
    found = [
        ([target_id for target_id, _ in page], following)
        async for page, following in ReadBack(client=world.client, context=calls).listing(entity, mark)
    ]
    return found, calls.token_count


@pytest.mark.requirement("L-13")
async def test_a_list_costs_ten_tokens_for_500_and_goes_on_from_any_page(world: World) -> None:
    ids = await many(world, 620)
    found, tokens = await pages(world, "organization")
    assert ([len(page) for page, _ in found], tokens) == ([500, 120], 20)
    assert [target_id for page, _ in found for target_id in page] == ids
    rest, tokens = await pages(world, "organization", token=found[0][1])
    assert (rest, tokens) == ([(ids[500:], "")], 10)


@pytest.mark.requirement("L-13")
async def test_what_was_not_changed_since_is_passed_by(world: World) -> None:
    await many(world, 30)
    world.clock.advance(3 * 86_400)
    assert (await pages(world, "organization"))[0] == [([], "")]


@pytest.mark.requirement("L-13")
async def test_notes_go_by_offset_and_files_end_below_the_first_of_ours(world: World) -> None:
    await base(world)
    await world.load("note", {f"note:contact/{number}": payloads.note(DEAL, f"<p>{number}</p>") for number in range(4)})
    notes = [world.ledger.entry(f"note:contact/{number}").target_id for number in range(4)]
    assert await pages(world, "note") == ([(sorted(notes, key=int), "")], 20)
    assert (await pages(world, "note", token="3"))[0] == [([sorted(notes, key=int)[3]], "")]
    with pytest.raises(InvalidRequestError):
        await pages(world, "note", token="third")
    digests = [world.files.add(f"content {number}".encode()) for number in range(130)]
    await world.load("file", {f"file:attachment/{number}": payloads.file(DEAL, digests[number], len(f"content {number}")) for number in range(130)})
    files = sorted((world.ledger.entry(f"file:attachment/{number}").target_id for number in range(130)), key=int)
    found, tokens = await pages(world, "file", first_target_id=files[0])
    assert (sorted((one for page, _ in found for one in page), key=int), tokens) == (files, 40)
    found, tokens = await pages(world, "file", first_target_id=files[-50])
    assert (len(found), found[0][1], tokens) == (1, "", 20)


@pytest.mark.requirement("L-13")
async def test_archived_deals_stand_in_a_list_of_their_own(world: World) -> None:
    await base(world)
    await world.load("deal", {f"deal:sales_order/{number}": payloads.deal(ORG, f"Deal {number}", is_archived=True) for number in range(3)})
    found, tokens = await pages(world, "deal", is_archived=True)
    assert (len(found[0][0]), tokens) == (3, 20)
    with pytest.raises(InvalidRequestError):
        await pages(world, "line_item")


@pytest.mark.requirement("L-13")
async def test_bytes_are_digested_and_a_file_that_is_gone_has_none(world: World) -> None:
    await base(world)
    content = b"signed order"
    await world.load("file", {"file:attachment/1": payloads.file(DEAL, world.files.add(content), len(content))})
    target_id = world.ledger.entry("file:attachment/1").target_id
    servicer = LoaderServicer(targets=world.targets, quota=QuotaServicer(arbiter=world.arbiter, clock=world.clock).quota)
    request = pb.DigestFilesRequest(connection=CONNECTION, target_ids=[target_id, "99999"])
    answers = [answer async for answer in servicer.DigestFiles(request, None)]  # type: ignore[arg-type]
    assert [(answer.target_id, answer.digest, answer.byte_count) for answer in answers] == [(target_id, digest(content), 12), ("99999", "", 0)]
    assert answers[-1].token_count == 40
    with pytest.raises(InvalidRequestError):
        await anext(aiter(servicer.DigestFiles(pb.DigestFilesRequest(connection=CONNECTION, target_ids=["1"] * 101), None)))  # type: ignore[arg-type]


@pytest.mark.requirement("L-13")
async def test_pages_of_a_listing_carry_their_tokens(world: World) -> None:
    await many(world, 510)
    servicer = LoaderServicer(targets=world.targets, quota=QuotaServicer(arbiter=world.arbiter, clock=world.clock).quota)
    request = pb.ReadBackRequest(connection=CONNECTION, target_entity="organization")
    request.changed_since.FromDatetime(world.clock.now() - timedelta(days=1))
    answers = [answer async for answer in servicer.ReadBack(request, None)]  # type: ignore[arg-type]
    assert [(len(answer.records), bool(answer.next_page_token), answer.token_count) for answer in answers] == [(500, True, 10), (10, False, 20)]
