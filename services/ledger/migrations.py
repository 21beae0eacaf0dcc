"""What people ask of a migration, step by step. Each function is one decision in one transaction, with its event naming who asked."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import orjson

from services.common.errors import AccessDeniedError, InvalidRequestError, MappingError, NotFoundError, PreconditionError
from services.ledger.domain import (
    EventDraft,
    ExtractionState,
    Mapping,
    Migration,
    PauseKind,
    ReportKind,
    Run,
    RunKind,
    RunState,
)
from services.ledger.keeping import OURS
from services.ledger.runs.audit import with_new_mapping
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import after, unpaused
from services.ledger.states import Standing, Step, check, state_after_step

if TYPE_CHECKING:
    from collections.abc import Mapping as Mapping_
    from datetime import datetime

    from services.ledger.domain import Options
    from services.ledger.repository import Reader, Transaction

_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CONNECTION: Final = re.compile(r"[a-z0-9-]{1,63}")
_POLICIES: Final = frozenset({"", "ask", "source", "target"})
SAMPLE_SIZE_MAX: Final = 500
_ERROR: Final = "FINDING_SEVERITY_ERROR"
_CONFIRMED: Final = "mapping.confirmed"


async def require_migration(reader: Reader, migration_id: str) -> Migration:
    """Answer a migration.

    Raises:
        InvalidRequestError: No id was given.
        NotFoundError: MIGRATION_NOT_FOUND.
    """
    if not migration_id:
        raise InvalidRequestError("migration_id is required")
    migration = await reader.get_migration(migration_id)
    if migration is None:
        raise NotFoundError(f"there is no migration {migration_id!r}; list the migrations to see their ids", reason="MIGRATION_NOT_FOUND")
    return migration


async def standing_of(reader: Reader, migration: Migration) -> Standing:
    """Answer all that decides which step is allowed now."""
    run = await reader.latest_run(migration.migration_id)
    report = await reader.get_report(migration.migration_id, ReportKind.DIFF) if migration.diff_digest else None
    head = orjson.loads(report.content) if report else {}
    return Standing(
        state=migration.state,
        active_run=run.kind if run is not None and run.state is RunState.RUNNING else None,
        is_paused=migration.pause_kind is not PauseKind.NONE,
        mapping_digest=migration.mapping_digest,
        confirmed_digest=migration.confirmed_digest,
        diff_digest=migration.diff_digest,
        diff_mapping_digest=str(head.get("mapping_digest", "")),
        approved_diff_digest=migration.approved_digest,
        approved_mapping_digest=migration.mapping_digest if migration.approved_digest else "",
        has_loaded_records=bool(await reader.count_records_to_undo(migration.migration_id)),
        has_kept_records=bool(await reader.count_kept(migration.migration_id, OURS)),
        requires_rehearsal=migration.options.requires_rehearsal,
        rehearsed_digest=migration.rehearsed_digest,
    )


async def create(transaction: Transaction, migration: Migration, actor: str) -> Migration:
    """Create a migration; the same id with the same content again answers the first one.

    Raises:
        InvalidRequestError: A field breaks the contract, or the id is taken by a migration with other content.
    """
    _check_content(migration)
    known = await transaction.get_migration(migration.migration_id)
    if known is not None:
        if _content(known) != _content(migration):
            raise InvalidRequestError(f"migration_id: {migration.migration_id!r} is taken by a migration with other content; choose another id")
        return known
    await transaction.save_migration(migration)
    payload = {
        "connector": migration.connector,
        "source_connection": migration.source_connection,
        "target_connection": migration.target_connection,
    }
    await transaction.append_event(migration.migration_id, EventDraft(kind="migration.created", actor=actor, result="created", payload=payload))
    return migration


async def start_run(transaction: Transaction, migration_id: str, kind: RunKind, *, actor: str, now: datetime, asked: RunContext | None = None) -> Run:
    """Start a run; the coordinator takes it up after the commit.

    Args:
        transaction: The unit of work.
        migration_id: Whose run.
        kind: What it does.
        actor: Who asks.
        now: When.
        asked: What was asked for this run alone: the sample's size, policies, what a rollback takes, numbers the run's driver knows.

    Raises:
        PreconditionError: The state of the migration does not allow it.
    """
    migration = await require_migration(transaction, migration_id)
    asked = asked or RunContext()
    check(Step(kind.value), await standing_of(transaction, migration), scope=asked.scope)
    if kind is RunKind.ROLLBACK:
        await _cancel_active(transaction, migration, actor=actor, now=now)
    runs = await transaction.list_runs(migration_id)
    planned = await planned_for_run(transaction, migration_id, kind)
    run = Run(
        run_id=f"{migration_id}-{kind}-{len(runs) + 1}",
        migration_id=migration_id,
        kind=kind,
        start_time=after((known.start_time for known in runs), now),
        activity="starting",
        planned_token_count=planned,
        context_json=asked.to_json(),
    )
    await transaction.save_run(run)
    await transaction.save_migration(replace(migration, **unpaused()))
    payload: dict[str, object] = {
        "run_id": run.run_id,
        "mapping_digest": migration.mapping_digest,
        "sample_size": asked.sample_size,
        **await _cost_version(transaction, migration_id),
    }
    if asked.conflicts or asked.deletions:
        payload["policies"] = [*asked.conflicts, *asked.deletions]
    if kind is RunKind.ROLLBACK:
        payload["scope"] = asdict(asked.scope)
    await transaction.append_event(migration_id, EventDraft(kind="run.started", actor=actor, result=kind.value, payload=payload))
    return run


async def _cost_version(reader: Reader, migration_id: str) -> dict[str, str]:
    """Answer by which cost table the target's calls were counted when it was last looked at; nothing before that."""
    report = await reader.get_report(migration_id, ReportKind.TARGET)
    version = orjson.loads(report.content).get("quota", {}).get("cost_version") if report else None
    return {"cost_version": version} if version else {}


