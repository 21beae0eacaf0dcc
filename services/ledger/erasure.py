"""Takes the personal data of one subject, or of a whole migration, out of the ledger; the trail proves afterwards what it proved before.

What stands in payloads and messages goes at once. Images go only when that is asked for: a delta and a rollback compare with them. What stood in
Pipedrive before us goes last, because a rollback puts it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from services.common.errors import InvalidRequestError, NotFoundError, PreconditionError
from services.ledger.codec import split_source_key
from services.ledger.domain import ERASED, ErasedCount, EventDraft, Match, Mentions, MigrationState, ReportKind, RunState
from services.ledger.migrations import require_migration
from services.ledger.origins import carried_key, possible_origins
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from services.ledger.domain import Migration
    from services.ledger.repository import Reader, Transaction

TEXT_MIN: Final = 5
"""Characters a text must have: a shorter one stands in too much."""
REASON_MAX: Final = 200
_CLOSED: Final = frozenset({MigrationState.COMPLETED, MigrationState.ROLLED_BACK})
_ROWS: Final = 1000
_NAMED_IN_ANSWER: Final = 20


@dataclass(frozen=True, slots=True)
class Erase:
    """What shall be erased: one of source key, text and everything."""

    migration_id: str
    actor: str
    reason: str
    source_key: str = ""
    text: str = ""
    is_everything: bool = False
    with_images: bool = False

    @property
    def scope(self) -> str:
        """What is erased, in one word."""
        return "migration" if self.is_everything else "text" if self.text else "record"


def check_request(request: Erase) -> None:
    """Check what can be checked without the ledger.

    Raises:
        InvalidRequestError: It names no subject, or several; or the reason holds what is to be erased.
    """
    if bool(request.source_key) + bool(request.text) + request.is_everything != 1:
        raise InvalidRequestError("name one record, or one text, or everything")
    if request.text and len(request.text) < TEXT_MIN:
        raise InvalidRequestError(f"text: at least {TEXT_MIN} characters, such as a whole e-mail address")
    if not request.reason or len(request.reason) > REASON_MAX:
        raise InvalidRequestError(f"reason: required, at most {REASON_MAX} characters; it stays in the trail")
    if (request.text and request.text.casefold() in request.reason.casefold()) or "@" in request.reason:
        raise InvalidRequestError("reason: it stays in the trail, so it must not name the person")


async def find_subject(reader: Reader, request: Erase) -> Mentions:
    """Find out which source records are concerned.

    Raises:
        NotFoundError: Nothing is known of the record, or the text stands nowhere.
    """
    if request.is_everything:
        return Mentions()
    if request.text:
        found = await reader.find_mentions(request.migration_id, request.text)
        if not found.source_keys and not found.event_sequences:
            raise NotFoundError(f"nothing the ledger can erase in migration {request.migration_id} holds that text")
        return found
    entity, source_id = split_source_key(request.source_key, "key")
    is_known = (
        await reader.get_source_record(request.migration_id, entity, source_id) is not None
        or await reader.list_records_of_source(request.migration_id, entity, source_id)
        or await reader.list_events_of_source(request.migration_id, request.source_key, limit=1)
    )
    if not is_known:
        raise NotFoundError(f"migration {request.migration_id} knows no record {request.source_key}: it was not read, or the key is misspelt")
    return Mentions(frozenset({request.source_key}))


async def erase(transaction: Transaction, request: Erase, subject: Mentions) -> ErasedCount:
    """Erase, and write down that it was done; what was erased before changes nothing.

    Raises:
        PreconditionError: RUN_ACTIVE, or WRONG_STATE: a migration that is not closed is erased record by record, and keeps what a rollback restores.
    """
    migration = await require_migration(transaction, request.migration_id)
    run = await transaction.latest_run(request.migration_id)
    if run is not None and run.state is RunState.RUNNING:
        raise PreconditionError(
            f"a run ({run.kind}) is going and would write anew what is erased: wait for its end", reason="RUN_ACTIVE", metadata={"run_kind": run.kind}
        )
    if request.is_everything and migration.state not in _CLOSED:
        raise PreconditionError(
            "everything is erased only after the migration was completed or rolled back; before, erase single records",
            metadata={"state": str(migration.state), "allowed": "completed, rolled_back"},
        )
    if request.is_everything:
        erased = await transaction.erase_payloads(request.migration_id, with_images=request.with_images)
    else:
        if request.with_images and migration.state not in _CLOSED:
            await _check_nothing_to_restore(transaction, request, subject.source_keys)
        erased = await transaction.erase_records(request.migration_id, subject.source_keys, with_images=request.with_images)
        erased.payload_count += await transaction.erase_events(request.migration_id, subject.event_sequences)
        erased.row_count = await _erase_rows(transaction, request.migration_id, subject.source_keys)
        await _erase_matches(transaction, request.migration_id, subject.source_keys)
    # Candidates are people's own records of Pipedrive, too.
    await transaction.forget_match_index(request.migration_id)
    if not erased.is_nothing:
        await transaction.append_events(request.migration_id, _events(request, erased))
    return erased


async def _check_nothing_to_restore(transaction: Transaction, request: Erase, source_keys: Collection[str]) -> None:
    kept: list[str] = []
    for source_key in sorted(source_keys):
        records = await transaction.list_records_of_source(request.migration_id, *split_source_key(source_key, "key"))
        kept += [record.key for record in records if record.is_preexisting and record.pre_image]
    if kept:
        names = ", ".join(kept[:_NAMED_IN_ANSWER])
        raise PreconditionError(
            f"stood in Pipedrive before, and a rollback restores it: {names}; complete the migration or roll back first, or leave rollback data out",
            metadata={"keys": names},
        )


async def _erase_matches(transaction: Transaction, migration_id: str, source_keys: Collection[str]) -> None:
    """Erase with whom records were compared; with which one they were matched stays, because updates go by it."""
    for source_key in source_keys:
        entity, _, source_id = source_key.partition("/")
        records = await transaction.list_records_of_source(migration_id, entity, source_id)
        await transaction.save_records(
            [replace(record, match=replace(match, candidates=()).to_json()) for record in records if (match := Match.of(record.match)) is not None]
        )


async def _erase_rows(transaction: Transaction, migration_id: str, source_keys: Collection[str]) -> int:
    """Erase the rows of the diff and of the last reconciliation that show a record."""
    migration = await require_migration(transaction, migration_id)
    count = 0
    for kind in (ReportKind.DIFF, ReportKind.RECONCILIATION):
        after, positions = 0, list[int]()
        while rows := await transaction.list_report_rows(migration_id, kind, after=after, limit=_ROWS):
            contents = [content for _, content in rows]
            origins = _diff_origins(contents) if kind is ReportKind.DIFF else await _mismatch_origins(transaction, migration, contents)
            positions += [position for (position, _), possible in zip(rows, origins, strict=True) if not possible.isdisjoint(source_keys)]
            after = rows[-1][0]
        count += await transaction.erase_report_rows(migration_id, kind, positions)
    return count


def _diff_origins(contents: Sequence[bytes]) -> list[set[str]]:
    return [{pb.DiffRecord.FromString(content).source_key} for content in contents]


async def _mismatch_origins(reader: Reader, migration: Migration, contents: Sequence[bytes]) -> list[set[str]]:
    """Answer for each row the source keys it may be about; of a copy nobody knew, those its external id may name."""
    mismatches = [pb.Mismatch.FromString(content) for content in contents]
    known = await reader.get_records(migration.migration_id, {one.key for one in mismatches})
    keys = [one.key if one.key in known or one.kind != "unexpected" else carried_key(one.key, migration.source_account) for one in mismatches]
    found = await possible_origins(reader, migration.migration_id, set(keys))
    return [set(found[key]) for key in keys]


def _events(request: Erase, erased: ErasedCount) -> list[EventDraft]:
    facts = {"scope": request.scope, "reason": request.reason, "with_rollback_data": request.with_images}
    counts = {"payloads": erased.payload_count, "messages": erased.message_count, "rows": erased.row_count, "images": erased.image_count}
    if request.is_everything or not erased.source_keys:
        return [EventDraft(ERASED, request.actor, result="erased", payload=facts | counts)]
    return [EventDraft(ERASED, request.actor, source_key=source_key, result="erased", payload=facts) for source_key in erased.source_keys]
