"""The three-way comparison: what we loaded last, what the source says now, what stands in Pipedrive now (L-11).

For every field: the source did not change it → left alone, whatever a person made of it. The source changed it and nobody else did → changed. Both
changed it to the same → nothing to do. Both changed it differently → a conflict, which the field's policy or a person decides. What the source says
is compared with what it said last, which is what we loaded, or for a field in which a person's value stands by decision, what was declined then: a
decision holds until the source changes the field again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.edits import CUSTOM_PREFIX
from services.loader.canonical import CUSTOM

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from services.loader.canonical import Image
    from services.loader.entities.base import Entity

POLICY_SOURCE: Final = "source"
POLICY_TARGET: Final = "target"
ASK: Final = "ask"
BY_POLICY: Final = "policy"
BY_PERSON: Final = "person"
FILL: Final = "match_and_fill"
WHOLE: Final = ""
"""Stands for the record as a whole among fields: it was deleted in Pipedrive."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who decides a conflict.

    Attributes:
        default: `source` or `target`; anything else: a person is asked.
        fields: the same by field, where it differs.
        asked: fields a person was asked about, and what stood in Pipedrive then.
        decision: what the person said to them; empty: nothing yet.
        matched: of a record that was there before us: how it was matched. What is not ours there stays when only empty fields are filled, and a
            field is not filled that could not be emptied again.
    """

    default: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    decision: str = ""
    matched: str = ""

    def decide(self, name: str, now: Any) -> tuple[str, str]:
        """Answers `source`, `target` or `ask`, and by whom. A person's word holds for the value that was shown, not for a later one."""
        if self.decision and name in self.asked and self.asked[name] == now:
            return self.decision, BY_PERSON
        word = self.fields.get(name, self.default)
        return (word if word in {POLICY_SOURCE, POLICY_TARGET} else ASK), BY_POLICY


@dataclass(frozen=True, slots=True)
class Conflict:
    """A field changed on both sides.

    Attributes:
        name: the field; empty: the whole record.
        word: `ask`, `source` or `target`.
        by: `policy` or `person`.
        source: what the source says, canonical; None: nothing.
        target: what stood in Pipedrive, canonical; None: nothing.
    """

    name: str
    word: str
    by: str
    source: Any
    target: Any


@dataclass(slots=True)
class Merge:
    """What to do with a record that is in Pipedrive.

    Attributes:
        changes: field → new value in the API's shape; None clears.
        before: field → what stood there, for the fields in `changes` and those that fall with them; None: nothing.
        image: what is ours in Pipedrive afterwards.
        conflicts: fields changed on both sides that nobody has decided on.
        stuck: fields the API cannot clear; they keep the old value.
        asked: the fields in `conflicts`, and what stands in Pipedrive.
        declined: fields in which a person's value stands, and what the source says.
        decisions: every field changed on both sides, and what is done with it.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    image: Image = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    declined: dict[str, Any] = field(default_factory=dict)
    decisions: list[Conflict] = field(default_factory=list)


@dataclass(slots=True)
class _Sides:
    """One comparison on its way."""

    entity: Entity
    last: Image
    declined: Mapping[str, Any]
    payload: Mapping[str, Any]
    wanted: Image
    actual: Image
    policy: Policy
    result: Merge = field(default_factory=Merge)

    def keep(self, name: str) -> None:
        """Leave a field as it stands, ours or a person's."""
        if name in self.declined:
            self.result.declined[name] = self.declined[name]
        elif self.last.get(name) is not None:
            self.result.image[name] = self.last[name]

    def yield_to(self, name: str, word: str, by: str) -> None:
        """Leave a field to the person who changed it, or to one who is asked."""
        now, new = self.actual.get(name), self.wanted.get(name)
        self.result.decisions.append(Conflict(name, word, by, new, now))
        if word == POLICY_TARGET:
            self.result.declined[name] = new
            return
        self.result.conflicts.append(name)
        self.result.asked[name] = now
        self.keep(name)

    def change(self, name: str) -> None:
        """Write a field."""
        new, now = self.wanted.get(name), self.actual.get(name)
        if new is None and not self.entity.can_clear(name, self.wanted):
            self.result.stuck.append(name)
            self.keep(name)
            return
        self.result.changes[name] = None if new is None else api_value(self.payload, name)
        self.result.before[name] = now
        if new is not None:
            self.result.image[name] = new


def merge(
    entity: Entity, *, last: Image, payload: Mapping[str, Any], actual: Image, policy: Policy, declined: Mapping[str, Any] | None = None
) -> Merge:
    """Compares field by field.

    Args:
        entity: which fields can be changed and cleared.
        last: image of what we loaded last; fields missing in it were never ours.
        payload: what the source says now, references resolved.
        actual: image of what stands in Pipedrive.
        policy: decides conflicts.
        declined: fields in which a person's value stands, and what the source said then.
    """
    sides = _Sides(entity, last, declined or {}, payload, entity.image(payload), actual, policy)
    for name in sorted(sides.wanted.keys() | last.keys() | sides.declined.keys()):
        _compare(sides, name)
    _respect_companions(sides)
    sides.result.before |= fallen(entity, sides.result.changes, actual)
    return sides.result


