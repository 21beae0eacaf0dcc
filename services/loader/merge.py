"""The three-way comparison: what we loaded last, what the source says now, what stands in Pipedrive now (L-11).

For every field: the source did not change it → left alone, whatever a person made of it. The source changed it and nobody else did → changed. Both
changed it to the same → nothing to do. Both changed it differently → a conflict, for the policy or a person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.loader.canonical import CUSTOM, CUSTOM_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.loader.canonical import Image
    from services.loader.entities.base import Entity

POLICY_SOURCE = "source"
POLICY_TARGET = "target"


@dataclass(slots=True)
class Merge:
    """What to do with a record that is in Pipedrive.

    Attributes:
        changes: field → new value in the API's shape; None clears.
        before: field → what stood there, for the fields in `changes`; None: nothing.
        image: what is ours in Pipedrive afterwards.
        conflicts: fields changed on both sides that nobody has decided on.
        stuck: fields the API cannot clear; they keep the old value.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    image: Image = field(default_factory=dict)
    conflicts: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)


def merge(entity: Entity, *, last: Image, payload: Mapping[str, Any], actual: Image, policy: str) -> Merge:
    """Compares field by field.

    Args:
        entity: which fields can be changed and cleared.
        last: image of what we loaded last; fields missing in it were never ours.
        payload: what the source says now, references resolved.
        actual: image of what stands in Pipedrive.
        policy: `source` or `target` decides conflicts; empty: they are reported.
    """
    wanted = entity.image(payload)
    result = Merge()
    for name in sorted(wanted.keys() | last.keys()):
        old, new, now = last.get(name), wanted.get(name), actual.get(name)
        if new == old or name in entity.create_only:
            _keep(result.image, name, old)
        elif new == now:
            _keep(result.image, name, new)
        elif now != old and policy != POLICY_SOURCE:
            # With policy `target` the person's value stands, and the field is ours no more.
            if policy != POLICY_TARGET:
                result.conflicts.append(name)
        elif new is None and not entity.can_clear(name, wanted):
            result.stuck.append(name)
            _keep(result.image, name, old)
        else:
            result.changes[name] = None if new is None else api_value(payload, name)
            result.before[name] = now
            _keep(result.image, name, new)
    return result


def fill(entity: Entity, *, payload: Mapping[str, Any], actual: Image, policy: str) -> Merge:
    """Compares with a record that was there before us: empty fields are filled, others are changed only by policy `source`."""
    wanted = entity.image(payload)
    result = Merge()
    for name, new in sorted(wanted.items()):
        now = actual.get(name)
        if name in entity.create_only:
            continue
        if new == now:
            result.image[name] = new
        elif now is None or policy == POLICY_SOURCE:
            result.changes[name] = api_value(payload, name)
            result.before[name] = now
            result.image[name] = new
    return result


def restore(entity: Entity, *, before: Mapping[str, Any], last: Image, actual: Image) -> Merge:
    """Compares for taking back: a field goes back to what it was if its value is still ours; others stand in `conflicts`."""
    result = Merge()
    for name, old in sorted(before.items()):
        now = actual.get(name)
        if now == old or name in entity.create_only:
            continue
        if now != last.get(name):
            result.conflicts.append(name)
        elif old is None and not entity.can_clear(name, {**actual, **before}):
            result.stuck.append(name)
        else:
            result.changes[name] = old
    return result


def api_value(payload: Mapping[str, Any], name: str) -> Any:
    """Answers a field's value as the payload has it."""
    if name.startswith(CUSTOM_PREFIX):
        return (payload.get(CUSTOM) or {}).get(name.removeprefix(CUSTOM_PREFIX))
    return payload.get(name)


def _keep(image: Image, name: str, value: Any) -> None:
    if value is not None:
        image[name] = value