async def add_mapping(transaction: Transaction, mapping: Mapping, *, base_digest: str) -> Mapping:
    """Store a new version of the mapping; confirmation and approval go back. Its version is given here.

    Raises:
        PreconditionError: WRONG_STATE, RUN_ACTIVE, or DIGEST_MISMATCH when it was edited from another version than the latest.
    """
    migration = await require_migration(transaction, mapping.migration_id)
    standing = await standing_of(transaction, migration)
    check(Step.EDIT_MAPPING, standing)
    if base_digest and base_digest != migration.mapping_digest:
        raise PreconditionError(
            "the mapping changed since it was fetched; fetch the latest version, edit that one, and repeat",
            reason="DIGEST_MISMATCH",
            metadata={"given": base_digest, "in_force": migration.mapping_digest},
        )
    if mapping.digest == migration.mapping_digest:
        latest = await transaction.get_mapping(migration.migration_id)
        if latest is not None:
            return latest if latest.mapping_yaml == mapping.mapping_yaml else await _add_wording(transaction, migration, mapping)
    added = replace(mapping, version=migration.mapping_version + 1)
    await transaction.add_mapping(added)
    state = state_after_step(Step.EDIT_MAPPING, standing)
    await transaction.save_migration(replace(with_new_mapping(migration, added), state=state))
    payload = {"version": added.version, "mapping_digest": added.digest, "was_confirmed": standing.is_confirmed, "was_approved": standing.is_approved}
    await transaction.append_event(migration.migration_id, EventDraft(kind="mapping.edited", actor=mapping.actor, payload=payload))
    return added


async def _add_wording(transaction: Transaction, migration: Migration, mapping: Mapping) -> Mapping:
    """Store a version that maps every record as the one before: comments, or the policies of deltas. Confirmation and approval stay.

    Raises:
        MappingError: MAPPING_INVALID, the linter found errors. It is in force at once, so nobody would refuse it later.
    """
    _refuse_errors(mapping)
    added = replace(mapping, version=migration.mapping_version + 1)
    await transaction.add_mapping(added)
    await transaction.save_migration(replace(migration, mapping_version=added.version))
    payload = {"version": added.version, "mapping_digest": added.digest, "is_same_mapping": True}
    await transaction.append_event(migration.migration_id, EventDraft(kind="mapping.edited", actor=mapping.actor, payload=payload))
    return added


def _refuse_errors(mapping: Mapping | None) -> None:
    errors = [finding for finding in json.loads(mapping.findings_json if mapping else "[]") if finding["severity"] == _ERROR]
    if errors:
        first = errors[0]
        raise MappingError(
            f"the mapping has {len(errors)} error(s), the first at {first['path']}: {first['message']}. Edit the mapping, then confirm it",
            reason="MAPPING_INVALID",
            metadata={"error_count": str(len(errors)), "path": str(first["path"])},
        )


