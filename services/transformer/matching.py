"""The section `matching` of a mapping (RS-01): by what records are recognised that exist already, and what is done with them."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml

from services.common.edits import CUSTOM_PREFIX
from services.transformer.target import CUSTOM_FIELD_ENTITIES, TARGET_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.matching import EntityMatching

ENTITIES: Final = ("organization", "person", "product")
"""Target entities that can be matched. Deals are matched by nothing: two sales to one customer look alike."""

_DEFAULTS: Final[dict[str, dict[str, tuple[float, tuple[str, ...]]]]] = {
    "organization": {
        "domain": (0.92, ("website",)),
        "email": (0.92, ()),
        "phone": (0.8, ()),
        "name_and_postcode": (0.93, ()),
        "name": (0.72, ()),
    },
    "person": {
        "email": (0.96, ("emails",)),
        "phone": (0.8, ("phones",)),
        "name_and_organization": (0.92, ()),
        "name": (0.6, ()),
    },
    "product": {"code": (0.98, ("code",)), "name": (0.72, ())},
}
"""What can be a key of each entity: how much it says, and the fields it is taken from."""
_BY_DEFAULT: Final = {
    "organization": ("domain", "name_and_postcode", "name"),
    "person": ("email", "phone", "name_and_organization", "name"),
    "product": ("code", "name"),
}
_OF_NAMES: Final = frozenset({"name", "name_and_postcode", "name_and_organization"})
"""Keys whose fields are given."""

FREE_MAIL_HOSTS: Final = tuple(yaml.safe_load(files("services.transformer").joinpath("free_mail_hosts.yaml").read_text(encoding="utf-8")))
"""Hosts where anybody has a mailbox, so that sharing one says nothing. A mapping adds its own under `matching.free_mail_hosts`."""


def compile_matching(mapping: Mapping) -> dict[str, Any]:
    """Answer how records are matched, by target entity; entities nobody asked for are left out. Custom fields stand as `custom_fields.<id>`."""
    section = mapping.matching
    common = {
        "free_mail_hosts": sorted({*FREE_MAIL_HOSTS, *(host.casefold() for host in section.free_mail_hosts)}),
        "legal_forms": sorted(section.legal_forms),
        "phone_region": mapping.policies.phone_region or "",
    }
    found: dict[str, Any] = {}
    for entity, own in entries(mapping):
        if own.policy == "create" and own.within_source == "keep_all":
            continue
        found[entity] = {
            "policy": own.policy,
            "within_source": own.within_source,
            "certain": own.certain,
            "uncertain": own.uncertain,
            "keys": list(_keys(entity, own)),
            "differ": [_spelled(entity, name) for name in own.differ],
            **common,
        }
    return found


def entries(mapping: Mapping) -> Iterator[tuple[str, EntityMatching]]:
    """Yield what the section says about each entity it names."""
    for entity in ENTITIES:
        own: EntityMatching | None = getattr(mapping.matching, entity)
        if own is not None:
            yield entity, own


def _keys(entity: str, own: EntityMatching) -> Iterator[dict[str, Any]]:
    defaults = _DEFAULTS[entity]
    if not own.keys:
        for kind in _BY_DEFAULT[entity]:
            score, fields = defaults[kind]
            yield {"key": kind, "fields": list(fields), "score": score, "is_enough": False}
        return
    for key in own.keys:
        score, fields = defaults[key.key]
        yield {
            "key": key.key,
            "fields": [_spelled(entity, name) for name in key.fields or fields],
            "score": score if key.score is None else key.score,
            "is_enough": key.is_enough,
        }


def _spelled(entity: str, field: str) -> str:
    is_built_in = entity not in CUSTOM_FIELD_ENTITIES or field in TARGET_FIELDS[entity]
    return field if is_built_in or field.startswith(CUSTOM_PREFIX) else CUSTOM_PREFIX + field


def problems(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the section: place and message."""
    for entity, own in entries(mapping):
        place = f"matching.{entity}"
        known = {*TARGET_FIELDS[entity], *mapping.schema_.fields.get(entity, {})}
        if own.uncertain > own.certain:
            yield place, f"`uncertain` ({own.uncertain}) is above `certain` ({own.certain}): a person would never be asked"
        for key in own.keys:
            if key.key not in _DEFAULTS[entity]:
                yield place, f"{entity}s have no key `{key.key}`; known: {', '.join(_DEFAULTS[entity])}"
                continue
            if key.key in _OF_NAMES and key.fields:
                yield place, f"the key `{key.key}` takes no fields: it is made of the record's name"
            elif key.key not in _OF_NAMES and not (key.fields or _DEFAULTS[entity][key.key][1]):
                yield place, f"Pipedrive's {entity}s have no {key.key} of their own: say in which custom fields it stands (`fields`)"
            for name in key.fields:
                if name.removeprefix(CUSTOM_PREFIX) not in known:
                    yield (
                        place,
                        f"{entity} has no field `{name}`; fields of Pipedrive and custom fields of the section schema: {', '.join(sorted(known))}",
                    )
        for name in own.differ:
            if name.removeprefix(CUSTOM_PREFIX) not in known:
                yield (
                    place,
                    f"{entity} has no field `{name}`; fields of Pipedrive and custom fields of the section schema: {', '.join(sorted(known))}",
                )
