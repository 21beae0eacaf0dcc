"""Leaves custom fields out of a mapping until it fits the account's plan, as a person does who edits it. No I/O."""

from __future__ import annotations

from collections import Counter
from typing import Any

import yaml

Mapping = dict[str, Any]


def leave_out(mapping_yaml: str, count: int) -> tuple[str, Counter[str]]:
    """Leaves out the last custom fields of the entities that have most of them.

    Args:
        mapping_yaml: the mapping; comments and anchors do not survive.
        count: how many fields are too many.

    Returns:
        The mapping with so many fewer, and how many of each entity.

    Raises:
        ValueError: it has fewer fields than that.
    """
    mapping: Mapping = yaml.safe_load(mapping_yaml)
    fields: dict[str, dict[str, Mapping]] = mapping["schema"]["fields"]
    if sum(map(len, fields.values())) < count:
        raise ValueError(f"the mapping has fewer than {count} custom fields to leave out")
    left_out: Counter[str] = Counter()
    for _ in range(count):
        entity = max(fields, key=lambda name: len(fields[name]))
        fields[entity].popitem()
        left_out[entity] += 1
    for source in mapping["entities"].values():
        _drop_rules(mapping, source, fields)
    return yaml.safe_dump(mapping, allow_unicode=True, sort_keys=False), left_out


def _drop_rules(mapping: Mapping, source: Mapping, fields: dict[str, dict[str, Mapping]]) -> None:
    """Takes the rules of one source entity out that fill no field any more."""
    for position, target in enumerate(source.get("targets", ())):
        declared = fields.get(target["target"], {})
        blocks = [target, *(mapping["fragments"][name] for name in target.get("include", ()))]
        for block in blocks:
            if "custom" in block:
                block["custom"] = {name: rule for name, rule in block["custom"].items() if name in declared}
        if position == 0 and "properties" in source:
            source["properties"] = {name: one for name, one in source["properties"].items() if name in declared or not one.get("move", True)}
