"""In which states the records are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from services.transformer.profile.shapes import VALUE_CHARACTERS_MAX

if TYPE_CHECKING:
    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup


class States:
    """How many records are in which state, with the states' names where the source keeps them apart."""

    def __init__(self, mapping: MappingModel, lookup: Lookup) -> None:
        self._lookup = lookup
        self._fields = mapping.quality.states
        self._entities = {
            rule.id: rule.entity for rule in mapping.links.values() if rule.id in self._fields and isinstance(rule.entity, str) and rule.many is None
        }
        self._names = {proposal.entity: proposal.name for proposal in mapping.propose.states}
        self._counts: Counter[tuple[str, str, str, str]] = Counter()

    def take(self, envelope: Envelope) -> None:
        """Count one record's states."""
        if envelope.is_deleted:
            return
        for name in self._fields:
            value = envelope.data.get(name)
            if value is not None and not isinstance(value, (dict, list)):
                words, kind = self._words(name, str(value))
                self._counts[envelope.entity, name, words, kind] += 1

    def _words(self, name: str, value: str) -> tuple[str, str]:
        entity = self._entities.get(name)
        if entity is None:
            return value[:VALUE_CHARACTERS_MAX], ""
        state = self._lookup.get(entity, value)
        if state is None:
            return f"{value} (unknown)", ""
        return str(state.data.get(self._names.get(entity, "name")) or value), str(state.data.get("type") or "")

    def rows(self) -> list[dict[str, Any]]:
        """Answer one row for each state, the most frequent first."""
        rows = [
            {"entity": entity, "field": name, "state": words, "kind": kind, "records": count}
            for (entity, name, words, kind), count in self._counts.items()
        ]
        return sorted(rows, key=lambda row: (row["entity"], row["field"], -row["records"], row["state"]))
