"""A whole installation in one process: the real ledger on SQLite, and fakes for source, workers and Pipedrive that fail on request.

The fake workers speak to the real `LedgerServicer` as the real ones do: announcements are mapped, batches begun and settled. Nothing but the
database and `FakePipedrive` outlives `World.restart`.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from services.common.canonical import canonical_json, digest
from services.common.edits import edited_fields
from services.common.errors import (
    ClaimHeldError,
    NotFoundError,
    PausedError,
    PreconditionError,
    TargetRejectedError,
    TransloadError,
    UnavailableError,
)
from services.common.phases import TARGET_PHASES
from services.ledger.bootstrap import drivers
from services.ledger.codec import to_timestamp
from services.ledger.coordinator import Coordinator, Timing
from services.ledger.domain import Migration, RunKind
from services.ledger.ledger_servicer import LedgerServicer
from services.ledger.migration_servicer import MigrationServicer
from services.ledger.runs.driver import Tools
from services.ledger.sql.ledger import SqlLedger
from transload.audit.heads import Signer
from transload.v1 import extractor_service_pb2 as extractor_pb
from transload.v1 import ledger_service_pb2 as ledger_pb
from transload.v1 import loader_service_pb2 as loader_pb
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import quota_service_pb2 as quota_pb
from transload.v1 import records_pb2
from transload.v1 import transformer_service_pb2 as transformer_pb
from transload.v1.ledger_service_pb2 import ExtractionState, RecordAction
from transload.v1.records_pb2 import MappedBatch, MappedRecord, PageAnnouncement, Phase

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from services.ledger.repository import Transaction
    from tests.fakes.clock import FakeClock

M = "acme"
CONTEXT: Any = None
ACTOR = "ana"
MAPPING = "version: 1\n"
RECORDS_PER_PAGE = 2

ENTITIES = ("employee", "tax_line", "client", "product", "sales_order", "incident")
REFERENCE_DATA = frozenset({"tax_line"})
PHASES_OF: dict[str, tuple[int, ...]] = {
    "employee": (Phase.PHASE_USERS,),
    "client": (Phase.PHASE_ORGANIZATIONS, Phase.PHASE_PERSONS, Phase.PHASE_NOTES),
    "product": (Phase.PHASE_PRODUCTS,),
    "sales_order": (Phase.PHASE_DEALS, Phase.PHASE_LINE_ITEMS, Phase.PHASE_LATE_LINKS),
}
SOURCE: dict[str, dict[str, dict[str, Any]]] = {
    "employee": {"1": {"email": "ana@example.com"}, "2": {"email": "gone@example.com"}},
    "tax_line": {"1": {"rate": 21}},
    "client": {str(n): {"name": f"Client {n}"} for n in range(1, 6)},
    "product": {"1": {"name": "Pump"}, "2": {"name": "Valve"}},
    "sales_order": {str(n): {"client": str(n), "amount": 10 * n} for n in range(1, 4)} | {"9": {"client": "404", "amount": 9}},
    "incident": {"1": {"text": "leak"}},
}


class CrashError(BaseException):
    """The process died here."""


@dataclass(slots=True)
class Fuse:
    """Kills the process at the n-th point; 0: never."""

    at: int = 0
    points: int = 0

    def point(self) -> None:
        self.points += 1
        if self.at and self.points == self.at:
            raise CrashError


@dataclass(slots=True)
class FakePipedrive:
    """What stands in the target: (entity, id) -> image."""

    records: dict[tuple[str, str], dict[str, Any]] = field(default_factory=lambda: {("user", "7"): {"email": "ana@example.com"}})
    creations: Counter[str] = field(default_factory=Counter)
    next_id: int = 100
    refused_keys: set[str] = field(default_factory=set)
    refused_on_create: set[str] = field(default_factory=set)
    bytes: dict[str, str] = field(default_factory=dict)
    """Digests of files' bytes by id."""

    def create(self, key: str, entity: str, image: dict[str, Any]) -> str:
        self.next_id += 1
        self.creations[key] += 1
        self.records[entity, str(self.next_id)] = image | (
            {"id": self.next_id, "entity": "deal", "field_code": str(self.next_id)} if entity == "custom_field" else {}
        )
        return str(self.next_id)

    def find(self, entity: str, image: dict[str, Any]) -> str:
        """In-doubt resolution: the record with our external id, if it is there."""
        return next((i for (e, i), held in self.records.items() if e == entity and held.get("transload_id") == image.get("transload_id")), "")


