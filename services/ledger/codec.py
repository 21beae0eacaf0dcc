"""The contract's messages to the domain and back. Rules of the contract that need no storage are checked here."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from google.protobuf import duration_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.common.canonical import canonical_json
from services.common.errors import InvalidRequestError
from services.common.keys import RecordKey
from services.ledger.claims import Action, Decision
from services.ledger.domain import (
    Batch,
    ExtractionState,
    Issue,
    IssueKind,
    Match,
    MissingPolicy,
    Outcome,
    OutcomeResult,
    Page,
    Reference,
    RunKind,
    WantedRecord,
)
from transload.audit.chain import format_time
from transload.v1 import error_reason_pb2, ledger_service_pb2, records_pb2

BATCH_RECORDS_MAX: Final = 100
"""Records in one batch, by the contract."""

_MISSING: Final = {
    records_pb2.MISSING_POLICY_UNSPECIFIED: MissingPolicy.REVIEW,
    records_pb2.MISSING_POLICY_REVIEW: MissingPolicy.REVIEW,
    records_pb2.MISSING_POLICY_DROP: MissingPolicy.DROP,
    records_pb2.MISSING_POLICY_FALLBACK: MissingPolicy.FALLBACK,
}
_RESULTS: Final = {ledger_service_pb2.OutcomeResult.Value(f"OUTCOME_RESULT_{result.name}"): result for result in OutcomeResult}
_ISSUES: Final = {ledger_service_pb2.IssueKind.Value(f"ISSUE_KIND_{kind.name}"): kind for kind in IssueKind}
_EXTRACTION: Final = {ledger_service_pb2.ExtractionState.Value(f"EXTRACTION_STATE_{state.name}"): state for state in ExtractionState}
_ACTIONS: Final = {action: ledger_service_pb2.RecordAction.Value(f"RECORD_ACTION_{action.name}") for action in Action}
_CONFLICT_TEXTS: Final = ("field", "decision", "by")
_CONFLICT_KEYS: Final = frozenset({*_CONFLICT_TEXTS, "source", "target"})
_REASONS: Final = frozenset(name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys())  # noqa: SIM118 - an enum, not a dict


def to_duration(span: timedelta) -> duration_pb2.Duration:
    """Write a span of time."""
    duration = duration_pb2.Duration()
    duration.FromTimedelta(span)
    return duration


def to_timestamp(time: datetime | None) -> Timestamp | None:
    """Answer the message of a time; None stays unset."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time.astimezone(UTC).replace(tzinfo=None))
    return message


def from_timestamp(message: Any, field: str) -> datetime | None:
    """Answer the time in a message's field; None when it is not set."""
    return getattr(message, field).ToDatetime(tzinfo=UTC) if message.HasField(field) else None


def require(value: str, field: str) -> str:
    """Answer a required text.

    Raises:
        InvalidRequestError: it is empty.
    """
    if not value:
        raise InvalidRequestError(f"{field} is required")
    return value


def check_reason(reason: str, field: str) -> str:
    """Answer a reason that may be empty.

    Raises:
        InvalidRequestError: no `ErrorReason` has this name.
    """
    if reason and reason not in _REASONS:
        raise InvalidRequestError(f"{field}: {reason!r} is no ErrorReason name without prefix")
    return reason


def split_source_key(source_key: str, field: str) -> tuple[str, str]:
    """Take `{entity}/{id}` apart.

    Raises:
        InvalidRequestError: it is none.
    """
    entity, slash, source_id = source_key.partition("/")
    if not entity or not slash or not source_id:
        raise InvalidRequestError(f"{field}: {source_key!r} is not {{entity}}/{{id}}")
    return entity, source_id


def page_from(migration_id: str, page: records_pb2.Page, now: datetime) -> Page:
    """Answer the page a message describes; without a read time it was read now."""
    return Page(
        migration_id=migration_id,
        page_id=require(page.page_id, "page.page_id"),
        extraction_id=require(page.extraction_id, "page.extraction_id"),
        entity=require(page.entity, "page.entity"),
        page_number=page.page_number,
        digest=require(page.digest, "page.digest"),
        record_count=page.record_count,
        cursor=page.cursor,
        next_cursor=page.next_cursor,
        read_time=from_timestamp(page, "read_time") or now,
        sequence=page.sequence,
        trace_parent=page.trace_parent,
    )


