"""Contract messages to the loader's own words and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.canonical import canonical_json
from services.common.errors import InvalidRequestError
from services.common.secrecy import masked
from services.loader.canonical import image_bytes
from services.loader.merge import Policy
from services.loader.work import Action, Batch, Manifest, Referred, Result, Work
from transload.v1 import ledger_service_pb2

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from services.loader.pipedrive.client import CallContext, CallRecord, PipedriveClient
    from services.loader.work import Move, Outcome
    from transload.v1.records_pb2 import MappedBatch, MappedRecord

_REFERENCE: Final = "$ref"
_TEXT: Final = "$text"
_EXTERNAL_ID: Final = ".transload_id"
_FALLBACK_KEY: Final = "user:schema/fallback"
# Looked up for every record; writing and reading names of enums each time takes longer than the rest of the record.
_ACTIONS: Final = {value: Action(name.removeprefix("RECORD_ACTION_")) for name, value in ledger_service_pb2.RecordAction.items() if value}
_RESULTS: Final = {result: ledger_service_pb2.OutcomeResult.Value(f"OUTCOME_RESULT_{result.value}") for result in Result}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


class _Dropped:
    """Marks a reference that is left out."""


_DROPPED: Final = _Dropped()


def batch_from_proto(
    message: MappedBatch, response: ledger_service_pb2.BeginBatchResponse, *, client: PipedriveClient, context: CallContext, started: float
) -> Batch:
    """Joins a batch with the ledger's decisions. `context` carries priority and claim.

    Raises:
        InvalidRequestError: decisions and records do not match.
    """
    if [decision.key for decision in response.decisions] != [record.key for record in message.records]:
        raise InvalidRequestError("the ledger's decisions do not match the records of the batch")
    dropped = frozenset(response.dropped_references)
    field_policies = dict(response.field_policies)
    works = [
        _work(record, decision, response.reference_ids, dropped, context=context, field_policies=field_policies)
        for record, decision in zip(message.records, response.decisions, strict=True)
    ]
    return Batch(
        migration_id=message.migration_id,
        target_entity=message.target_entity,
        manifest_digest=message.manifest_digest,
        is_undo=message.is_undo,
        works=works,
        client=client,
        shared=context,
        started=started,
        reference_ids=dict(response.reference_ids),
        referred={
            key: Referred(one.target_entity, one.target_id, one.load_time.ToDatetime(UTC) if one.HasField("load_time") else None)
            for key, one in response.referred.items()
        },
        deletes_edited=response.deletes_edited,
        look_age=response.look_age.ToTimedelta().total_seconds() if response.HasField("look_age") else None,
    )


def _work(
    record: MappedRecord,
    decision: ledger_service_pb2.RecordDecision,
    reference_ids: Mapping[str, str],
    dropped: Collection[str],
    *,
    context: CallContext,
    field_policies: Mapping[str, str],
) -> Work:
    payload = orjson.loads(record.payload_json) if record.payload_json else None
    missing: list[str] = []
    if payload is not None and record.references:
        payload = resolve(payload, reference_ids, dropped, missing)
    return Work(
        key=record.key,
        action=_ACTIONS[decision.action],
        payload=payload,
        payload_digest=record.payload_digest,
        context=context.for_record(record.key),
        target_id=decision.target_id,
        last_image=orjson.loads(decision.last_image_json) if decision.last_image_json else {},
        pre_image=orjson.loads(decision.pre_image_json) if decision.pre_image_json else {},
        same_target=tuple((orjson.loads(one.last_image_json or b"{}"), orjson.loads(one.pre_image_json)) for one in decision.same_target),
        intent_time=decision.intent_time.ToDatetime(UTC) if decision.HasField("intent_time") else None,
        policy=Policy(
            default=decision.conflict_policy,
            fields=field_policies,
            asked=orjson.loads(decision.asked_json) if decision.asked_json else {},
            decision=decision.asked_policy,
            matched=decision.match_policy,
        ),
        declined=orjson.loads(decision.declined_json) if decision.declined_json else {},
        match_policy=decision.match_policy,
        guards_edits=decision.guards_edits,
        load_time=decision.load_time.ToDatetime(UTC) if decision.HasField("load_time") else None,
        parent_target_id=decision.parent_target_id,
        group=record.group,
        missing=tuple(missing),
        lines=orjson.loads(decision.lines_json) if decision.lines_json else None,
    )


def resolve(value: Any, reference_ids: Mapping[str, str], dropped: Collection[str], missing: list[str]) -> Any:
    """Answers `value` with every `{"$ref": key}` replaced by the target id; keys that have none are added to `missing`.

    A dropped reference takes its field with it, and in a list the whole entry it stands in. `{"$text": [...]}` is a text with references in it.
    """
    found = _resolve(value, reference_ids, dropped, missing)
    return None if found is _DROPPED else found


def _resolve(value: Any, reference_ids: Mapping[str, str], dropped: Collection[str], missing: list[str]) -> Any:
    if isinstance(value, dict):
        key = value.get(_REFERENCE)
        if isinstance(key, str) and len(value) == 1:
            return _target(key, reference_ids, dropped, missing)
        parts = value.get(_TEXT)
        if isinstance(parts, list) and len(value) == 1:
            return "".join(str(found) for part in parts if (found := _resolve(part, reference_ids, dropped, missing)) is not _DROPPED)
        fields = {name: _resolve(part, reference_ids, dropped, missing) for name, part in value.items()}
        return {name: part for name, part in fields.items() if part is not _DROPPED}
    if isinstance(value, list):
        entries = [(_resolve(entry, reference_ids, dropped, missing), entry) for entry in value]
        return [found for found, entry in entries if found is not _DROPPED and not _lost_a_reference(found, entry)]
    return value


def _lost_a_reference(found: Any, entry: Any) -> bool:
    return isinstance(entry, dict) and len(found) < len(entry)


def _target(key: str, reference_ids: Mapping[str, str], dropped: Collection[str], missing: list[str]) -> Any:
    target_id = reference_ids.get(key)
    if target_id:
        return int(target_id) if target_id.isdecimal() else target_id
    if key not in dropped:
        missing.append(key)
    return _DROPPED


def outcome_to_proto(work: Work, outcome: Outcome) -> ledger_service_pb2.RecordOutcome:
    """Writes what became of a record."""
    return ledger_service_pb2.RecordOutcome(
        key=work.key,
        result=_RESULTS[outcome.result],
        target_id=outcome.target_id,
        image_json=b"" if outcome.image is None else image_bytes(outcome.image),
        pre_image_json=b"" if outcome.pre_image is None else image_bytes(dict(outcome.pre_image)),
        reason=outcome.reason,
        message=masked(outcome.message),
        calls=calls_to_proto(work.context.log),
        payload_digest=work.payload_digest,
        parent_target_id=outcome.parent_target_id,
        flag_reason=outcome.flag_reason,
        conflicts_json=_conflicts_json(outcome) if outcome.conflicts else b"",
        asked_json=canonical_json(dict(outcome.asked)) if outcome.asked else b"",
        declined_json=canonical_json(dict(outcome.declined)) if outcome.declined else b"",
        is_partly_done=outcome.is_partly_done,
        planned_json=canonical_json(dict(outcome.planned)) if outcome.planned else b"",
        edited_fields=outcome.edited_fields,
        stuck_fields=outcome.stuck_fields,
    )


def _conflicts_json(outcome: Outcome) -> bytes:
    told = [{"field": one.name, "decision": one.word, "by": one.by, "source": one.source, "target": one.target} for one in outcome.conflicts]
    return canonical_json(told)


def move_to_proto(move: Move) -> ledger_service_pb2.TargetMove:
    """Writes a merge that was found out."""
    return ledger_service_pb2.TargetMove(
        target_entity=move.target_entity, from_target_id=move.from_target_id, to_target_id=move.to_target_id, evidence=move.evidence
    )


def calls_to_proto(calls: Iterable[CallRecord]) -> list[ledger_service_pb2.TargetCall]:
    """Writes the calls made."""
    out = []
    for call in calls:
        message = ledger_service_pb2.TargetCall(
            method=call.method, path=call.path, status=call.status, token_count=call.token_count, correlation_id=call.correlation_id
        )
        since, rest = divmod(call.send_time - _EPOCH, _SECOND)
        message.send_time.seconds, message.send_time.nanos = since, rest.microseconds * 1000
        out.append(message)
    return out


def manifest_from_json(data: bytes) -> Manifest:
    """Keeps what the loader needs of a manifest."""
    content = orjson.loads(data) if data else {}
    bindings = content.get("bindings") or {}
    codes = {}
    for key, binding in bindings.items():
        name = key.removeprefix("custom_field:schema/")
        if name != key and name.endswith(_EXTERNAL_ID):
            codes[name.removesuffix(_EXTERNAL_ID)] = str(binding["target_id"])
    return Manifest(
        source_account=str(content.get("source_account") or ""),
        external_id_codes=codes,
        schema_before=_schema_before(content.get("target") or {}),
        fallback_user_id=str((bindings.get(_FALLBACK_KEY) or {}).get("target_id") or ""),
    )


def _schema_before(target: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    definitions = [definition for fields in (target.get("fields") or {}).values() for definition in fields]
    options = [option for definition in definitions for option in definition.get("options") or []]
    return {
        "custom_field": frozenset(str(definition["field_code"]) for definition in definitions),
        "field_option": frozenset(str(option["id"]) for option in options),
        "pipeline": frozenset(str(record["id"]) for record in target.get("pipelines") or []),
        "stage": frozenset(str(record["id"]) for record in target.get("stages") or []),
        "activity_type": frozenset(str(record["id"]) for record in target.get("activity_types") or []),
    }
