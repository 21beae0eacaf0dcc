"""What a run remembers between its steps: one small document in the run's row, changed in the transaction of the step itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json
from services.ledger.domain import EVERYTHING, Scope

if TYPE_CHECKING:
    from services.ledger.domain import Run
    from transload.v1.transformer_service_pb2 import EntityDisposition


@dataclass(frozen=True, slots=True)
class Disposition:
    """What the mapping does with one source entity."""

    phases: tuple[int, ...] = ()
    skip_reason: str = ""
    """With no phases: `SKIPPED_REFERENCE_DATA` or `SKIPPED_NOT_MAPPED`."""
    lookup_phases: tuple[int, ...] = ()
    """Further phases, in which others look its records up."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """Where a run stands, beyond its phase."""

    step: str = ""
    """Name of the step the driver is at; empty: the first."""
    dispositions: dict[str, Disposition] = field(default_factory=dict)
    """By source entity, in the connector's order."""
    announced_sequence: int = 0
    """Pages of the open phase are announced up to this sequence."""
    is_announced: bool = False
    """True when all pages of the open phase are announced."""
    position: int = 0
    """How far the present step has come (rows, chunks, groups); 0 at its start."""
    after_key: str = ""
    """The last record done in the present step."""
    sample_size: int = 0
    coverage: tuple[str, ...] = ()
    """What the sample covers, in words."""
    entities: tuple[str, ...] = ()
    """Entities the present extraction reads; empty: all."""
    extra_selection: str = ""
    """Digest of the selection of records that a delta maps again although the source did not change them."""
    relinked_phase: int = 0
    """The phase for which it is known what is linked anew in it; 0: none yet."""
    conflicts: tuple[str, ...] = ()
    """Policies on conflicts given for this run alone, as they were asked for."""
    deletions: tuple[str, ...] = ()
    """Policies on deletions given for this run alone."""
    policies: dict[str, Any] = field(default_factory=dict)
    """The policies the run decides by, see `services.ledger.delta`."""
    matching: dict[str, Any] = field(default_factory=dict)
    """How records are matched before they are created, by target entity, see `services.ledger.matching`."""
    scope: Scope = EVERYTHING
    """What a rollback takes back."""
    sweeps: tuple[str, ...] = ()
    """Target entities whose changed records a rollback reads, for what people hung on ours and for what is still there."""
    doubtful: tuple[str, ...] = ()
    """Deals on which lines may stand that the ledger does not know of, so that their lines are not compared."""
    swept: dict[str, int] = field(default_factory=dict)
    """When each was read last, seconds since 1970."""
    look_time: float = 0.0
    """When the records announced last were compared with what was loaded, seconds since 1970; 0: they were not."""
    includes_rolled_back: bool = False
    """A delta takes up what partial rollbacks took back."""
    has_schema_turn: bool = False
    """No other run changes the schema of the Pipedrive company until this one ends, see `services.ledger.runs.schema_turn`."""
    counts: dict[str, int] = field(default_factory=dict)
    """Sums that grow with the step (fields compared, records deleted)."""

    part: str = ""
    """What is done at the present position, where that takes several acts."""
    page_token: str = ""
    """Where a list of the target is taken up again."""
    seen: str = ""
    """Which records a list has shown so far; see `Seen`."""
    asked: dict[str, int] = field(default_factory=dict)
    """Numbers a person gave with the request (sizes of samples)."""
    draws: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Samples drawn, by what of; see `Draw`."""

    @classmethod
    def of(cls, run: Run) -> RunContext:
        """Read the context of a run."""
        raw: dict[str, Any] = orjson.loads(run.context_json or "{}")
        raw["dispositions"] = {
            entity: Disposition(tuple(entry["phases"]), entry["skip_reason"], tuple(entry.get("lookup_phases", ())))
            for entity, entry in raw.get("dispositions", {}).items()
        }
        raw["scope"] = Scope(**raw.get("scope", {}))
        for name in ("coverage", "entities", "sweeps", "doubtful", "conflicts", "deletions"):
            raw[name] = tuple(raw.get(name, ()))
        return cls(**raw)

    def to_json(self) -> str:
        """Write the context; what stands at its default is left out."""
        plain = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) not in (0, "", False, (), {})}
        plain["scope"] = {name: value for name, value in asdict(self.scope).items() if value}
        if not plain["scope"]:
            del plain["scope"]
        if self.dispositions:  # canonical JSON sorts keys, the order of entities matters to readers
            return orjson.dumps(plain).decode()
        return canonical_json(plain).decode()

    def at(self, step: str) -> RunContext:
        """Answer the context at the start of another step."""
        return replace(self, step=step, position=0, after_key="", announced_sequence=0, is_announced=False, part="", page_token="", seen="")

    def next_position(self) -> RunContext:
        """Answer the context at the start of the next position of the same step."""
        return replace(self, position=self.position + 1, after_key="", part="", page_token="", seen="")

    def for_next_phase(self) -> RunContext:
        """Answer the context at the start of the next phase."""
        return replace(self, position=0, after_key="", announced_sequence=0, is_announced=False)

    def entities_of(self, phase: int, *, with_looked_up: bool = False) -> frozenset[str]:
        """Answer the source entities that have targets in a phase, if asked for with those whose records others look up in it."""
        return frozenset(
            entity for entity, one in self.dispositions.items() if phase in one.phases or (with_looked_up and phase in one.lookup_phases)
        )

    def counted(self, **more: int) -> RunContext:
        """Answer the context with sums added."""
        counts = dict(self.counts)
        for name, count in more.items():
            counts[name] = counts.get(name, 0) + count
        return replace(self, counts=counts)


def dispositions_from(entries: list[EntityDisposition]) -> dict[str, Disposition]:
    """Take over what `CompileSchema` answered."""
    return {
        entry.entity: Disposition(tuple(int(phase) for phase in entry.phases), entry.skip_reason, tuple(int(phase) for phase in entry.lookup_phases))
        for entry in entries
    }
