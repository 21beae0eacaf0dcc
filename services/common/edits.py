"""What a person changed in a record since we loaded it, and what a record in Pipedrive refers to. Pure: compares canonical images.

A field that we loaded was edited when it differs. A field that we did not load was edited when it holds something that Pipedrive does not give by
itself. Values that Pipedrive computes - the value of a deal from its lines, the time a deal was closed, the parts of an address it looked up - are no
edits.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

CUSTOM_PREFIX: Final = "custom_fields."
"""Of a custom field in an image; its code follows."""

_GIVEN: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "product": frozenset({"owner_id", "visible_to", "is_linkable", "billing_frequency"}),
        "organization": frozenset({"owner_id", "visible_to", "add_time"}),
        "person": frozenset({"owner_id", "visible_to", "add_time", "marketing_status"}),
        "deal": frozenset({"owner_id", "visible_to", "currency", "pipeline_id", "stage_id", "won_time", "lost_time", "close_time", "archive_time"}),
        "activity": frozenset({"owner_id", "type", "subject", "due_date", "busy"}),
        "note": frozenset({"user_id", "add_time"}),
    }
)
"""Fields that Pipedrive fills in when they are not sent, with values that cannot be told from a person's."""
_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {"deal": {"status": "open", "is_archived": False, "value": 0}, "product": {"tax": 0}, "activity": {"done": False}}
)
"""Values that say nothing in fields that were not sent."""
_FIXED: Final[Mapping[str, frozenset[str]]] = MappingProxyType({"person": frozenset({"add_time"}), "organization": frozenset({"add_time"})})
"""Fields nobody can change."""
_OURS_ONLY: Final = frozenset({"line_item", "organization_relation", "file", "pipeline", "stage", "activity_type", "field_option", "custom_field"})
"""Kinds whose other fields Pipedrive fills in."""

LINKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "deal_id": "deal",
        "person_id": "person",
        "org_id": "organization",
        "product_id": "product",
        "activity_id": "activity",
        "rel_owner_org_id": "organization",
        "rel_linked_org_id": "organization",
    }
)
"""Field of an image → what kind of record it points to."""
_REFERENCES: Final[Mapping[str, str]] = MappingProxyType({**LINKS, "pipeline_id": "pipeline", "stage_id": "stage", "category": "field_option"})
_PARENTS: Final = ("deal_id", "activity_id", "product_id", "person_id", "org_id")


def edited_fields(target_entity: str, last: Mapping[str, Any], actual: Mapping[str, Any], *, ignored: Collection[str] = ()) -> list[str]:
    """Answer the fields somebody changed since a record was loaded, sorted.

    Args:
        target_entity: kind of record.
        last: canonical image of what we loaded last.
        actual: canonical image of what stands in Pipedrive.
        ignored: fields that something else decides.
    """
    fixed = _FIXED.get(target_entity, frozenset())
    edited = [name for name in last if name not in ignored and name not in fixed and not _is_same(last[name], actual.get(name))]
    if target_entity not in _OURS_ONLY:
        given, defaults = _GIVEN.get(target_entity, frozenset()), _DEFAULTS.get(target_entity, {})
        edited += [
            name
            for name, value in actual.items()
            if name not in last and name not in given and name not in ignored and value != defaults.get(name) and not _says_nothing(value)
        ]
    return sorted(edited)


def references(target_entity: str, image: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a record refers to: target entity and id; an activity type by its `key_string`, a custom field by its code."""
    for name, value in image.items():
        if name in _REFERENCES and value:
            yield _REFERENCES[name], str(value)
        elif name.startswith(CUSTOM_PREFIX):
            yield "custom_field", name.removeprefix(CUSTOM_PREFIX)
        elif name == "label_ids":
            yield from (("field_option", str(label)) for label in value)
        elif name == "participants":
            yield from (("person", str(one["person_id"])) for one in value if one.get("person_id"))
        elif name == "type" and target_entity == "activity":
            yield "activity_type", str(value)


def names_of(target_entity: str, target_id: str, image: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Answer by which (target entity, id) others refer to a record."""
    if target_entity == "activity_type" and image.get("key_string"):
        return (target_entity, str(image["key_string"])), (target_entity, target_id)
    return ((target_entity, target_id),)


def parents(target_entity: str, image: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Answer what a record hangs on, so that it goes with it: its nearest link; of a relation either end."""
    if target_entity == "organization_relation":
        return tuple(("organization", str(image[name])) for name in ("rel_owner_org_id", "rel_linked_org_id") if image.get(name))
    links: tuple[str, ...] = _PARENTS
    if target_entity == "deal":
        links = ("org_id", "person_id")
    elif target_entity == "line_item":
        links = ("deal_id",)
    elif target_entity == "activity" and not any(image.get(name) for name in _PARENTS):
        return tuple(("person", str(one["person_id"])) for one in image.get("participants") or [] if one.get("primary"))
    nearest = next((name for name in links if image.get(name)), "")
    return ((LINKS[nearest], str(image[nearest])),) if nearest else ()


def _is_same(ours: Any, now: Any) -> bool:
    if isinstance(ours, dict) and isinstance(now, dict):
        # Pipedrive adds the parts of an address that it looked up.
        return all(now.get(name) == value for name, value in ours.items())
    return bool(ours == now)


def _says_nothing(value: Any) -> bool:
    """Say whether prices are all zero: what a product without prices has."""
    return isinstance(value, list) and all(isinstance(entry, dict) and "price" in entry and not entry["price"] for entry in value)
