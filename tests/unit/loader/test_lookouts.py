"""A look at a record holds for seconds: what is deleted or restored later, or again, is looked at again (L-15, L-11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from services.loader.lookouts import SECONDS_MAX
from tests.unit.loader import payloads
from tests.unit.loader.test_looks import LINES, edit, everything, of, with_lines
from tests.unit.loader.test_worker import DEAL, ORG, PERSON, PRODUCT, result_of
from tests.unit.loader.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = {f"organization:client/{number}": payloads.organization(f"Client {number}") for number in range(20, 40)}


@pytest.fixture
def world() -> World:
    return World()


class Trouble:
    """Lets the first call of a method fail, `seconds` after it was sent; a person acts meanwhile."""

    def __init__(self, world: World, act: Callable[[], None], *, method: str = "DELETE", seconds: float = SECONDS_MAX + 1, status: int = 500) -> None:
        self._world, self._act, self._method, self._seconds, self._status = world, act, method, seconds, status
        self._send = world.transport.handle_async_request
        self.seen: list[str] = []
        self.is_lost = False
        self.is_over = False
        world.transport.handle_async_request = self._handle  # type: ignore[method-assign]

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.method)
        if request.method != self._method or self.is_over:
            return await self._send(request)
        self.is_over = True
        if self.is_lost:
            await self._send(request)
        self._act()
        await self._world.clock.sleep(self._seconds)
        if self._status == 0:
            message = "cut"
            raise httpx.ReadError(message)
        return httpx.Response(self._status, headers={"content-type": "application/json", "retry-after": "1"}, content=b"{}")

    def count(self, method: str) -> int:
        return self.seen.count(method)


EDITS: dict[str, dict[str, Any]] = {
    PRODUCT: {"description": "a person's words"},
    PERSON: {"phones": [{"value": "+34 1", "label": "work", "primary": True}]},
    DEAL: {"title": "A person's title"},
    "activity:work_order/5": {"subject": "Second visit"},
    "note:contact/2": {"content": "<p>Called back</p>"},
    "file:entity_attachment/9": {"name": "signed.pdf"},
}


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize("status", [500, 503, 429, 0])
@pytest.mark.parametrize("key", list(EDITS))
async def test_an_edit_before_a_deletion_is_sent_again_is_kept(world: World, key: str, status: int) -> None:
    await everything(world)
    with_lines(world, DEAL)
    world.ledger.look_age = 1.0
    trouble = Trouble(world, lambda: edit(world, key, EDITS[key]), status=status)
    outcome = (await world.undo(key.partition(":")[0], [key]))[key]
    assert outcome is not None
    assert (result_of(outcome), outcome.reason, list(outcome.edited_fields)) == ("KEPT", "KEPT_USER_EDIT", list(EDITS[key]))
    assert trouble.count("DELETE") == 1
    assert any(str(record["id"]) == of(world, key) for record in world.live(key.partition(":")[0]))


@pytest.mark.requirement("L-15")
async def test_what_the_lost_call_deleted_is_deleted(world: World) -> None:
    await everything(world)
    trouble = Trouble(world, lambda: None, status=0)
    trouble.is_lost = True
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "DELETED"
    assert of(world, ORG) not in {str(record["id"]) for record in world.live("organization")}


@pytest.mark.requirement("L-15")
async def test_an_edit_is_deleted_when_a_person_asked_for_it(world: World) -> None:
    await everything(world)
    world.ledger.deletes_edited = True
    trouble = Trouble(world, lambda: edit(world, PRODUCT, EDITS[PRODUCT]))
    assert result_of((await world.undo("product", [PRODUCT]))[PRODUCT]) == "DELETED"
    assert (trouble.count("DELETE"), trouble.count("GET")) == (2, 0)


@pytest.mark.requirement("L-15")
async def test_a_deletion_repeated_at_once_needs_no_other_look(world: World) -> None:
    await everything(world)
    trouble = Trouble(world, lambda: None, seconds=0.0)
    assert result_of((await world.undo("product", [PRODUCT]))[PRODUCT]) == "DELETED"
    assert (trouble.count("DELETE"), trouble.count("GET")) == (2, 1)


@pytest.mark.requirement("L-15")
async def test_what_waits_behind_a_slow_call_is_looked_at_again_with_one_list(world: World) -> None:
    """The first deletion takes long; an edit of a record whose own was not sent yet is seen, and one list does for all that wait."""
    await world.load("organization", MANY)
    last = list(MANY)[-1]
    trouble = Trouble(world, lambda: edit(world, last, {"name": "Renamed"}))
    outcomes = await world.undo("organization", list(MANY))
    results = {key: result_of(outcome) for key, outcome in outcomes.items()}
    assert results == {key: "KEPT" if key == last else "DELETED" for key in MANY}
    assert trouble.count("GET") == 2


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize("count", [2, 6])
async def test_lines_a_person_changed_before_they_are_sent_again_stay(world: World, count: int) -> None:
    """Singly and in one call, of which the others go."""
    await everything(world)
    more = {f"line_item:sales_estimate/3/{number}": payloads.line(DEAL, PRODUCT, quantity=number + 1) for number in range(len(LINES), count)}
    if more:
        await world.load("line_item", more)
    keys = [*LINES, *more]
    path = f"/api/v2/deals/{of(world, DEAL)}/products/{of(world, keys[1])}"

    def act() -> None:
        done = world.app.engine.people.do({"call": {"method": "PATCH", "path": path, "body": {"quantity": 70}}})
        assert done["status"] < 300, done

    Trouble(world, act)
    outcomes = await world.undo("line_item", keys)
    assert [result_of(outcomes[key]) for key in keys] == ["KEPT" if key == keys[1] else "DELETED" for key in keys]
    there = {str(record["id"]) for record in world.live("deal_product")}
    assert [key for key in keys if of(world, key) in there] == [keys[1]]


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize("status", [500, 0])
async def test_what_a_person_entered_before_a_restoration_is_sent_again_stays(world: World, status: int) -> None:
    await everything(world)
    entry = world.ledger.entry(ORG)
    entry.is_preexisting, entry.pre_image = True, orjson.dumps({"name": "As it was"})
    trouble = Trouble(world, lambda: edit(world, ORG, {"name": "A person's"}), method="PATCH", status=status)
    outcome = (await world.undo("organization", [ORG]))[ORG]
    assert outcome is not None
    assert (result_of(outcome), list(outcome.edited_fields), trouble.count("PATCH")) == ("KEPT", ["name"], 1)
    assert "A person's" in {record["name"] for record in world.live("organization")}


@pytest.mark.requirement("L-15")
async def test_a_restoration_whose_answer_was_lost_is_done(world: World) -> None:
    await everything(world)
    entry = world.ledger.entry(ORG)
    entry.is_preexisting, entry.pre_image = True, orjson.dumps({"name": "As it was"})
    trouble = Trouble(world, lambda: None, method="PATCH", status=0)
    trouble.is_lost = True
    assert (result_of((await world.undo("organization", [ORG]))[ORG]), trouble.count("PATCH")) == ("RESTORED", 1)
    assert "As it was" in {record["name"] for record in world.live("organization")}


@pytest.mark.requirement("L-11")
async def test_a_delta_asks_when_a_person_edited_before_a_deletion_is_sent_again(world: World) -> None:
    await everything(world)
    world.ledger.run_kind = "delta"
    trouble = Trouble(world, lambda: edit(world, PRODUCT, EDITS[PRODUCT]))
    outcome = (await world.undo("product", [PRODUCT]))[PRODUCT]
    assert outcome is not None
    assert (result_of(outcome), outcome.reason, trouble.count("DELETE")) == ("WAITING", "SOURCE_DELETED", 1)