class FakeExtractor:
    """Reads `SOURCE` in pages of two; forgets everything with the process."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.running: dict[str, extractor_pb.ExtractionSpec] = {}

    async def check_source(self, connector: str, connection: str) -> None:
        del connector, connection
        await self.world.port("extractor")

    async def describe_source(self, connector: str) -> list[extractor_pb.SourceEntity]:
        del connector
        return [extractor_pb.SourceEntity(name=name, source_name=name, is_reference_data=name in REFERENCE_DATA) for name in ENTITIES]

    async def start_extraction(self, spec: extractor_pb.ExtractionSpec) -> None:
        await self.world.port("extractor")
        self.running.setdefault(spec.extraction_id, spec)

    async def get_extraction(self, extraction_id: str) -> extractor_pb.GetExtractionResponse | None:
        await self.world.port("extractor")
        return extractor_pb.GetExtractionResponse(entity="client") if extraction_id in self.running else None

    async def cancel_extraction(self, extraction_id: str) -> None:
        self.running.pop(extraction_id, None)

    async def work(self) -> None:
        for extraction_id, spec in list(self.running.items()):
            if self.world.extraction_failure is not None:
                await self._report(extraction_id, "", *self.world.extraction_failure)
                del self.running[extraction_id]
                continue
            checkpoints = await self.world.workers.ListCheckpoints(ledger_pb.ListCheckpointsRequest(extraction_id=extraction_id), CONTEXT)
            done = {checkpoint.entity: checkpoint for checkpoint in checkpoints.checkpoints}
            for entity in ENTITIES:
                if spec.entities and entity not in spec.entities:
                    continue
                if entity in self.world.malformed:
                    await self._report(extraction_id, entity, ExtractionState.EXTRACTION_STATE_FAILED, "SOURCE_MALFORMED", "broken JSON at start=0")
                    continue
                await self._read(spec, entity, done.get(entity))
            await self._report(extraction_id, "", ExtractionState.EXTRACTION_STATE_DONE, "", "")
            del self.running[extraction_id]

    async def _read(self, spec: extractor_pb.ExtractionSpec, entity: str, checkpoint: ledger_pb.Checkpoint | None) -> None:
        if checkpoint is not None and checkpoint.is_final:
            return
        records = self.world.changed(entity) if spec.HasField("changed_since") else self.world.source[entity]
        ids = list(records)
        first = checkpoint.next_page_number if checkpoint else 0
        for number in range(first, max(1, -(-len(ids) // RECORDS_PER_PAGE))):
            part = ids[number * RECORDS_PER_PAGE : (number + 1) * RECORDS_PER_PAGE]
            content = canonical_json([{"id": i, "data": records[i]} for i in part])
            self.world.staging[digest(content)] = content
            is_last = (number + 1) * RECORDS_PER_PAGE >= len(ids)
            page = records_pb2.Page(
                page_id=f"{spec.extraction_id}/{entity}/{number}",
                extraction_id=spec.extraction_id,
                entity=entity,
                page_number=number,
                digest=digest(content),
                record_count=len(part),
                cursor=str(number) if number else "",
                next_cursor="" if is_last else str(number + 1),
                read_time=to_timestamp(self.world.clock.now()),
            )
            await self.world.workers.RecordPage(ledger_pb.RecordPageRequest(migration_id=M, page=page, source_ids=part), CONTEXT)
        await self._report(spec.extraction_id, entity, ExtractionState.EXTRACTION_STATE_DONE, "", "")

    async def _report(self, extraction_id: str, entity: str, state: ExtractionState.ValueType, reason: str, message: str) -> None:
        request = ledger_pb.ReportExtractionRequest(extraction_id=extraction_id, entity=entity, state=state, reason=reason, message=message)
        await self.world.workers.ReportExtraction(request, CONTEXT)


class FakeTransformer:
    """Maps clients to organizations, persons and notes, orders to deals with a line and a value."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def propose_mapping(self, snapshot: Any, target_json: bytes, overrides_yaml: str) -> transformer_pb.ProposeMappingResponse:
        del snapshot, target_json
        await self.world.port("transformer")
        yaml = overrides_yaml or MAPPING
        return transformer_pb.ProposeMappingResponse(mapping_yaml=yaml, mapping_digest=digest(yaml.encode()))

    async def validate_mapping(self, mapping_yaml: str, snapshot: Any, target_json: bytes) -> transformer_pb.ValidateMappingResponse:
        del snapshot, target_json
        findings = []
        if "error" in mapping_yaml:
            severity = transformer_pb.FINDING_SEVERITY_ERROR
            findings.append(transformer_pb.MappingFinding(severity=severity, path="entities.client", message="wrong", requirement="L-03"))
        broken = mapping_yaml.startswith("broken")
        return transformer_pb.ValidateMappingResponse(findings=findings, mapping_digest="" if broken else digest(mapping_yaml.encode()))

    async def compile_schema(
        self, mapping_yaml: str, *, conflicts: Sequence[str] = (), deletions: Sequence[str] = ()
    ) -> transformer_pb.CompileSchemaResponse:
        del mapping_yaml, conflicts, deletions
        await self.world.port("transformer")
        return transformer_pb.CompileSchemaResponse(
            records=[
                _mapped("user:schema/fallback", {"email": None}),
                _mapped("custom_field:schema/deal.number", {"entity": "deal", "field_name": "Number"}),
                _mapped("custom_field:schema/deal.transload_id", {"entity": "deal", "field_name": "Transload ID"}),
                _mapped("pipeline:schema/orders", {"name": "Orders"}),
                _mapped("stage:schema/orders.open", {"name": "Open", "pipeline_id": {"$ref": "pipeline:schema/orders"}}),
            ],
            dispositions=[
                transformer_pb.EntityDisposition(
                    entity=name,
                    phases=[Phase.ValueType(phase) for phase in PHASES_OF.get(name, ())],
                    skip_reason="" if name in PHASES_OF else "SKIPPED_REFERENCE_DATA" if name in REFERENCE_DATA else "SKIPPED_NOT_MAPPED",
                )
                for name in ENTITIES
            ],
            matching_json=canonical_json(self.world.matching) if self.world.matching else b"",
        )

    async def profile_source(
        self, snapshot: Any, target_json: bytes, mapping_yaml: str, on_progress: Callable[[int], Awaitable[None]], *, connector_json: str = ""
    ) -> bytes:
        del snapshot, target_json, mapping_yaml
        await self.world.port("transformer")
        await on_progress(1)
        return b'{"load": {"token_count": 123}}'

    async def plan_tokens(
        self, snapshot: Any, mapping_yaml: str, target_json: bytes, sample_size: int, on_progress: Callable[[int], Awaitable[None]]
    ) -> bytes:
        del snapshot, target_json, sample_size
        await self.world.port("transformer")
        await on_progress(1)
        tokens = {"audit": 2, "schema": 40, "sample": 23, "load": 100, "reconcile": 9, "rollback": 60}
        steps = {name: {"tokens": count, "call_count": count, "records": 1} for name, count in tokens.items()}
        rows = [{"step": "load", "phase": "deals", "target_entity": "deal", "records": 3, "calls": {}, "call_count": 3, "tokens": 15}]
        plan = {"mapping_digest": digest(mapping_yaml.encode()), "steps": steps, "rows": rows, "custom_fields": 2, "open_deals": 3}
        return canonical_json(plan)

    async def describe_mapping(self, snapshot: Any, mapping_yaml: str, target_json: bytes) -> bytes:
        del snapshot, target_json
        await self.world.port("transformer")
        return canonical_json({"title": mapping_yaml, "sheets": []})

    async def revise_mapping(
        self, snapshot: Any, mapping_yaml: str, target_json: bytes, changes: Sequence[Any]
    ) -> transformer_pb.ReviseMappingResponse:
        del snapshot, target_json
        await self.world.port("transformer")
        revised = mapping_yaml + "".join(f"# {one.value}\n" for one in changes)
        revisions = [transformer_pb.MappingRevision(path=one.row, new_value=one.value) for one in changes]
        return transformer_pb.ReviseMappingResponse(revisions=revisions, mapping_yaml=revised, mapping_digest=digest(revised.encode()))

    async def select_sample(self, snapshot: Any, mapping_yaml: str, size: int) -> transformer_pb.SelectSampleResponse:
        del snapshot, mapping_yaml
        await self.world.port("transformer")
        keys = ["employee/1", "client/1", "product/1", "sales_order/1"][:size]
        self.world.selections["sample"] = set(keys)
        return transformer_pb.SelectSampleResponse(selection_digest="sample", record_count=len(keys), source_keys=keys, coverage=["every object"])

    async def preview_records(self, snapshot: Any, manifest_digest: str, source_keys: Sequence[str]) -> list[transformer_pb.PreviewedRecord]:
        del snapshot, manifest_digest
        await self.world.port("transformer")
        previews = []
        for source_key in source_keys:
            entity, _, source_id = source_key.partition("/")
            for phase in PHASES_OF.get(entity, ()):
                for record in self.world.map_record(entity, source_id, phase):
                    fields = [
                        transformer_pb.FieldLineage(target_field=name, label=name, source_path=name, mapped_value_json=canonical_json(value))
                        for name, value in json.loads(record.payload_json).items()
                        if not isinstance(value, dict)
                    ]
                    previews.append(
                        transformer_pb.PreviewedRecord(key=record.key, target_entity=record.target_entity, source_key=source_key, fields=fields)
                    )
        return previews

    async def export_reference(self, snapshot: Any, mapping_yaml: str) -> AsyncIterator[transformer_pb.ExportReferenceResponse]:
        del snapshot, mapping_yaml
        yield transformer_pb.ExportReferenceResponse(file_name="orders.csv", content=b"id\n")

    async def work(self, announcement: PageAnnouncement) -> list[MappedBatch]:
        """Map one page as the real worker does; answers the batches to publish."""
        page = json.loads(self.world.staging[announcement.page.digest])
        selection = self.world.selections.get(announcement.selection_digest)
        by_entity: dict[str, list[MappedRecord]] = {}
        for envelope in page:
            if selection is not None and f"{announcement.page.entity}/{envelope['id']}" not in selection:
                continue
            for record in self.world.map_record(announcement.page.entity, envelope["id"], announcement.phase, envelope["data"]):
                by_entity.setdefault(record.target_entity, []).append(record)
        batches = [
            MappedBatch(
                batch_id=f"{announcement.run_id}/{announcement.page.page_id}/{announcement.phase}/{entity}/0",
                migration_id=M,
                run_id=announcement.run_id,
                phase=announcement.phase,
                target_entity=entity,
                manifest_digest=announcement.manifest_digest,
                records=records,
            )
            for entity, records in by_entity.items()
        ]
        request = ledger_pb.RecordTransformRequest(
            announcement=announcement,
            batches=[
                ledger_pb.ExpectedBatch(
                    batch_id=batch.batch_id,
                    target_entity=batch.target_entity,
                    keys=[record.key for record in batch.records],
                    source_keys=[f"{record.source_entity}/{record.source_id}" for record in batch.records],
                )
                for batch in batches
            ],
        )
        response = await self.world.workers.RecordTransform(request, CONTEXT)
        return batches if response.is_wanted else []


