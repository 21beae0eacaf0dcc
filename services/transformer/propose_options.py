"""Proposes options from the values an account has: of built-in fields and labels, and of custom fields that are picklists (L-03)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.transformer.empty import is_empty
from services.transformer.target import NAME_CHARACTERS_MAX
from services.transformer.transforms.texts import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.proposals import OptionProposal
    from services.transformer.snapshot.lookup import Lookup


class ProposedOptions:
    """Options found so far.

    Attributes:
        built_in: options by `entity.field` of fields Pipedrive has itself.
        fields: what becomes of declared custom fields, by target entity and field id.
    """

    def __init__(self, mapping: Mapping, value_maps: dict[str, Any]) -> None:
        self._mapping = mapping
        self._value_maps = value_maps
        self.built_in: dict[str, list[str]] = {}
        self.fields: dict[str, dict[str, dict[str, Any]]] = {}

    def find(self, view: Lookup) -> None:
        """Go through everything `propose.options` names."""
        for rule in self._mapping.propose.options:
            target, _, field_id = rule.option.partition(".")
            declared = self._mapping.schema_.fields.get(target, {}).get(field_id)
            labels = self._labels(rule, view)
            if declared is None:
                known = self.built_in.setdefault(rule.option, list(self._mapping.schema_.options.get(rule.option, [])))
                known.extend(label for label in labels if label not in known)
                continue
            options = list(dict.fromkeys([*declared.options, *labels]))
            # Pipedrive refuses a picklist without options; a text field takes what a later delta may bring.
            self.fields.setdefault(target, {})[field_id] = {"options": options} if options else {"type": "varchar", "options": []}

    def _labels(self, rule: OptionProposal, view: Lookup) -> list[str]:
        """Answer the labels the values mean; a value that differs from another one in capitals or blanks only means the same."""
        known = {_plain(name): entry for name, entry in self._mapping.value_maps.get(rule.value_map or "", {}).items()}
        proposed = self._value_maps.setdefault(rule.value_map, {}) if rule.value_map else {}
        known |= {_plain(name): entry for name, entry in proposed.items()}
        labels: dict[str, None] = {}
        for value in _values(rule, view):
            label = known.get(_plain(value), known.get("*", value))
            if rule.value_map and _plain(value) not in known and "*" not in known:
                label = value[:NAME_CHARACTERS_MAX]
                proposed[value] = known[_plain(value)] = label
            if isinstance(label, str) and label:
                labels[label[:NAME_CHARACTERS_MAX]] = None
        if rule.value_map and not proposed:
            self._value_maps.pop(rule.value_map, None)
        return list(labels)


def _values(rule: OptionProposal, view: Lookup) -> Iterator[str]:
    for entity in [rule.entity] if isinstance(rule.entity, str) else rule.entity:
        for one in view.iterate(entity):
            if one.is_deleted:
                continue
            for name in [rule.name] if isinstance(rule.name, str) else rule.name:
                found = one.data.get(name)
                for value in found if isinstance(found, list) else [found]:
                    if not is_empty(value) and not isinstance(value, (dict, list)) and (written := " ".join((text(value) or "").split())):
                        yield written


def _plain(value: str) -> str:
    return " ".join(str(value).casefold().split())
