"""Domain values to the messages of `MigrationService`, and options back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.phases import PHASES
from services.ledger import plan_days
from services.ledger.codec import to_timestamp
from services.ledger.domain import (
    EntityCount,
    ErasedCount,
    Event,
    Kept,
    Mapping,
    Migration,
    MigrationState,
    Options,
    PauseKind,
    PhaseProgress,
    Record,
    ReviewItem,
    Run,
    RunKind,
    RunResult,
    RunState,
    Scope,
    SourceIssue,
    TargetCount,
)
from services.ledger.review import resolutions_of
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import records_pb2
from transload.v1.transformer_service_pb2 import FindingSeverity, MappingFinding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.repair import Repair
    from services.ledger.runs.rollback_plan import RollbackPlan
    from transload.audit.heads import AuditHead

STATES = {state: pb.MigrationState.Value(f"MIGRATION_STATE_{state.name}") for state in MigrationState}
REPAIR_STEPS_MAX: Final = 1_000
RUN_KINDS = {kind: pb.RunKind.Value(f"RUN_KIND_{kind.name}") for kind in RunKind}
RUN_STATES = {state: pb.RunState.Value(f"RUN_STATE_{state.name}") for state in RunState}
PAUSE_KINDS = {kind: pb.PauseKind.Value(f"PAUSE_KIND_{'UNSPECIFIED' if kind is PauseKind.NONE else kind.name}") for kind in PauseKind}


def phase_to_proto(number: int) -> records_pb2.Phase.ValueType:
    """Write a phase; what the contract does not know becomes unspecified."""
    return records_pb2.Phase.ValueType(number) if number in PHASES else records_pb2.PHASE_UNSPECIFIED


def options_from_proto(options: pb.MigrationOptions) -> Options:
    """Read options."""
    return Options(
        includes_archived=options.includes_archived,
        includes_deleted=options.includes_deleted,
        file_bytes_max=options.file_bytes_max,
        large_file_bytes_max=options.large_file_bytes_max,
        source_account=options.source_account,
        connector_json=options.connector_json,
        mapping_overrides_yaml=options.mapping_overrides_yaml,
        conflict_policy=options.conflict_policy,
        requires_rehearsal=options.requires_rehearsal,
        requires_four_eyes=options.requires_four_eyes,
    )


def options_to_proto(options: Options) -> pb.MigrationOptions:
    """Write options."""
    return pb.MigrationOptions(
        includes_archived=options.includes_archived,
        includes_deleted=options.includes_deleted,
        file_bytes_max=options.file_bytes_max,
        large_file_bytes_max=options.large_file_bytes_max,
        source_account=options.source_account,
        connector_json=options.connector_json,
        mapping_overrides_yaml=options.mapping_overrides_yaml,
        conflict_policy=options.conflict_policy,
        requires_rehearsal=options.requires_rehearsal,
        requires_four_eyes=options.requires_four_eyes,
    )


def run_to_proto(run: Run, progress: PhaseProgress | None = None, results: Sequence[RunResult] = ()) -> pb.Run:
    """Write a run; with the progress of its open phase its counts are set."""
    return pb.Run(
        run_id=run.run_id,
        kind=RUN_KINDS[run.kind],
        state=RUN_STATES[run.state],
        phase=phase_to_proto(run.phase),
        activity=run.activity,
        start_time=to_timestamp(run.start_time),
        end_time=to_timestamp(run.end_time),
        reason=run.reason,
        message=run.message,
        done_count=progress.done_record_count if progress else 0,
        total_count=progress.record_count if progress else 0,
        token_count=run.token_count,
        planned_token_count=run.planned_token_count,
        results=[pb.RunResult(target_entity=result.target_entity, result=result.result, count=result.count) for result in results],
    )


def migration_to_proto(
    migration: Migration,
    *,
    run: Run | None = None,
    progress: PhaseProgress | None = None,
    results: Sequence[RunResult] = (),
    open_review_count: int = 0,
    kept_count: int = 0,
) -> pb.Migration:
    """Write a migration with its latest run."""
    return pb.Migration(
        migration_id=migration.migration_id,
        display_name=migration.display_name,
        state=STATES[migration.state],
        pause_kind=PAUSE_KINDS[migration.pause_kind],
        pause_message=migration.pause_message,
        resume_time=to_timestamp(migration.resume_time),
        connector=migration.connector,
        source_connection=migration.source_connection,
        target_connection=migration.target_connection,
        options=options_to_proto(migration.options),
        mapping_version=migration.mapping_version,
        mapping_digest=migration.mapping_digest,
        manifest_digest=migration.manifest_digest,
        approver=migration.approver,
        approve_time=to_timestamp(migration.approve_time),
        create_time=to_timestamp(migration.create_time),
        latest_run=run_to_proto(run, progress, results) if run else None,
        open_review_count=open_review_count,
        is_rehearsed=bool(migration.rehearsed_digest) and migration.rehearsed_digest == migration.approved_digest,
        kept_count=kept_count,
    )


def scope_from_proto(scope: pb.TakeBackScope) -> Scope:
    """Read what is taken back."""
    return Scope(target_entity=scope.target_entity, key=scope.key, is_sample=scope.is_sample, deletes_edited=scope.deletes_edited)


def kept_to_proto(kept: Kept) -> pb.KeptRecord:
    """Write something a rollback left in Pipedrive."""
    return pb.KeptRecord(
        key=kept.key,
        target_entity=kept.target_entity,
        target_id=kept.target_id,
        reason=kept.reason.value,
        fields=kept.fields,
        references=kept.references,
        message=kept.message,
        run_id=kept.run_id,
        keep_time=to_timestamp(kept.keep_time),
    )


def rollback_plan_to_proto(plan: RollbackPlan, *, load_token_count: int, quota: dict[str, Any]) -> pb.PlanRollbackResponse:
    """Write the plan of a rollback. Its days count the whole daily budget: a rollback may use every share that is kept back."""
    budget, pace = plan_days.budget_of(quota), plan_days.pace_of(quota)
    call_count = sum(step.delete_count + step.restore_count for step in plan.steps if step.token_count > step.read_token_count)
    return pb.PlanRollbackResponse(
        steps=[
            pb.RollbackStep(
                phase=phase_to_proto(step.phase),
                target_entity=step.target_entity,
                delete_count=step.delete_count,
                restore_count=step.restore_count,
                token_count=step.token_count,
                read_token_count=step.read_token_count,
            )
            for step in plan.steps
        ],
        token_count=plan.token_count,
        in_doubt_count=plan.in_doubt_count,
        load_token_count=load_token_count,
        day_count=plan_days.course_of_undo(plan_days.Stretch(plan.token_count, call_count), budget, pace).days if budget else 0,
        seconds_at_least=round(pace.seconds(call_count)),
        kept_count=plan.kept_count,
        outside_count=plan.outside_count,
    )


def findings_to_json(findings: list[MappingFinding]) -> str:
    """Keep what the linter said with the version of the mapping."""
    plain = [{"severity": FindingSeverity.Name(f.severity), "path": f.path, "message": f.message, "requirement": f.requirement} for f in findings]
    return orjson.dumps(plain).decode()


def findings_from_json(text: str) -> list[MappingFinding]:
    """Read `findings_to_json` back."""
    raw: list[dict[str, Any]] = orjson.loads(text or "[]")
    return [
        MappingFinding(severity=FindingSeverity.Value(f["severity"]), path=f["path"], message=f["message"], requirement=f["requirement"]) for f in raw
    ]


def mapping_to_proto(mapping: Mapping, *, is_confirmed: bool) -> pb.Mapping:
    """Write a version of the mapping."""
    return pb.Mapping(
        version=mapping.version,
        digest=mapping.digest,
        mapping_yaml=mapping.mapping_yaml,
        findings=findings_from_json(mapping.findings_json),
        is_confirmed=is_confirmed,
        actor=mapping.actor,
        create_time=to_timestamp(mapping.create_time),
    )


def event_to_proto(event: Event) -> pb.Event:
    """Write an event."""
    return pb.Event(
        sequence=event.sequence,
        event_time=to_timestamp(event.event_time),
        kind=event.kind,
        actor=event.actor,
        key=event.key,
        source_key=event.source_key,
        target_id=event.target_id,
        result=event.result,
        payload_json=event.payload,
        payload_salt=event.salt,
        payload_digest=event.payload_digest,
        previous_hash=event.previous_hash,
        hash=event.hash,
    )


def audit_head_to_proto(head: AuditHead) -> pb.AuditHead:
    """Write a signed head."""
    return pb.AuditHead(**head.as_data())


def review_item_to_proto(item: ReviewItem) -> pb.ReviewItem:
    """Write a review item with the resolutions it takes."""
    return pb.ReviewItem(
        review_item_id=item.review_item_id,
        reason=item.reason,
        message=item.message,
        source_key=item.source_key,
        key=item.key,
        is_blocking=item.is_blocking,
        resolutions=[resolution.value for resolution in resolutions_of(item)],
        resolution=item.resolution.value,
        actor=item.actor,
        create_time=to_timestamp(item.create_time),
        resolve_time=to_timestamp(item.resolve_time),
    )


def record_to_proto(record: Record) -> pb.RecordView:
    """Write a mapped record."""
    return pb.RecordView(
        key=record.key,
        source_key=record.source_key,
        target_entity=record.target_entity,
        phase=phase_to_proto(record.phase),
        state=record.state.value,
        target_id=record.target_id,
        reason=record.reason,
        message=record.message,
        image_json=record.image.encode(),
        pre_image_json=record.pre_image.encode(),
        update_time=to_timestamp(record.update_time),
    )


def issue_to_proto(issue: SourceIssue) -> pb.RecordView:
    """Write a source record that became nothing, as a record without target entity."""
    return pb.RecordView(
        source_key=issue.source_key,
        phase=phase_to_proto(issue.phase),
        state=issue.state.value,
        reason=issue.reason,
        message=issue.message,
        update_time=to_timestamp(issue.update_time),
    )


def entity_count_to_proto(count: EntityCount, *, is_reference_data: bool) -> pb.EntitySummary:
    """Write the sums of one source entity."""
    return pb.EntitySummary(
        source_entity=count.source_entity,
        extracted_count=count.extracted_count,
        loaded_count=count.loaded_count,
        matched_count=count.matched_count,
        skipped_count=count.skipped_count,
        rejected_count=count.rejected_count,
        waiting_count=count.waiting_count,
        pending_count=count.pending_count,
        is_reference_data=is_reference_data,
    )


def target_count_to_proto(count: TargetCount) -> pb.TargetSummary:
    """Write the sums of one target entity."""
    return pb.TargetSummary(
        target_entity=count.target_entity,
        expected_count=count.expected_count,
        loaded_count=count.loaded_count,
        matched_count=count.matched_count,
        skipped_count=count.skipped_count,
        rejected_count=count.rejected_count,
        waiting_count=count.waiting_count,
        undone_count=count.undone_count,
        pending_count=count.pending_count,
    )


def repair_to_proto(repairs: Sequence[Repair], run: Run | None) -> pb.RepairMismatchesResponse:
    """Answer what a repair does."""
    counts = Counter(str(repair.action) for repair in repairs)
    steps = [
        pb.RepairStep(key=one.key, target_id=one.target_id, action=one.action, fields=sorted(one.seen), message=one.message)
        for one in repairs[:REPAIR_STEPS_MAX]
    ]
    return pb.RepairMismatchesResponse(run=run_to_proto(run) if run else None, steps=steps, action_counts=counts)


def erased_to_proto(erased: ErasedCount) -> pb.ErasePayloadsResponse:
    """Answer what was erased."""
    return pb.ErasePayloadsResponse(
        source_keys=erased.source_keys,
        payload_count=erased.payload_count,
        message_count=erased.message_count,
        row_count=erased.row_count,
        image_count=erased.image_count,
        kept_image_count=erased.kept_image_count,
    )