def page_to(page: Page) -> records_pb2.Page:
    """Answer the message of a page."""
    return records_pb2.Page(
        page_id=page.page_id,
        extraction_id=page.extraction_id,
        entity=page.entity,
        page_number=page.page_number,
        digest=page.digest,
        record_count=page.record_count,
        cursor=page.cursor,
        next_cursor=page.next_cursor,
        read_time=to_timestamp(page.read_time),
        sequence=page.sequence,
        trace_parent=page.trace_parent,
    )


def extraction_state_from(state: ledger_service_pb2.ExtractionState.ValueType) -> ExtractionState:
    """Answer the state of an extraction; raises `InvalidRequestError` for an unset or unknown one."""
    if state not in _EXTRACTION:
        raise InvalidRequestError("state is required")
    return _EXTRACTION[state]


def batches_from(request: ledger_service_pb2.RecordTransformRequest) -> tuple[list[Batch], dict[str, WantedRecord]]:
    """Answer the batches to expect, and for each key the record it stands for."""
    announcement = request.announcement
    batches: list[Batch] = []
    records: dict[str, WantedRecord] = {}
    for batch in request.batches:
        if len(batch.keys) != len(batch.source_keys):
            raise InvalidRequestError(f"batch {batch.batch_id} has {len(batch.keys)} keys and {len(batch.source_keys)} source keys")
        if not 0 < len(batch.keys) <= BATCH_RECORDS_MAX:
            raise InvalidRequestError(f"batch {batch.batch_id} has {len(batch.keys)} records; 1 to {BATCH_RECORDS_MAX} are allowed")
        batches.append(
            Batch(
                batch_id=require(batch.batch_id, "batches.batch_id"),
                migration_id=announcement.migration_id,
                run_id=announcement.run_id,
                phase=announcement.phase,
                target_entity=batch.target_entity,
                keys=tuple(batch.keys),
                page_id=announcement.page.page_id,
            )
        )
        for key, source_key in zip(batch.keys, batch.source_keys, strict=True):
            entity, source_id = split_source_key(source_key, "batches.source_keys")
            records[key] = WantedRecord(key=key, target_entity=batch.target_entity, source_entity=entity, source_id=source_id)
    return batches, records


def issues_from(issues: Iterable[ledger_service_pb2.RecordIssue]) -> list[Issue]:
    """Answer the issues of a transformation."""
    found: list[Issue] = []
    for issue in issues:
        if issue.kind not in _ISSUES:
            raise InvalidRequestError("issues.kind is required")
        entity, source_id = split_source_key(issue.source_key, "issues.source_key")
        if issue.key:
            RecordKey.parse(issue.key)
        reason = check_reason(require(issue.reason, "issues.reason"), "issues.reason")
        found.append(Issue(_ISSUES[issue.kind], entity, source_id, issue.key, reason, words(issue.message)))
    return found


def wanted_from(record: records_pb2.MappedRecord) -> WantedRecord:
    """Answer the record a batch brings."""
    references = tuple(
        Reference(reference.key, _MISSING.get(reference.missing_policy, MissingPolicy.REVIEW), reference.fallback_key, reference.source_key)
        for reference in record.references
    )
    json_object(record.payload_json, "batch.records.payload_json")
    return WantedRecord(
        key=require(record.key, "batch.records.key"),
        target_entity=record.target_entity,
        source_entity=record.source_entity,
        source_id=record.source_id,
        payload_digest=record.payload_digest,
        references=references,
        content=record.SerializeToString(deterministic=True),
    )


def decision_to(decision: Decision, *, guards_edits: bool = False) -> ledger_service_pb2.RecordDecision:
    """Answer the message of a decision; images go along only where they are needed."""
    record = decision.record
    match = Match.of(record.match) if decision.action in {Action.MATCH, Action.UPDATE, Action.RESTORE} else None
    last = decision.last or record.image.encode()
    if match is not None and match.planned and decision.action is Action.RESTORE:
        # Whether it was written is not known: both what stood there and what was planned is ours.
        last = canonical_json({**orjson.loads(record.image or "{}"), **match.planned})
    needs_image = decision.action in {Action.UPDATE, Action.DELETE, Action.RESTORE}
    return ledger_service_pb2.RecordDecision(
        key=record.key,
        action=_ACTIONS[decision.action],
        target_id=record.target_id,
        last_image_json=last if needs_image else b"",
        pre_image_json=(decision.before or record.pre_image.encode()) if decision.action in {Action.UPDATE, Action.RESTORE} else b"",
        intent_time=to_timestamp(record.intent_time) if decision.action is Action.IN_DOUBT else None,
        conflict_policy=decision.conflict_policy,
        parent_target_id=record.parent_target_id,
        asked_json=record.asked.encode() if needs_image else b"",
        asked_policy=decision.asked_policy,
        declined_json=record.declined.encode() if decision.action is Action.UPDATE else b"",
        guards_edits=guards_edits and decision.action is Action.DELETE,
        load_time=to_timestamp(record.load_time) if decision.action is Action.UPDATE else None,
        lines_json=decision.lines.encode(),
        same_target=[
            ledger_service_pb2.SameTarget(last_image_json=other.image.encode(), pre_image_json=other.pre_image.encode())
            for other in decision.same_target
        ],
        match_policy=match.policy if match is not None and (record.is_preexisting or decision.action is Action.MATCH) else "",
    )


