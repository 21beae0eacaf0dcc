"""What people break so that it can be repaired: one edits a record, one edits another before and after the reconciliation, one deletes a third.

The repair has to set the first back, to leave the second alone and to say so, and to make the third again with what hangs on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.faults.people import NAMES
from tests.simulation.people import LINKS, PLURALS, by_place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.simulation.judge import Judge
    from tests.simulation.people import Deed, Place
    from tests.simulation.world import World
    from transload.v1 import migration_service_pb2 as pb

LOST: Final = ("organization", "person", "note", "activity")
"""Kinds of which one is deleted: those that others hang on, and those that hang on others."""
DEEDS_OF_ONE: Final = 2
"""Edits of the second record, when nobody else had to do with it."""


@dataclass(slots=True)
class Damage:
    """What was done to which record of ours."""

    world: World
    edited: tuple[str, Deed] | None = None
    """Key and deed of what is to be set back."""
    edited_again: tuple[str, Deed] | None = None
    """The same of what a person changes again after the look."""
    deleted: tuple[str, Deed] | None = None
    """The same of what is to be made again."""
    later: list[Deed] = field(default_factory=list)

    @classmethod
    def done(cls, world: World, judge: Judge) -> Damage:
        """Do it, as far as there are records for it."""
        damage = cls(world)
        taken: set[Place] = set()
        lost = _pick(world, judge, LOST, taken)
        if lost is not None and world.people.delete(*lost[1]):
            damage.deleted = lost[0], world.people.deeds[-1]
            taken |= world.people.deeds[-1].touched
        for name in ("edited", "edited_again"):
            picked = _pick(world, judge, tuple(NAMES), taken)
            if picked is not None and _edit(world, *picked[1]):
                setattr(damage, name, (picked[0], world.people.deeds[-1]))
                taken.add(world.people.deeds[-1].place)
        return damage

    @property
    def all(self) -> list[tuple[str, Deed]]:
        """Everything that is to be repaired: keys and deeds."""
        return [one for one in (self.edited, self.edited_again, self.deleted) if one is not None]

    def keys(self, found: Iterable[pb.Mismatch]) -> list[str]:
        """Answer the keys to repair: those of our own damage the reconciliation found. That it finds it all is judged by `Judge.reconciled`."""
        known = {mismatch.key for mismatch in found}
        return [key for key, _ in self.all if key in known]

    def edit_again(self) -> None:
        """Let the person of the second record change their mind."""
        if self.edited_again is not None and _edit(self.world, _kind(self.edited_again[1]), self.edited_again[1].place[1]):
            self.later.append(self.world.people.deeds[-1])

    def judge(self, keys: Sequence[str], left: Sequence[pb.Mismatch]) -> list[str]:
        """Say what the repair of these keys did wrong, and forget what it took back."""
        state = by_place(self.world.state())
        problems: list[str] = []
        if self.edited is not None and self.edited[0] in keys:
            problems += self._set_back(*self.edited, state, {mismatch.key for mismatch in left})
        if self.later and self.edited_again is not None and self.edited_again[0] in keys:
            problems += self._left_alone(*self.edited_again, self.later[-1], state, {mismatch.key for mismatch in left})
        if self.deleted is not None and self.deleted[0] in keys:
            problems += self._made_again(*self.deleted, state)
        return problems

    def _set_back(self, key: str, deed: Deed, state: dict[Place, dict[str, Any]], left: set[str]) -> list[str]:
        ((name, written),) = deed.values.items()
        is_touched = self._is_touched_since(deed)
        if state.get(deed.place, {}).get(name) == written:
            return [] if is_touched else [f"repair: {key} was not set back"]
        if not any(other.changed.get(deed.place, {}).get(name, ("",))[0] == written for other in self.world.people.deeds):
            self.world.people.deeds.remove(deed)
        return [f"repair: {key} was set back, and is told to differ"] if key in left and not is_touched else []

    def _left_alone(self, key: str, deed: Deed, later: Deed, state: dict[Place, dict[str, Any]], left: set[str]) -> list[str]:
        if self._is_touched_since(later) or len(self._deeds_of(deed)) > DEEDS_OF_ONE:
            return []
        ((name, written),) = later.values.items()
        if state[deed.place].get(name) != written:
            return [f"repair: {key}: what a person changed after the look was overwritten: {state[deed.place].get(name)!r}"]
        return [] if key in left else [f"repair: {key} differs and is told to be repaired"]

    def _made_again(self, key: str, deed: Deed, state: dict[Place, dict[str, Any]]) -> list[str]:
        kind = _kind(deed)
        target_id, standing = self.world.people.standing(key)
        if standing != "loaded":
            return []  # held up by what people did meanwhile: the judge of everything says whether that is so
        again = PLURALS[kind], int(target_id)
        if again != deed.place and any(other.kind == "delete" and other.place == again for other in self.world.people.deeds):
            _let_links_stand(deed, again[1], state)
            return []
        if again == deed.place or again not in state:
            return [] if self._is_touched_since(deed) else [f"repair: {key} was not made again"]
        self.world.people.deeds.remove(deed)
        return []

    def _deeds_of(self, deed: Deed) -> list[Deed]:
        return [other for other in self.world.people.deeds if deed.place in other.touched]

    def _is_touched_since(self, deed: Deed) -> bool:
        deeds = self.world.people.deeds
        return any(other.kind == "delete field" or other.touched & deed.touched for other in deeds[deeds.index(deed) + 1 :])


def _edit(world: World, kind: str, record_id: int) -> bool:
    return world.people.edit(kind, record_id, {NAMES[kind]: f"Edited before a repair ({len(world.people.deeds)})"})


def _let_links_stand(deed: Deed, again: int, state: dict[Place, dict[str, Any]]) -> None:
    """Note that what was made again was deleted before everything was linked to it: of the first deletion only the old links are left."""
    plural, number = deed.place
    deed.removed.pop(deed.place, None)
    for place, record in state.items():
        stale = {name: (again, number) for name, linked in LINKS.items() if linked == plural and record.get(name) == number}
        if stale:
            deed.changed[place] = deed.changed.get(place, {}) | stale


def _kind(deed: Deed) -> str:
    return next(kind for kind, plural in PLURALS.items() if plural == deed.place[0])


def _pick(world: World, judge: Judge, kinds: Sequence[str], taken: set[Place]) -> tuple[str, tuple[str, int]] | None:
    """Draw a record of ours that nobody touched and nothing of a person's hangs on: its key, its kind and its id."""
    state = by_place(world.state())
    touched = taken | world.people.touched
    theirs = [record for deed in world.people.deeds for record in deed.added.values()]
    held = {(plural, record[name]) for record in theirs for name, plural in LINKS.items() if record.get(name)}
    found = [
        (key, (kind, int(target_id)))
        for key, kind, target_id in judge.loaded()
        if kind in kinds and (place := (PLURALS[kind], int(target_id))) in state and place not in touched and place not in held
    ]
    return world.draw.choice(found) if found else None