async def confirm_mapping(transaction: Transaction, migration_id: str, digest: str, *, actor: str) -> Migration:
    """Confirm exactly the mapping of this digest.

    Raises:
        PreconditionError: WRONG_STATE, RUN_ACTIVE, DIGEST_MISMATCH.
        MappingError: MAPPING_INVALID, the linter found errors.
    """
    _require_actor(actor)
    migration = await require_migration(transaction, migration_id)
    standing = await standing_of(transaction, migration)
    check(Step.CONFIRM_MAPPING, standing, digest=digest)
    _refuse_errors(await transaction.get_mapping(migration_id))
    confirmed = replace(migration, state=state_after_step(Step.CONFIRM_MAPPING, standing), confirmed_digest=digest)
    await transaction.save_migration(confirmed)
    payload = {"version": migration.mapping_version, "mapping_digest": digest}
    await transaction.append_event(migration_id, EventDraft(kind=_CONFIRMED, actor=actor, result="confirmed", payload=payload))
    return confirmed


async def approve(transaction: Transaction, migration_id: str, diff_digest: str, *, actor: str, now: datetime) -> Migration:
    """Approve the diff of this digest: the full load is unlocked.

    Raises:
        PreconditionError: WRONG_STATE, RUN_ACTIVE, MAPPING_NOT_CONFIRMED, DIGEST_MISMATCH.
        AccessDeniedError: FOUR_EYES, the migration wants somebody else than who confirmed the mapping.
    """
    _require_actor(actor)
    migration = await require_migration(transaction, migration_id)
    standing = await standing_of(transaction, migration)
    check(Step.APPROVE, standing, digest=diff_digest)
    if migration.options.requires_four_eyes:
        await _check_four_eyes(transaction, migration_id, actor)
    approved = replace(migration, state=state_after_step(Step.APPROVE, standing), approved_digest=diff_digest, approver=actor, approve_time=now)
    await transaction.save_migration(approved)
    payload = {"diff_digest": diff_digest, "mapping_digest": migration.mapping_digest}
    await transaction.append_event(migration_id, EventDraft(kind="diff.approved", actor=actor, result="approved", payload=payload))
    return approved


async def _check_four_eyes(reader: Reader, migration_id: str, actor: str) -> None:
    confirmed = await reader.last_event(migration_id, _CONFIRMED)
    if confirmed is None or confirmed.actor.strip().casefold() == actor.strip().casefold():
        raise AccessDeniedError(
            f"this migration wants four eyes: {actor} confirmed the mapping, so somebody else has to look at the diff and approve it",
            reason="FOUR_EYES",
            metadata={"rpc": "ApproveMigration"},
        )


async def pause(transaction: Transaction, migration_id: str, *, actor: str) -> Migration:
    """Take no more work until resumed. Pausing a paused migration makes it a person's pause.

    Raises:
        PreconditionError: WRONG_STATE, nothing is running.
    """
    migration = await require_migration(transaction, migration_id)
    check(Step.PAUSE, await standing_of(transaction, migration))
    if migration.pause_kind is PauseKind.USER:
        return migration
    who = actor or "a person"
    paused = replace(migration, pause_kind=PauseKind.USER, pause_reason="PAUSED", pause_message=f"paused by {who}; resume to go on", resume_time=None)
    await transaction.save_migration(paused)
    await transaction.append_event(migration_id, EventDraft(kind="migration.paused", actor=actor, result="user", payload={"reason": "PAUSED"}))
    return paused


async def resume(transaction: Transaction, migration_id: str, *, actor: str) -> Migration:
    """Go on after a pause, or after an error was seen to: what failed is tried again.

    Raises:
        PreconditionError: WRONG_STATE, it is not paused and nothing is running.
    """
    migration = await require_migration(transaction, migration_id)
    check(Step.RESUME, await standing_of(transaction, migration))
    run = await transaction.latest_run(migration_id)
    if run is not None and run.state is RunState.RUNNING and run.extraction_id:
        extraction = await transaction.get_extraction(run.extraction_id)
        if extraction is not None and extraction.state in {ExtractionState.FAILED, ExtractionState.NO_ACCESS, ExtractionState.WAITING}:
            again = replace(extraction, state=ExtractionState.RUNNING, reason="", message="", resume_time=None)
            await transaction.save_extraction(again)
    resumed = replace(migration, **unpaused())
    await transaction.save_migration(resumed)
    payload = {"was": migration.pause_kind.value, "reason": migration.pause_reason}
    await transaction.append_event(migration_id, EventDraft(kind="migration.resumed", actor=actor, result="running", payload=payload))
    return resumed