def call_from(call: ledger_service_pb2.TargetCall) -> dict[str, Any]:
    """Answer a call to Pipedrive as it stands in an event's payload."""
    told: dict[str, Any] = {"method": call.method, "path": call.path, "status": call.status, "token_count": call.token_count}
    if call.correlation_id:
        told["correlation_id"] = call.correlation_id
    if (sent := from_timestamp(call, "send_time")) is not None:
        told["send_time"] = format_time(sent)
    return told


def outcome_from(outcome: ledger_service_pb2.RecordOutcome) -> Outcome:
    """Answer what became of a record."""
    if outcome.result not in _RESULTS:
        raise InvalidRequestError("outcomes.result is required")
    result = _RESULTS[outcome.result]
    if result in {OutcomeResult.CREATED, OutcomeResult.MATCHED, OutcomeResult.NOTED} and not outcome.target_id:
        raise InvalidRequestError(f"outcomes.target_id is required for {outcome.key}: it is {result}")
    reason = check_reason(outcome.reason, "outcomes.reason")
    if result in {OutcomeResult.REJECTED, OutcomeResult.WAITING}:
        require(reason, "outcomes.reason")
    return Outcome(
        key=require(outcome.key, "outcomes.key"),
        result=result,
        target_id=outcome.target_id,
        parent_target_id=outcome.parent_target_id,
        image=json_object(outcome.image_json, "outcomes.image_json"),
        pre_image=json_object(outcome.pre_image_json, "outcomes.pre_image_json"),
        payload_digest=outcome.payload_digest,
        reason=reason,
        message=words(outcome.message),
        flag_reason=check_reason(outcome.flag_reason, "outcomes.flag_reason"),
        edited_fields=tuple(map(words, outcome.edited_fields)),
        stuck_fields=tuple(outcome.stuck_fields),
        calls=tuple(call_from(call) for call in outcome.calls),
        token_count=sum(call.token_count for call in outcome.calls),
        conflicts=_conflicts(outcome.conflicts_json),
        asked=json_object(outcome.asked_json, "outcomes.asked_json"),
        declined=json_object(outcome.declined_json, "outcomes.declined_json"),
        is_partly_done=outcome.is_partly_done,
        planned=json_object(outcome.planned_json, "outcomes.planned_json"),
    )


def json_object(raw: bytes, field: str) -> str:
    """Answer the text of a JSON object that may be empty.

    Raises:
        InvalidRequestError: it is something else.
    """
    if raw and not isinstance(_json(raw, field), dict):
        raise InvalidRequestError(f"{field}: must be a JSON object")
    return raw.decode()


def _conflicts(raw: bytes) -> tuple[dict[str, Any], ...]:
    field = "outcomes.conflicts_json"
    found = _json(raw, field) if raw else []
    if not isinstance(found, list) or not all(isinstance(one, dict) and one.keys() >= _CONFLICT_KEYS for one in found):
        raise InvalidRequestError(f"{field}: must be a list of objects with {', '.join(sorted(_CONFLICT_KEYS))}")
    if not all(isinstance(one[key], str) for one in found for key in _CONFLICT_TEXTS):
        raise InvalidRequestError(f"{field}: {', '.join(_CONFLICT_TEXTS)} must be texts")
    return tuple(found)


def _json(raw: bytes, field: str) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        # Images may hold half a surrogate pair as an escape, which orjson does not read.
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"{field}: is not JSON") from None


def words(message: str) -> str:
    """Answer a message without the NUL characters PostgreSQL cannot hold; hostile values are quoted in messages."""
    return message.replace("\0", "\N{REPLACEMENT CHARACTER}")


def run_kind_to(kind: RunKind) -> str:
    """Answer the word for a kind of run that the quota's priorities are chosen by."""
    return str(kind)
