"""Mapped records: identity map, claim and outcome in one."""

from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.ledger.kinds import ClaimAction, MissingPolicy, OutcomeResult, RecordState, Resolution

__all__ = ["OPEN_RECORD_STATES", "Outcome", "Record", "RecordFilter", "Reference", "Standing", "WantedRecord"]


OPEN_RECORD_STATES = frozenset({RecordState.EXPECTED, RecordState.CLAIMED, RecordState.IN_DOUBT})
"""States in which a batch still has something to do for the record."""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapped record: identity map, claim and outcome in one."""

    migration_id: str
    key: str
    target_entity: str
    source_entity: str
    source_id: str
    phase: int
    state: RecordState = RecordState.EXPECTED
    target_id: str = ""
    """Id in Pipedrive; kept when undone, for the journey."""
    parent_target_id: str = ""
    payload_digest: str = ""
    """Digest of the payload that stands in Pipedrive."""
    image: str = ""
    """Canonical image of what we loaded last; personal data, can be erased."""
    pre_image: str = ""
    """Canonical image before our first change; empty: we changed nothing that was there before."""
    is_preexisting: bool = False
    holder: str = ""
    """`{replica}/{incarnation}` of a claim; empty: no claim."""
    claim_action: ClaimAction = ClaimAction.NONE
    claim_token: str = ""
    """Request id of the `BeginBatch` that claimed."""
    claim_batch_id: str = ""
    claim_expire_time: datetime | None = None
    intent_time: datetime | None = None
    """When the first create without outcome was announced."""
    intent_digest: str = ""
    """Digest of the payload of the last claim."""
    intent_record: bytes = b""
    """The `MappedRecord` of an intent without outcome, serialized, so that a rollback can resolve it; personal data."""
    reason: str = ""
    message: str = ""
    """In words; may name values, can be erased."""
    resolution: Resolution = Resolution.NONE
    create_order: int = 0
    """Grows with every record created or matched; rollback goes backwards."""
    undo_run_id: str = ""
    """Rollback run that was done with this record without taking it back (kept, refused)."""
    update_time: datetime | None = None
    asked: str = ""
    """Fields a person was asked about: canonical JSON, field → value in Pipedrive then; personal data, can be erased."""
    declined: str = ""
    """Fields in which a person's value stands: canonical JSON, field → what the source said; personal data, can be erased."""
    gone: str = ""
    """What was decided when the source had it no more: `keep`, `flag`, `ask`, `delete`; empty: the source has it."""
    load_time: datetime | None = None
    """When what stands in Pipedrive was settled last."""
    match: str = ""
    """Whether it was taken for a record that exists, and why, see `Match`; JSON, personal data, can be erased."""

    @property
    def source_key(self) -> str:
        """`{entity}/{id}` of the source record."""
        return f"{self.source_entity}/{self.source_id}"

    @property
    def has_target(self) -> bool:
        """True when it stands in Pipedrive as far as we know."""
        return bool(self.target_id) and self.state is not RecordState.UNDONE


@dataclass(frozen=True, slots=True)
class Standing:
    """Of a mapped record what others that refer to it need to know."""

    key: str
    phase: int
    state: RecordState
    target_id: str
    reason: str
    target_entity: str = ""
    load_time: datetime | None = None
    source_entity: str = ""
    source_id: str = ""

    @property
    def source_key(self) -> str:
        """`{entity}/{id}` of the source record."""
        return f"{self.source_entity}/{self.source_id}"

    @property
    def has_target(self) -> bool:
        """True when it stands in Pipedrive as far as we know."""
        return bool(self.target_id) and self.state is not RecordState.UNDONE


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference from one mapped record to another."""

    key: str
    policy: MissingPolicy = MissingPolicy.REVIEW
    fallback_key: str = ""
    source_key: str = ""
    """Source record the key is meant to be of, where its text can be read in several ways; empty: whichever has it."""


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """A record of a batch as it came: how it shall stand in Pipedrive."""

    key: str
    target_entity: str
    source_entity: str
    source_id: str
    payload_digest: str = ""
    references: tuple[Reference, ...] = ()
    content: bytes = b""
    """The whole `MappedRecord`, serialized."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record of a batch."""

    key: str
    result: OutcomeResult
    target_id: str = ""
    parent_target_id: str = ""
    image: str = ""
    pre_image: str = ""
    payload_digest: str = ""
    reason: str = ""
    message: str = ""
    flag_reason: str = ""
    edited_fields: tuple[str, ...] = ()
    """Undo: fields a person changed since; `image` then is what stands in Pipedrive."""
    stuck_fields: tuple[str, ...] = ()
    """Undo: fields the API cannot clear."""
    calls: tuple[Map[str, Any], ...] = ()
    """Calls made for it, as they stand in the event's payload."""
    token_count: int = 0
    conflicts: tuple[Map[str, Any], ...] = ()
    """Fields changed on both sides: `{"field", "decision", "by", "source", "target"}`."""
    asked: str = ""
    declined: str = ""
    planned: str = ""
    """With `noted`: the fields about to be written, canonical JSON."""
    is_partly_done: bool = False
    """Of one that waits: some fields were changed, `image` says what is ours now."""


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which records to list; empty fields do not restrict."""

    states: tuple[RecordState, ...] = ()
    source_entity: str = ""
    target_entity: str = ""
    reason: str = ""
    phase: int = 0
    has_target: bool = False
    """Only records that stand in Pipedrive."""
    gone: str = ""
    """Only records of which this was decided when the source had them no more."""
    is_due: bool = False
    """Only records without a digest: what stands in Pipedrive has to be looked at again."""