async def complete(transaction: Transaction, migration_id: str, *, actor: str) -> Migration:
    """Close a migration; rollback stays possible.

    Raises:
        PreconditionError: WRONG_STATE, RUN_ACTIVE.
    """
    _require_actor(actor)
    migration = await require_migration(transaction, migration_id)
    standing = await standing_of(transaction, migration)
    check(Step.COMPLETE, standing)
    completed = replace(migration, state=state_after_step(Step.COMPLETE, standing))
    await transaction.save_migration(completed)
    await transaction.forget_match_index(migration_id)  # nothing is created any more
    open_count = await transaction.count_open_review_items(migration_id)
    payload = {"open_review_count": open_count}
    await transaction.append_event(migration_id, EventDraft(kind="migration.completed", actor=actor, result="completed", payload=payload))
    return completed


async def planned_token_count(reader: Reader, migration_id: str) -> int:
    """Answer the tokens planned for sample and load together; 0 before the audit."""
    steps = await _planned_steps(reader, migration_id)
    return steps.get(RunKind.SAMPLE, 0) + steps.get(RunKind.LOAD, 0)


async def planned_for_run(reader: Reader, migration_id: str, kind: RunKind) -> int:
    """Answer the tokens planned for the runs of a kind; 0 where no plan applies. A rollback plans itself when it begins."""
    return 0 if kind is RunKind.ROLLBACK else (await _planned_steps(reader, migration_id)).get(kind, 0)


async def _planned_steps(reader: Reader, migration_id: str) -> Mapping_[str, int]:
    report = await reader.get_report(migration_id, ReportKind.LOAD_PLAN)
    return _steps(report.content) if report else {}


@lru_cache(maxsize=8)
def _steps(plan: bytes) -> Mapping_[str, int]:
    """Read the tokens of each step out of a plan: the same document is asked for with every look at a migration."""
    return {name: int(step.get("tokens", 0)) for name, step in orjson.loads(plan).get("steps", {}).items()}


async def _cancel_active(transaction: Transaction, migration: Migration, *, actor: str, now: datetime) -> None:
    """End the run that is going, because a rollback begins: its work is not wanted any more."""
    run = await transaction.latest_run(migration.migration_id)
    if run is None or run.state is not RunState.RUNNING:
        return
    message = "ended because a rollback began"
    await transaction.save_run(replace(run, state=RunState.CANCELLED, end_time=now, activity="", message=message, phase=0))
    payload = {"run_id": run.run_id, "run_kind": run.kind.value, "message": message}
    await transaction.append_event(migration.migration_id, EventDraft(kind="run.cancelled", actor=actor, result=run.kind.value, payload=payload))


def _check_content(migration: Migration) -> None:
    if not _ID.fullmatch(migration.migration_id):
        raise InvalidRequestError("migration_id: 1-63 characters of a-z, 0-9 and -, not beginning or ending with -")
    if not migration.connector:
        raise InvalidRequestError("connector is required, e.g. stel_order")
    for field, value in (("source_connection", migration.source_connection), ("target_connection", migration.target_connection)):
        if not _CONNECTION.fullmatch(value):
            raise InvalidRequestError(f"{field} is required: the name of a connection, of a-z, 0-9 and -")
    _check_options(migration.options)


def _check_options(options: Options) -> None:
    if options.conflict_policy not in _POLICIES:
        raise InvalidRequestError("options.conflict_policy: one of ask, source, target")
    if options.file_bytes_max < 0:
        raise InvalidRequestError("options.file_bytes_max: bytes, 0 for the default of 25 MB")
    if options.large_file_bytes_max < 0:
        raise InvalidRequestError("options.large_file_bytes_max: bytes, 0 to fetch no file above the limit")
    if "/" in options.source_account:
        raise InvalidRequestError("options.source_account: must not hold a slash, it is part of external ids")
    try:
        is_object = isinstance(orjson.loads(options.connector_json or "{}"), dict)
    except orjson.JSONDecodeError:
        is_object = False
    if not is_object:
        raise InvalidRequestError("options.connector_json: a JSON object")


def _content(migration: Migration) -> tuple[object, ...]:
    return (migration.display_name, migration.connector, migration.source_connection, migration.target_connection, migration.options)


def _require_actor(actor: str) -> None:
    if not actor:
        raise InvalidRequestError("actor is required: who decides stands in the audit trail")
