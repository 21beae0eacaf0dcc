"""A batch in the loader's own words: what is to be done with each record, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from services.common.keys import RecordKey
from services.loader.merge import Conflict, Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import datetime

    from services.common.errors import TransloadError
    from services.loader.canonical import Image
    from services.loader.pipedrive.client import CallContext, PipedriveClient


class Action(StrEnum):
    """What is to be done; the names are those of `RecordAction`."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DONE = "DONE"
    IN_DOUBT = "IN_DOUBT"
    BLOCKED = "BLOCKED"
    HELD = "HELD"
    DELETE = "DELETE"
    RESTORE = "RESTORE"
    MATCH = "MATCH"


class Result(StrEnum):
    """What became of a record; the names are those of `OutcomeResult`."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    MATCHED = "MATCHED"
    UNCHANGED = "UNCHANGED"
    REJECTED = "REJECTED"
    WAITING = "WAITING"
    UNKNOWN = "UNKNOWN"
    NOT_TRIED = "NOT_TRIED"
    DELETED = "DELETED"
    RESTORED = "RESTORED"
    KEPT = "KEPT"
    GONE = "GONE"
    NOTED = "NOTED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record; see `RecordOutcome` for the fields."""

    result: Result
    target_id: str = ""
    image: Image | None = None
    pre_image: Mapping[str, Any] | None = None
    reason: str = ""
    message: str = ""
    parent_target_id: str = ""
    flag_reason: str = ""
    edited_fields: tuple[str, ...] = ()
    stuck_fields: tuple[str, ...] = ()
    is_answered: bool = False
    """Of an unknown outcome: Pipedrive is done with the request, whatever it did."""
    conflicts: Sequence[Conflict] = ()
    asked: Mapping[str, Any] = field(default_factory=dict)
    declined: Mapping[str, Any] = field(default_factory=dict)
    is_partly_done: bool = False
    planned: Mapping[str, Any] = field(default_factory=dict)
    """What is about to be written into a record that was there before us."""


@dataclass(slots=True)
class Work:
    """One record of a batch.

    Attributes:
        key: the record.
        action: what is to be done.
        payload: as it shall stand in Pipedrive, references resolved; None in most undo batches.
        payload_digest: of the payload as it came.
        context: claim, priority, and the calls made for this record.
        target_id: its id in Pipedrive, if known.
        last_image: what we loaded last.
        pre_image: the fields we changed, before we did; with explicit nulls.
        same_target: of a restore: image and pre-image of every other record of ours in the same object.
        intent_time: when the open intent was written, for in doubt.
        policy: decides fields changed on both sides.
        declined: fields in which a person's value stands, and what the source said then.
        match_policy: of a record that was matched with one that was there before us: `match`, `match_and_fill`, `update`; empty: it was not.
        guards_edits: of a delete: only when nobody changed the record since.
        load_time: when what stands in Pipedrive was settled last.
        parent_target_id: id of the record it hangs on.
        group: records of one group go in one call.
        missing: keys of references that could not be resolved.
        lines: undo of a deal: its line items as loaded, line id → image; None: not to be compared.
        outcome: what became of it; None: not decided yet.
    """

    key: str
    action: Action
    payload: dict[str, Any] | None
    payload_digest: str
    context: CallContext
    target_id: str = ""
    last_image: Image = field(default_factory=dict)
    pre_image: dict[str, Any] = field(default_factory=dict)
    same_target: tuple[tuple[Image, dict[str, Any]], ...] = ()
    intent_time: datetime | None = None
    policy: Policy = field(default_factory=Policy)
    declined: dict[str, Any] = field(default_factory=dict)
    match_policy: str = ""
    guards_edits: bool = False
    load_time: datetime | None = None
    parent_target_id: str = ""
    group: str = ""
    missing: tuple[str, ...] = ()
    lines: dict[str, Image] | None = None
    outcome: Outcome | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The payload; empty when there is none."""
        return self.payload or {}

    @property
    def record_key(self) -> RecordKey:
        """The key, taken apart."""
        return RecordKey.parse(self.key)


@dataclass(frozen=True, slots=True)
class Referred:
    """A record in Pipedrive that records of a batch refer to."""

    target_entity: str
    target_id: str
    load_time: datetime | None


@dataclass(frozen=True, slots=True)
class Move:
    """A record that a person merged into another; `evidence` is how it was found out: `answered_id`, `external_id` or `links`."""

    target_entity: str
    from_target_id: str
    to_target_id: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Link:
    """A record that was loaded with a link to another."""

    target_id: str
    from_target_entity: str
    from_target_id: str
    field: str


@dataclass(slots=True)
class Batch:
    """A batch on its way.

    Attributes:
        migration_id: the migration.
        target_entity: of all records.
        manifest_digest: the manifest they were mapped with.
        is_undo: taken back instead of loaded.
        works: the records.
        client: calls the target connection.
        shared: context of calls made for the batch as a whole.
        started: monotonic time it was begun.
        reference_ids: resolved references: key → target id.
        referred: records referred to that may have been merged or deleted since, by key.
        moves: merges that were found out.
        stop: what stopped it; records not done by then are not tried.
        deletes_edited: undo: what people edited is deleted, too.
        look_age: undo: seconds since the ledger compared these records with what was loaded; None: it did not.
    """

    migration_id: str
    target_entity: str
    manifest_digest: str
    is_undo: bool
    works: list[Work]
    client: PipedriveClient
    shared: CallContext
    started: float
    reference_ids: Mapping[str, str]
    referred: Mapping[str, Referred] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)
    stop: TransloadError | None = None
    deletes_edited: bool = False
    look_age: float | None = None

    def open(self, *actions: Action) -> list[Work]:
        """Answers the works with one of these actions that are not decided yet."""
        return [work for work in self.works if work.outcome is None and work.action in actions]


class LedgerPort(Protocol):
    """What the loading rules ask the ledger."""

    async def known_targets(self, migration_id: str, target_entity: str, target_ids: Sequence[str]) -> Mapping[str, str]:
        """Answers target id → key of those that belong to records."""
        ...

    async def links_to(self, migration_id: str, target_entity: str, target_ids: Sequence[str]) -> Sequence[Link]:
        """Answers some records that were loaded with a link to each of the target ids."""
        ...

    async def manifest(self, manifest_digest: str) -> Manifest:
        """Answers what the loader needs of a manifest."""
        ...


class FileStore(Protocol):
    """Where staged files lie."""

    def read_file(self, digest: str, *, first_byte: int = 0, byte_count: int | None = None) -> AsyncIterator[bytes]:
        """Yields the bytes of a staged file, or a range of them. Raises UnavailableError, NotFoundError."""
        ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the loader keeps of a manifest.

    Attributes:
        source_account: first part of every external id.
        external_id_codes: target entity → code of its external-id field.
        schema_before: what the account had before the migration: `custom_field` codes, `pipeline`, `stage`, `activity_type` and `field_option` ids.
        fallback_user_id: Pipedrive user that stands in for unmatched owners; empty: none.
    """

    source_account: str
    external_id_codes: Mapping[str, str]
    schema_before: Mapping[str, frozenset[str]]
    fallback_user_id: str = ""