class FakeLoader:
    """Carries batches out on `FakePipedrive`."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def inspect_target(self, connection: str) -> loader_pb.InspectTargetResponse:
        del connection
        await self.world.port("loader")
        return loader_pb.InspectTargetResponse(target_json=b'{"company": {"name": "Acme"}}', token_count=20)

    async def get_quota(self, connection: str) -> quota_pb.GetQuotaResponse:
        del connection
        await self.world.port("loader")
        return quota_pb.GetQuotaResponse()

    async def read_back(
        self,
        connection: str,
        target_entity: str,
        *,
        target_ids: Sequence[str] = (),
        parent_ids: Sequence[str] = (),
        edited_since: datetime | None = None,
        is_newest_first: bool = False,
        is_rollback: bool = False,
    ) -> AsyncIterator[loader_pb.ReadBackResponse]:
        del connection, edited_since, is_newest_first, is_rollback
        await self.world.port("loader")
        if target_entity == "field":
            fields = [(target_id, image) for (entity, target_id), image in self.world.pipedrive.records.items() if entity == "custom_field"]
            records = [loader_pb.TargetRecord(target_id=target_id, image_json=canonical_json(image)) for target_id, image in fields]
            yield loader_pb.ReadBackResponse(records=records, token_count=40)
            return
        entity = "deal" if target_entity == "deal_value" else target_entity
        for (held_entity, target_id), image in sorted(self.world.pipedrive.records.items()):
            is_wanted = target_id in target_ids or str(image.get("deal_id")) in parent_ids or not (target_ids or parent_ids)
            if held_entity == entity and is_wanted:
                shown = {"value": image.get("value")} if target_entity == "deal_value" else image
                yield loader_pb.ReadBackResponse(
                    records=[loader_pb.TargetRecord(target_id=target_id, image_json=canonical_json(shown))], token_count=1
                )

    async def list_back(
        self,
        connection: str,
        target_entity: str,
        *,
        changed_since: datetime,
        page_token: str = "",
        first_target_id: str = "",
        is_archived: bool = False,
    ) -> AsyncGenerator[loader_pb.ReadBackResponse, None]:
        """List two records a page; a token is the id of the last record before."""
        del connection, first_target_id, is_archived
        self.world.since.append(changed_since)
        if page_token in self.world.refused_tokens:
            raise TargetRejectedError("cursor is not valid")
        ids = sorted(int(target_id) for entity, target_id in self.world.pipedrive.records if entity == target_entity)
        left = [target_id for target_id in ids if target_id > int(page_token or 0)]
        tokens = 0
        while True:
            await self.world.port("loader")
            page, left = left[:2], left[2:]
            self.world.listed.append((target_entity, tuple(page)))
            tokens += 10
            records = [
                loader_pb.TargetRecord(target_id=str(number), image_json=canonical_json(self.world.pipedrive.records[target_entity, str(number)]))
                for number in page
            ]
            yield loader_pb.ReadBackResponse(records=records, token_count=tokens, next_page_token=str(page[-1]) if left else "")
            if not left:
                return

    async def digest_files(self, connection: str, target_ids: Sequence[str]) -> AsyncIterator[loader_pb.DigestFilesResponse]:
        """Nothing here has bytes."""
        del connection
        await self.world.port("loader")
        for target_id in target_ids:
            yield loader_pb.DigestFilesResponse(target_id=target_id, digest=self.world.pipedrive.bytes.get(target_id, ""), token_count=20)

    async def work(self, batch: MappedBatch) -> None:
        """Begin, act, settle; raises when the message must come back."""
        request = ledger_pb.BeginBatchRequest(batch=batch, holder=f"loader-1/{self.world.incarnation}", request_id=f"begin/{self.world.number()}")
        begun = await self.world.workers.BeginBatch(request, CONTEXT)
        wanted = {record.key: record for record in batch.records}
        outcomes = []
        is_held = False
        for decision in begun.decisions:
            self.world.fuse.point()
            outcome = self._act(decision, wanted[decision.key], begun)
            is_again = outcome is not None and outcome.result in {ledger_pb.OUTCOME_RESULT_NOTED, ledger_pb.OUTCOME_RESULT_GONE}
            is_held = is_held or is_again or decision.action == RecordAction.RECORD_ACTION_HELD
            if outcome is not None:
                outcomes.append(outcome)
        self.world.fuse.point()
        settle = ledger_pb.SettleBatchRequest(
            migration_id=M, run_id=batch.run_id, batch_id=batch.batch_id, holder=request.holder, outcomes=outcomes, request_id=request.request_id
        )
        await self.world.workers.SettleBatch(settle, CONTEXT)
        if is_held:
            raise ClaimHeldError("come back later")

    def _act(self, decision: ledger_pb.RecordDecision, record: MappedRecord, begun: ledger_pb.BeginBatchResponse) -> ledger_pb.RecordOutcome | None:
        pipedrive, entity = self.world.pipedrive, record.target_entity
        image = self._image(record, begun) if record.payload_json else {}
        outcome = ledger_pb.RecordOutcome(
            key=record.key, payload_digest=record.payload_digest, image_json=canonical_json(image), target_id=decision.target_id
        )
        outcome.calls.append(ledger_pb.TargetCall(method="POST", path=f"/{entity}", status=200, token_count=5))
        action = decision.action
        if action in {RecordAction.RECORD_ACTION_CREATE, RecordAction.RECORD_ACTION_IN_DOUBT, RecordAction.RECORD_ACTION_UPDATE}:
            if record.key in pipedrive.refused_keys:
                outcome.result, outcome.reason, outcome.message = ledger_pb.OUTCOME_RESULT_REJECTED, "TARGET_REJECTED", "no"
                return outcome
            return self._load(decision, record, image, outcome)
        if action == RecordAction.RECORD_ACTION_MATCH:
            return self._match(decision, image, outcome, entity)
        if action == RecordAction.RECORD_ACTION_DELETE:
            if record.key in pipedrive.refused_keys:
                outcome.result, outcome.reason, outcome.message = ledger_pb.OUTCOME_RESULT_REJECTED, "TARGET_FORBIDDEN", "no"
                return outcome
            held = pipedrive.records.get((entity, decision.target_id), {})
            if not begun.deletes_edited and held and (edited := edited_fields(entity, json.loads(decision.last_image_json or b"{}"), held)):
                outcome.result, outcome.reason, outcome.message = ledger_pb.OUTCOME_RESULT_KEPT, "KEPT_USER_EDIT", f"edited: {edited}"
                outcome.edited_fields.extend(edited)
                outcome.image_json = canonical_json(held)
                return outcome
            pipedrive.records.pop((entity, decision.target_id), None)
            if entity == "deal":
                for place in [place for place, held in pipedrive.records.items() if str(held.get("deal_id")) == decision.target_id]:
                    del pipedrive.records[place]
            outcome.result = ledger_pb.OUTCOME_RESULT_DELETED
            return outcome
        if action == RecordAction.RECORD_ACTION_RESTORE:
            return self._restore(decision, entity, outcome)
        return None

    def _match(
        self, decision: ledger_pb.RecordDecision, image: dict[str, Any], outcome: ledger_pb.RecordOutcome, entity: str
    ) -> ledger_pb.RecordOutcome:
        """Link it, or tell what will be filled in."""
        held = self.world.pipedrive.records.get((entity, decision.target_id))
        if held is None:
            outcome.result = ledger_pb.OUTCOME_RESULT_GONE
            return outcome
        empty = {name: value for name, value in image.items() if held.get(name) is None and decision.match_policy != "match"}
        outcome.result = ledger_pb.OUTCOME_RESULT_NOTED if empty else ledger_pb.OUTCOME_RESULT_MATCHED
        outcome.image_json = b"{}"
        if empty:
            outcome.pre_image_json, outcome.planned_json = canonical_json(dict.fromkeys(empty)), canonical_json(empty)
        return outcome

    def _restore(self, decision: ledger_pb.RecordDecision, entity: str, outcome: ledger_pb.RecordOutcome) -> ledger_pb.RecordOutcome:
        """Set fields back that still hold what was there last; others are kept and named."""
        held = self.world.pipedrive.records.get((entity, decision.target_id))
        before, last = json.loads(decision.pre_image_json), json.loads(decision.last_image_json)
        if held is None:
            outcome.result, outcome.message = ledger_pb.OUTCOME_RESULT_KEPT, "deleted in Pipedrive by somebody; nothing to restore"
            return outcome
        edited = [name for name, old in before.items() if held.get(name) not in (old, last.get(name))]
        held |= {name: old for name, old in before.items() if name not in edited}
        outcome.result = ledger_pb.OUTCOME_RESULT_KEPT if edited else ledger_pb.OUTCOME_RESULT_RESTORED
        outcome.message = f"edited by a person and kept: {', '.join(edited)}" if edited else ""
        return outcome

    def _load(
        self, decision: ledger_pb.RecordDecision, record: MappedRecord, image: dict[str, Any], outcome: ledger_pb.RecordOutcome
    ) -> ledger_pb.RecordOutcome:
        pipedrive, entity = self.world.pipedrive, record.target_entity
        if entity == "user":
            outcome.result = ledger_pb.OUTCOME_RESULT_MATCHED
            outcome.target_id = "7"
            if image.get("email") not in {None, "ana@example.com"}:
                outcome.result, outcome.target_id = ledger_pb.OUTCOME_RESULT_WAITING, ""
                outcome.reason, outcome.message = "OWNER_UNMATCHED", "no user has this e-mail"
            return outcome
        if entity == "deal_value":
            deal_id = image["deal_id"]
            pipedrive.records["deal", deal_id]["value"] = image["value"]
            outcome.result, outcome.target_id, outcome.parent_target_id = ledger_pb.OUTCOME_RESULT_CREATED, deal_id, deal_id
            outcome.image_json = canonical_json({"value": image["value"]})
            return outcome
        if decision.action == RecordAction.RECORD_ACTION_UPDATE and (entity, decision.target_id) not in pipedrive.records:
            outcome.result = ledger_pb.OUTCOME_RESULT_GONE  # by the policy that the source wins
            return outcome
        if decision.action == RecordAction.RECORD_ACTION_UPDATE and decision.match_policy:
            filled = {name: value for name, value in image.items() if name in json.loads(decision.pre_image_json or b"{}")}
            pipedrive.records[entity, decision.target_id] |= filled
            self.world.fuse.point()
            outcome.result, outcome.image_json = ledger_pb.OUTCOME_RESULT_UPDATED, canonical_json(filled)
            return outcome
        if decision.action == RecordAction.RECORD_ACTION_UPDATE:
            pipedrive.records[entity, decision.target_id] |= image
            outcome.result = ledger_pb.OUTCOME_RESULT_UPDATED
            return outcome
        if record.key in pipedrive.refused_on_create:
            outcome.result, outcome.target_id, outcome.reason, outcome.message = ledger_pb.OUTCOME_RESULT_REJECTED, "", "TARGET_REJECTED", "no"
            return outcome
        found = pipedrive.find(entity, image) if decision.action == RecordAction.RECORD_ACTION_IN_DOUBT else ""
        outcome.target_id = found or pipedrive.create(record.key, entity, image)
        self.world.fuse.point()
        outcome.image_json = canonical_json(pipedrive.records[entity, outcome.target_id])
        outcome.parent_target_id = str(image.get("deal_id") or "")
        outcome.result = ledger_pb.OUTCOME_RESULT_CREATED
        return outcome

    def _image(self, record: MappedRecord, begun: ledger_pb.BeginBatchResponse) -> dict[str, Any]:
        payload = json.loads(record.payload_json)
        resolved = {
            name: begun.reference_ids.get(value["$ref"]) if isinstance(value, dict) and "$ref" in value else value for name, value in payload.items()
        }
        return {name: value for name, value in resolved.items() if value is not None} | {"transload_id": record.key}


class Selections:
    def __init__(self, world: World) -> None:
        self.world = world

    async def put_selection(self, source_keys: Sequence[str]) -> str:
        name = digest(canonical_json(sorted(source_keys)))
        self.world.selections[name] = set(source_keys)
        return name


class World:
    """The installation."""

    def __init__(self, ledger: SqlLedger, clock: FakeClock, pipedrive: FakePipedrive | None = None) -> None:
        self.ledger = ledger
        self.clock = clock
        self.pipedrive = pipedrive or FakePipedrive()
        self.source: dict[str, dict[str, dict[str, Any]]] = {entity: dict(records) for entity, records in SOURCE.items()}
        self.changes: dict[str, dict[str, dict[str, Any]]] = {}
        self.staging: dict[str, bytes] = {}
        self.selections: dict[str, set[str]] = {}
        self.malformed: set[str] = set()
        self.refused_tokens: set[str] = set()
        self.matching: dict[str, Any] = {}
        self.since: list[datetime] = []
        self.listed: list[tuple[str, tuple[int, ...]]] = []
        self.failures: dict[str, list[TransloadError]] = {}
        self.extraction_failure: tuple[ExtractionState.ValueType, str, str] | None = None
        self.streams = "first"
        self.drops_raw = self.drops_mapped = 0
        self.fuse = Fuse()
        self.incarnation = 0
        self.signer = Signer.generate()
        self._numbers = 0
        self.restart()

    def restart(self) -> None:
        """Kill every process and start them again; the streams keep what they hold."""
        self.incarnation += 1
        self.workers = LedgerServicer(ledger=self.ledger, clock=self.clock)
        self.extractor, self.transformer, self.loader = FakeExtractor(self), FakeTransformer(self), FakeLoader(self)
        ledger: Any = CrashingLedger(self.ledger, self.fuse)
        self.tools = Tools(
            ledger=ledger,
            clock=self.clock,
            extractor=self.extractor,
            transformer=self.transformer,
            loader=self.loader,
            selections=Selections(self),
            signer=self.signer,
        )
        self.coordinator = Coordinator(
            tools=self.tools, drivers=drivers(self.tools), incarnation=self._incarnation, timing=Timing(reannounce_seconds=30, restart_seconds=5)
        )
        self.service = MigrationServicer(tools=replace(self.tools, ledger=self.ledger))
        self.mapped: deque[MappedBatch] = getattr(self, "mapped", deque())

    async def _incarnation(self) -> str:
        return self.streams

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def changed(self, entity: str) -> dict[str, dict[str, Any]]:
        return self.changes.get(entity, {})

    async def port(self, name: str) -> None:
        """Fail a call to another service, if the test says so."""
        self.fuse.point()
        if self.failures.get(name):
            raise self.failures[name].pop(0)

    def map_record(self, entity: str, source_id: str, phase: int, data: dict[str, Any] | None = None) -> list[MappedRecord]:
        values = data or self.source[entity][source_id]
        if entity == "employee" and phase == Phase.PHASE_USERS:
            return [_mapped(f"user:employee/{source_id}", {"email": values["email"]}, source_id)]
        if entity == "product" and phase == Phase.PHASE_PRODUCTS:
            return [_mapped(f"product:product/{source_id}", {"name": values["name"]}, source_id)]
        if entity == "client":
            organization = {"$ref": f"organization:client/{source_id}"}
            return {
                Phase.PHASE_ORGANIZATIONS: [_mapped(f"organization:client/{source_id}", {"name": values["name"]}, source_id)],
                Phase.PHASE_PERSONS: [_mapped(f"person:client/{source_id}", {"name": values["name"], "org_id": organization}, source_id)],
                Phase.PHASE_NOTES: [_mapped(f"note:client/{source_id}", {"content": values["name"], "org_id": organization}, source_id)],
            }.get(Phase.ValueType(phase), [])
        if entity == "sales_order":
            deal = {"$ref": f"deal:sales_order/{source_id}"}
            title = {"title": f"Order {source_id}", "org_id": {"$ref": f"organization:client/{values['client']}"}}
            return {
                Phase.PHASE_DEALS: [_mapped(f"deal:sales_order/{source_id}", title, source_id)],
                Phase.PHASE_LINE_ITEMS: [
                    _mapped(f"line_item:sales_order/{source_id}/1", {"deal_id": deal, "item_price": values["amount"]}, source_id)
                ],
                Phase.PHASE_LATE_LINKS: [_mapped(f"deal_value:sales_order/{source_id}", {"deal_id": deal, "value": values["amount"]}, source_id)],
            }.get(Phase.ValueType(phase), [])
        return []

    # what a test does

    async def create(self, **options: Any) -> None:
        request = pb.CreateMigrationRequest(
            migration_id=M,
            connector="stel_order",
            source_connection="stel",
            target_connection="pipedrive",
            actor=ACTOR,
            options=pb.MigrationOptions(**options),
        )
        await self.service.CreateMigration(request, CONTEXT)

    async def start(self, kind: RunKind) -> str:
        call: dict[RunKind, tuple[Any, Any]] = {
            RunKind.AUDIT: (self.service.StartAudit, pb.StartAuditRequest),
            RunKind.SCHEMA: (self.service.ApplySchema, pb.ApplySchemaRequest),
            RunKind.SAMPLE: (self.service.RunSample, pb.RunSampleRequest),
            RunKind.LOAD: (self.service.StartLoad, pb.StartLoadRequest),
            RunKind.DELTA: (self.service.RunDelta, pb.RunDeltaRequest),
            RunKind.RECONCILE: (self.service.Reconcile, pb.ReconcileRequest),
            RunKind.ROLLBACK: (self.service.RollbackMigration, pb.RollbackMigrationRequest),
        }
        act, request = call[kind]
        return str((await act(request(migration_id=M, actor=ACTOR), CONTEXT)).run.run_id)

    async def finish(self, run_id: str, *, steps_max: int = 2_000) -> pb.Run:
        """Let everybody work until the run is over."""
        for _ in range(steps_max):
            if await self.coordinator.step(run_id) is None:
                return (await self.migration()).latest_run
            await self.turn()
        migration = await self.migration()
        raise AssertionError(f"the run did not end: {migration.pause_message} {migration.latest_run.activity} {migration.latest_run.phase}")

    async def turn(self) -> None:
        """Let every worker do what there is to do, and time pass."""
        await self.coordinator._look_at_streams()
        await self.extractor.work()
        async with self.ledger.read() as reader:
            messages = await reader.list_outbox(limit=1000)
        for message in messages:
            await self._deliver(message.subject, message.payload)
        async with self.ledger.transaction() as transaction:
            await transaction.remove_outbox([message.order for message in messages])
        for _ in range(len(self.mapped)):
            batch = self.mapped.popleft()
            try:
                await self.loader.work(batch)
            except (UnavailableError, PausedError, ClaimHeldError):
                self.mapped.append(batch)
            except (PreconditionError, NotFoundError):
                continue
            except CrashError:
                self.mapped.append(batch)  # not acknowledged
                raise
        await self.clock.sleep(1)

    async def _deliver(self, subject: str, payload: bytes) -> None:
        if subject.startswith("raw."):
            if self.drops_raw:
                self.drops_raw -= 1
                return
            batches = await self.transformer.work(PageAnnouncement.FromString(payload))
        else:
            batches = [MappedBatch.FromString(payload)]
        for batch in batches:
            if self.drops_mapped:
                self.drops_mapped -= 1
            else:
                self.mapped.append(batch)

    async def run(self, kind: RunKind) -> pb.Run:
        return await self.finish(await self.start(kind))

    async def confirm(self) -> None:
        request = pb.ConfirmMappingRequest(migration_id=M, mapping_digest=(await self.migration()).mapping_digest, actor=ACTOR)
        await self.service.ConfirmMapping(request, CONTEXT)

    async def approve(self) -> None:
        diff = await self.service.GetDiff(pb.GetDiffRequest(migration_id=M), CONTEXT)
        await self.service.ApproveMigration(pb.ApproveMigrationRequest(migration_id=M, diff_digest=diff.diff_digest, actor=ACTOR), CONTEXT)

    async def until_prepared(self, **options: Any) -> None:
        await self.create(**options)
        await self.run(RunKind.AUDIT)
        await self.confirm()
        await self.run(RunKind.SCHEMA)

    async def until_approved(self, **options: Any) -> None:
        await self.until_prepared(**options)
        await self.run(RunKind.SAMPLE)
        await self.approve()

    async def until_loaded(self, **options: Any) -> None:
        await self.until_approved(**options)
        await self.run(RunKind.LOAD)

    async def migration(self) -> pb.Migration:
        return (await self.service.GetMigration(pb.GetMigrationRequest(migration_id=M), CONTEXT)).migration

    async def summary(self) -> pb.Summary:
        return (await self.service.GetSummary(pb.GetSummaryRequest(migration_id=M), CONTEXT)).summary

    async def events(self) -> list[pb.Event]:
        return [event async for part in self.service.ExportAudit(pb.ExportAuditRequest(migration_id=M), CONTEXT) for event in part.events]

    async def domain(self) -> Migration:
        async with self.ledger.read() as reader:
            migration = await reader.get_migration(M)
        assert migration is not None
        return migration


class CrashingLedger:
    """The ledger as the coordinator sees it: the process may die before and after every commit."""

    def __init__(self, ledger: SqlLedger, fuse: Fuse) -> None:
        self._ledger = ledger
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def transaction(self) -> Any:
        return _CrashingTransaction(self._ledger.transaction(), self._fuse)


class _CrashingTransaction:
    def __init__(self, inner: Any, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    async def __aenter__(self) -> Transaction:
        self._fuse.point()
        return await self._inner.__aenter__()  # type: ignore[no-any-return]

    async def __aexit__(self, *details: object) -> Any:
        result = await self._inner.__aexit__(*details)
        if details[0] is None:
            self._fuse.point()
        return result


def _mapped(key: str, payload: dict[str, Any], source_id: str = "") -> MappedRecord:
    """A mapped record; `source_id` is needed where the source's id may hold a slash."""
    target_entity, _, rest = key.partition(":")
    source_entity, _, tail = rest.partition("/")
    assert target_entity in TARGET_PHASES
    content = canonical_json(payload)
    return MappedRecord(
        key=key,
        target_entity=target_entity,
        source_entity=source_entity,
        source_id=source_id or tail.partition("/")[0],
        payload_json=content,
        payload_digest=digest(content),
        references=[
            records_pb2.Reference(key=value["$ref"], missing_policy=records_pb2.MISSING_POLICY_REVIEW)
            for value in payload.values()
            if isinstance(value, dict)
        ],
    )


async def open_world(folder: Path, clock: FakeClock) -> AsyncIterator[World]:
    async with SqlLedger.open(f"sqlite:///{folder / 'ledger.db'}", clock=clock) as ledger:
        yield World(ledger, clock)
