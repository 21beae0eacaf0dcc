"""What people do in Pipedrive meanwhile: to records of ours and to their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.simulation.people import PLURALS

if TYPE_CHECKING:
    from tests.simulation.world import World

DEEDS_MAX: Final = 8
"""Deeds of a kind in one bad time; each touches records the judge then knows less about."""
NAMES: Final = {"organization": "name", "person": "name", "deal": "title", "product": "name"}
"""The field in which people edit records that can be told by their external id."""
TEXTS: Final = {"activity": "subject", "note": "content"}
"""The same for records told by what they hold: touched only once the ledger knows them (docs/exactly-once.md says what happens else)."""
MERGED: Final = ("organization", "person", "deal")


def edit(world: World) -> None:
    """A person edits a record: its name, or the text of a note or activity."""
    kind = world.draw.choice((*NAMES, *TEXTS))
    record_id = _pick(world, kind, is_settled=kind in TEXTS)
    if record_id and _has_room(world, "edit"):
        name = NAMES.get(kind) or TEXTS[kind]
        world.hits["people edit"] += world.people.edit(kind, record_id, {name: f"Edited by a person ({len(world.people.deeds)})"})


def delete(world: World) -> None:
    """A person deletes a record."""
    kind = world.draw.choice(("organization", "person", "deal", "product", "activity", "note", "file"))
    record_id = _pick(world, kind, is_settled=kind not in NAMES)
    if record_id and _has_room(world, "delete"):
        world.hits["people delete"] += world.people.delete(kind, record_id)


def merge(world: World) -> None:
    """A person merges two records; one of ours may end, but no other one ends in ours (what a rollback does then is documented)."""
    kind = world.draw.choice(MERGED)
    record_id, into = _pick(world, kind), _pick(world, kind)
    is_swallowed = record_id in _old(world, kind) and into not in _old(world, kind)
    if record_id and into and record_id != into and not is_swallowed and _has_room(world, "merge"):
        world.hits["people merge"] += world.people.merge(kind, record_id, into)


def add(world: World) -> None:
    """A person makes a record: a company, or a note, an activity or a deal on one of ours."""
    kind = world.draw.choice(("organization", "person", "deal", "note", "activity"))
    if not _has_room(world, "add"):
        return
    text = f"Made by a person ({len(world.people.deeds)})"
    organization = _pick(world, "organization")
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "organization": ("/api/v2/organizations", {"name": text}),
        "person": ("/api/v2/persons", {"name": text, "org_id": organization}),
        "deal": ("/api/v2/deals", {"title": text, "org_id": organization}),
        "note": ("/v1/notes", {"content": text, "org_id": organization}),
        "activity": ("/api/v2/activities", {"subject": text, "type": "call", "org_id": organization}),
    }
    path, body = bodies[kind]
    world.hits["people add"] += world.people.add(kind, path, body)


def delete_field(world: World) -> None:
    """A person deletes a custom field: one of ours, or one that was there before. One only: nothing that needs it can be loaded from then on."""
    entity = world.draw.choice(tuple(NAMES))
    fields = list(world.pipedrive.account.fields.custom[entity])
    if fields and not any(deed.kind == "delete field" for deed in world.people.deeds):
        world.hits["people delete field"] += world.people.delete_field(entity, world.draw.choice(fields))


def _has_room(world: World, kind: str) -> bool:
    return sum(deed.kind == kind for deed in world.people.deeds) < DEEDS_MAX


def _pick(world: World, kind: str, *, is_settled: bool = False) -> int:
    """Draw a record, every other time one that came into being since the migration began; 0: there is none."""
    old = _old(world, kind)
    ids = [record["id"] for record in world.pipedrive.account.store[kind] if not record["is_deleted"]]
    new = [record_id for record_id in ids if record_id not in old]
    wanted = new if new and world.draw.random() < 0.7 else ids
    record_id = world.draw.choice(wanted) if wanted else 0
    return 0 if is_settled and record_id not in old and not world.people.is_known((PLURALS[kind], record_id)) else record_id


def _old(world: World, kind: str) -> set[int]:
    return {record["id"] for record in world.before[PLURALS[kind]]}
