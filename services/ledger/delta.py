"""L-11: who decides when a record changed on both sides, and what becomes of records the source has no more: the policies of one run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.edits import CUSTOM_PREFIX
from services.ledger.domain import RunKind
from services.ledger.runs.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.ledger.domain import Migration, Run
    from services.ledger.repository import Reader
    from transload.v1.transformer_service_pb2 import DeltaPolicy

KEEP: Final = "keep"
FLAG: Final = "flag"
ASK: Final = "ask"
DELETE: Final = "delete"
_DEAL_VALUE: Final = "deal_value"
_DECIDED: Final = frozenset({"source", "target"})


@dataclass(frozen=True, slots=True)
class EntityPolicy:
    """What one target entity does differently; empty: as the whole."""

    conflicts: str = ""
    deletions: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    """By field, as Pipedrive spells it: custom fields as `custom_fields.<hash>`."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies a run decides by."""

    conflicts: str = ""
    """`source`, `target`, `ask`."""
    deletions: str = FLAG
    entities: Mapping[str, EntityPolicy] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run | None, migration: Migration) -> Policies:
        """Read what a run's preparation wrote down; a run without follows the migration's option."""
        plain: dict[str, Any] = RunContext.of(run).policies if run is not None else {}
        entities = {name: EntityPolicy(**entry) for name, entry in plain.get("entities", {}).items()}
        # Deletions are decided in deltas only: a load or a sample is about a mapping, and a record it leaves out is not lost in the source.
        deletions = plain.get("deletions", FLAG) if run is not None and run.kind is RunKind.DELTA else FLAG
        if run is None or run.kind is not RunKind.DELTA:
            entities = {name: EntityPolicy(entry.conflicts, "", entry.fields) for name, entry in entities.items()}
        return cls(plain.get("conflicts") or migration.options.conflict_policy, deletions or FLAG, entities)

    def conflict(self, target_entity: str) -> str:
        """Answer `source`, `target`, or empty for ask: what holds for fields without a word of their own."""
        if target_entity == _DEAL_VALUE:
            deal = self.entities.get("deal", EntityPolicy())
            return _decided(deal.fields.get("value") or deal.conflicts or self.conflicts)
        return _decided(self.entities.get(target_entity, EntityPolicy()).conflicts or self.conflicts)

    def field_conflicts(self, target_entity: str) -> Mapping[str, str]:
        """Answer field → `source`, `target` or `ask`, where it differs."""
        return self.entities.get(target_entity, EntityPolicy()).fields

    def deletion(self, target_entity: str) -> str:
        """Answer `keep`, `flag`, `ask` or `delete`."""
        name = "deal" if target_entity == _DEAL_VALUE else target_entity
        return self.entities.get(name, EntityPolicy()).deletions or self.deletions


async def bound_policies(reader: Reader, migration_id: str, policy: DeltaPolicy) -> dict[str, Any]:
    """Answer the policies of a mapping as a run keeps them, custom fields under their key in the account; fields that are not there are left out."""
    entities: dict[str, dict[str, Any]] = {}
    for entry in policy.entities:
        custom = {name.removeprefix(CUSTOM_PREFIX): word for name, word in entry.fields.items() if name.startswith(CUSTOM_PREFIX)}
        keys = {f"custom_field:schema/{entry.target_entity}.{name}": name for name in custom}
        known = await reader.get_records(migration_id, keys)
        fields = {name: word for name, word in entry.fields.items() if not name.startswith(CUSTOM_PREFIX)}
        fields |= {f"{CUSTOM_PREFIX}{record.target_id}": custom[keys[key]] for key, record in known.items() if record.has_target}
        plain = {"conflicts": entry.conflicts, "deletions": entry.deletions, "fields": fields}
        entities[entry.target_entity] = {name: value for name, value in plain.items() if value}
    whole = {"conflicts": policy.conflicts, "deletions": policy.deletions, "entities": entities}
    return {name: value for name, value in whole.items() if value}


def _decided(word: str) -> str:
    return word if word in _DECIDED else ""