def fallen(entity: Entity, changes: Collection[str], actual: Image) -> dict[str, Any]:
    """Answers what stands in fields that lose it when others are changed: only noted can it be given back."""
    return {
        name: actual[name] for name, cause in entity.falls_with.items() if cause in changes and name not in changes and actual.get(name) is not None
    }


def _compare(sides: _Sides, name: str) -> None:
    is_declined = name in sides.declined
    said, new, now = sides.declined[name] if is_declined else sides.last.get(name), sides.wanted.get(name), sides.actual.get(name)
    if new == said or name in sides.entity.create_only:
        sides.keep(name)
    elif new == now:
        if new is not None:
            sides.result.image[name] = new
    elif sides.policy.matched and name not in sides.last and _is_left(sides, name):
        sides.result.declined[name] = new
    elif sides.policy.matched == FILL and name not in sides.last:
        sides.change(name)
    elif is_declined or now != sides.last.get(name):
        word, by = sides.policy.decide(name, now)
        if word == POLICY_SOURCE:
            sides.result.decisions.append(Conflict(name, word, by, new, now))
            sides.change(name)
        else:
            sides.yield_to(name, word, by)
    else:
        sides.change(name)


def _is_left(sides: _Sides, name: str) -> bool:
    if sides.actual.get(name) is not None:
        return sides.policy.matched == FILL
    return not sides.entity.can_clear(name, sides.wanted)


def _respect_companions(sides: _Sides) -> None:
    """A field that Pipedrive takes only together with another must not carry that one over a person's value: both are decided as one."""
    result = sides.result
    for name in [name for name in sides.entity.companions if name in result.changes]:
        other = sides.entity.companions[name]
        wanted, now = sides.wanted.get(other), sides.actual.get(other)
        if other in result.changes or wanted is None or wanted == now:
            continue
        words = [sides.policy.decide(name, sides.actual.get(name)), sides.policy.decide(other, now)]
        word, by = next((one for one in words if one[0] != POLICY_SOURCE), words[0])
        if word == POLICY_SOURCE:
            _forget(result, other)
            result.decisions.append(Conflict(other, word, by, wanted, now))
            sides.change(other)
            continue
        _forget(result, name)
        result.changes.pop(name, None)
        result.before.pop(name, None)
        result.image.pop(name, None)
        sides.yield_to(name, word, by)


def _forget(result: Merge, name: str) -> None:
    """Takes back what was decided on a field."""
    result.decisions = [one for one in result.decisions if one.name != name]
    result.conflicts = [one for one in result.conflicts if one != name]
    result.asked.pop(name, None)
    result.declined.pop(name, None)


def restore(
    entity: Entity, *, before: Mapping[str, Any], last: Image, actual: Image, others: Sequence[tuple[Image, Mapping[str, Any]]] = ()
) -> Merge:
    """Compares for taking back: a field goes back to what it was if its value is still ours; others stand in `conflicts`.

    Args:
        entity: which fields can be cleared.
        before: what stood in the fields we changed; None: nothing.
        last: image of what we loaded last.
        actual: image of what stands in Pipedrive.
        others: the same of further records of ours in this object, as (last, before). Their fields go back together with the record's own, since some
            values cannot be set without others; only the record's own stand in `conflicts` and `stuck`.
    """
    result = Merge()
    left: list[str] = []
    together = {name: old for _, found in others for name, old in found.items()} | dict(before)
    for name, old in sorted(together.items()):
        now = actual.get(name)
        if now == old or name in entity.create_only:
            continue
        if now not in [image.get(name) for image, found in ((last, before), *others) if name in found]:
            left.append(name)
        elif old is None and not entity.can_clear(name, {**actual, **together}):
            result.stuck += [name] if name in before else []
        else:
            result.changes[name] = old
    for name in left:
        if entity.falls_with.get(name) in result.changes:
            # It stands there only because of what is taken back now, and goes with it.
            result.changes |= {} if together[name] is None else {name: together[name]}
        elif name in before:
            result.conflicts.append(name)
    return result


def names_of(fields: Iterable[str]) -> str:
    """Writes fields for people."""
    return ", ".join(name or "the record" for name in fields)


def api_value(payload: Mapping[str, Any], name: str) -> Any:
    """Answers a field's value as the payload has it."""
    if name.startswith(CUSTOM_PREFIX):
        return (payload.get(CUSTOM) or {}).get(name.removeprefix(CUSTOM_PREFIX))
    return payload.get(name)
