"""Judges what a delta did about contacts the source has no more: deleted by policy only, and not while something of ours refers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from tests.simulation.people import by_place

if TYPE_CHECKING:
    from tests.simulation.judge import Judge
    from tests.simulation.people import Place
    from tests.simulation.world import World

DELETE: Final = "delete"
PERSONS: Final = "persons"


class Deletions:
    """One delta, from before it to after it."""

    def __init__(self, world: World, judge: Judge, policy: str) -> None:
        """Look at Pipedrive before the delta."""
        self._world = world
        self._judge = judge
        self._policy = policy
        self._before = by_place(world.state())

    def problems(self) -> list[str]:
        """Say what is wrong after it."""
        world = self._world
        now = by_place(world.state())
        by_people = {place for deed in world.people.deeds for place in deed.removed}
        went = [place for place in self._before if place[0] == PERSONS and place not in now and place not in by_people]
        there = {(record["id"]) for record in world.truth()["collections"]["contacts"] if not record["deleted"]}
        holders = self._judge.holders_of_persons()
        problems = []
        for place in went:
            contact = _contact_of(self._before[place])
            if contact and (contact in there or self._policy != DELETE):
                problems.append(f"deletion: persons/{place[1]} went with policy {self._policy or 'flag'}, contact {contact} {contact in there=}")
            if contact and holders.get(place[1]):
                problems.append(f"deletion: persons/{place[1]} went although {holders[place[1]][0]} refers to it")
        if self._policy == DELETE:
            problems += self._left(now, there, holders)
        return problems

    def _left(self, now: dict[Place, dict[str, Any]], there: set[int], holders: dict[int, list[str]]) -> list[str]:
        """Say which persons stay for nothing: no person touched them, nothing refers to them, nobody is asked about them."""
        settled = {int(target_id) for _, kind, target_id in self._judge.loaded(with_gone=True) if kind == "person"}
        people = self._world.people
        return [
            f"deletion: persons/{place[1]} stays, contact {contact} is gone and nothing refers to it"
            for place, record in now.items()
            if place[0] == PERSONS and place[1] in settled and place not in people.touched and (contact := _contact_of(record))
            and contact not in there and not holders.get(place[1]) and not _is_held_by_people(now, place)
        ]  # fmt: skip


def _is_held_by_people(now: dict[Place, dict[str, Any]], place: Place) -> bool:
    return any(record.get("person_id") == place[1] for record in now.values())


def _contact_of(person: dict[str, Any]) -> int:
    """Answer the contact a person came from; 0: from none, or from several."""
    origins = [value for value in person.get("custom_fields", {}).values() if isinstance(value, str) and value.startswith("source/contact/")]
    return int(origins[0].split("/")[2]) if len(origins) == 1 else 0


def person_of(image: str) -> int:
    """Answer the person an image refers to; 0: none."""
    return int(orjson.loads(image or "{}").get("person_id") or 0)
