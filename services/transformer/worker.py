"""Page in, batches out. The order of acts never changes: map, tell the ledger, publish and wait for the answer, only then acknowledge."""

from __future__ import annotations

import asyncio
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from services.common import contract, instruments, telemetry
from services.common.contract import check_migration_id
from services.common.errors import InvalidRequestError, MalformedMessageError
from services.common.phases import is_phase, phase_name
from services.common.streams import MAPPED
from services.transformer.batching import cut, each_key_once
from services.transformer.dependents import Dependents
from services.transformer.engine import Engine, Mapped
from services.transformer.held import HeldRecords
from services.transformer.names import NamedView, Names
from services.transformer.snapshot.envelope import parse_envelopes
from transload.v1 import ledger_service_pb2, records_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.transformer.names import View
    from services.transformer.plan import MappingPlan
    from services.transformer.plans import Plans
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.index import SnapshotIndex
    from services.transformer.snapshot.view import SnapshotView

_LOG = telemetry.get_logger(__name__)
FULL_WAIT_SECONDS: Final = 20.0
"""How long a batch waits for room on MAPPED before the page goes back to its stream."""


class Ledger(Protocol):
    """What the worker tells the ledger."""

    async def record_transform(
        self,
        announcement: records_pb2.PageAnnouncement,
        batches: Sequence[ledger_service_pb2.ExpectedBatch],
        issues: Sequence[ledger_service_pb2.RecordIssue],
    ) -> bool:
        """Record what mapping gave; answers whether the batches are wanted."""

    async def list_released(self, migration_id: str, keys: Sequence[str]) -> frozenset[str]:
        """Answer which of these mapped records a person said to move without the references that are not found."""
        ...


class Publisher(Protocol):
    """Where batches go."""

    async def publish(self, subject: str, payload: bytes, *, msg_id: str, full_wait_seconds: float = 0.0) -> None:
        """Publish and wait until the message is stored."""


class Store(Protocol):
    """Staging."""

    async def get_page(self, digest: str) -> bytes:
        """Answer a page's content."""

    async def get_blob(self, name: str) -> bytes:
        """Answer a blob's content."""


def _check(announcement: records_pb2.PageAnnouncement) -> None:
    """Refuse what no ledger announces.

    Raises:
        MalformedMessageError: it is that.
    """
    if not is_phase(announcement.phase) or announcement.snapshot_sequence < 0:
        raise MalformedMessageError("a PageAnnouncement without a phase or a snapshot")
    try:
        check_migration_id(announcement.migration_id)
    except InvalidRequestError as error:
        raise MalformedMessageError(f"a PageAnnouncement: {error.message}") from None


class TransformWorker:
    """Maps announced pages."""

    def __init__(self, *, ledger: Ledger, bus: Publisher, store: Store, index: SnapshotIndex, plans: Plans) -> None:
        self._ledger = ledger
        self._bus = bus
        self._store = store
        self._index = index
        self._plans = plans
        self._selection: tuple[str, frozenset[str]] = ("", frozenset())
        self._held = HeldRecords()
        # Mapping is Python from end to end: two threads of it only take the interpreter from each other.
        self._mapping = asyncio.Lock()
        self._records = instruments.counter(instruments.MADE_RECORDS)
        self._issues = instruments.counter(instruments.MADE_ISSUES)

    async def handle(self, message: bytes) -> None:
        """Do the work of one announcement; doing it twice is doing it once.

        Raises:
            TransientError: the ledger, staging or the stream does not take part now.
            MappingError: the mapping of the manifest cannot be compiled.
            MalformedMessageError: it is no announcement.
        """
        announcement = contract.read_queued(records_pb2.PageAnnouncement, message)
        page = announcement.page
        _check(announcement)
        attributes = {
            instruments.MIGRATION: announcement.migration_id,
            "transload.run_id": announcement.run_id,
            "transload.page_id": page.page_id,
            instruments.ENTITY: page.entity,
            instruments.PHASE: phase_name(announcement.phase),
        }
        with telemetry.tracer().start_as_current_span("transform", attributes=attributes, links=telemetry.links_from([page.trace_parent])) as span:
            plan = await self._plans.get(announcement.manifest_digest)
            view = await self._index.ensure(announcement.migration_id, announcement.snapshot_sequence)
            content = await self._store.get_page(page.digest)
            selection = await self._selected(announcement.selection_digest)
            async with self._mapping:
                mapped = await asyncio.to_thread(map_page, plan, view, announcement, content, selection=selection, held_records=self._held)
                released = await self._ledger.list_released(announcement.migration_id, mapped.waiting) if mapped.waiting else frozenset()
                if released:
                    act = partial(map_page, selection=selection, held_records=self._held, released=released)
                    mapped = await asyncio.to_thread(act, plan, view, announcement, content)
            batches = cut(announcement, mapped.records)
            span.set_attribute("transload.record_count", len(mapped.records))
            if await self._ledger.record_transform(announcement, [_expected(batch) for batch in batches], mapped.issues):
                subject = MAPPED.subject(announcement.migration_id, phase_name(announcement.phase))
                for batch in batches:
                    msg_id = f"{batch.batch_id}/{batch.attempt}"
                    await self._bus.publish(subject, batch.SerializeToString(deterministic=True), msg_id=msg_id, full_wait_seconds=FULL_WAIT_SECONDS)
                self._count(batches, mapped)
            else:
                _LOG.info("transform.unwanted", migration_id=announcement.migration_id, run_id=announcement.run_id, page_id=page.page_id)

    async def _selected(self, selection_digest: str) -> frozenset[str] | None:
        """Answer the source keys of a sample, None for every record."""
        if not selection_digest:
            return None
        if self._selection[0] != selection_digest:
            keys: list[Any] = orjson.loads(await self._store.get_blob(f"selections/{selection_digest}"))
            self._selection = (selection_digest, frozenset(str(key) for key in keys))
        return self._selection[1]

    def _count(self, batches: Sequence[records_pb2.MappedBatch], mapped: Mapped) -> None:
        for batch in batches:
            self._records.add(len(batch.records), {instruments.TARGET_ENTITY: batch.target_entity})
        for issue in mapped.issues:
            self._issues.add(1, {instruments.REASON: issue.reason})


def map_page(
    plan: MappingPlan,
    snapshot: SnapshotView,
    announcement: records_pb2.PageAnnouncement,
    content: bytes,
    *,
    selection: frozenset[str] | None,
    held_records: HeldRecords,
    released: frozenset[str] = frozenset(),
) -> Mapped:
    """Map the records of a page that no later page of the snapshot replaced, and in a delta those of other pages that look one of them up.

    Mapped records in `released` move without the references that are not found.
    """
    engine = Engine(plan)
    page, phase = announcement.page, announcement.phase
    mapped = Mapped()
    names = Names(plan.mapping)
    view: View = NamedView(snapshot, names) if names else snapshot
    all_of_page = [names.apply(one) for one in parse_envelopes(page.entity, page.sequence, content)]
    held = held_records.of_page(announcement, len(all_of_page))
    with view.reading():
        envelopes = view.current(all_of_page)
        own = {one.source_key for one in envelopes}
        # In a delta a page comes for records of others, too, that look its own up in this phase.
        is_own_phase = not announcement.is_delta or (page.entity in plan.entities and phase in plan.entities[page.entity].phases)
        wanted = [one for one in envelopes if is_own_phase and (selection is None or one.source_key in selection)]
        if announcement.is_delta and selection is None:
            dependents = Dependents(plan)
            entities = [entity for entity, one in plan.entities.items() if phase in one.phases]
            others = {other.source_key: other for one in envelopes for other in dependents.find(one, view, entities) if other.source_key not in own}
            wanted.extend(others[key] for key in sorted(others))
        for envelope in wanted:
            try:
                one = engine.map_record(envelope, view, phase, held=held if envelope.source_key in own else None, released=released)
            except Exception as error:  # noqa: BLE001 - a record that uncovers a bug must not hold its whole page
                mapped.issues.append(_bug(envelope, announcement, error))
                continue
            mapped.records.extend(one.records)
            mapped.issues.extend(one.issues)
            mapped.waiting.extend(one.waiting)
    mapped.records, refused = each_key_once(mapped.records)
    mapped.issues.extend(refused)
    return mapped


def _bug(envelope: Envelope, announcement: records_pb2.PageAnnouncement, error: Exception) -> ledger_service_pb2.RecordIssue:
    """Let the record wait. The log names the place in the code but not the error's text, which may hold personal data."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    kind = type(error).__name__
    _LOG.error("transform.bug", migration_id=announcement.migration_id, key=envelope.source_key, error=kind, place=place)
    message = f"mapping this record failed ({kind} at {place}): a bug in Transload; the rest goes on, report it and retry the record after an update"
    return ledger_service_pb2.RecordIssue(
        kind=ledger_service_pb2.ISSUE_KIND_WAITING, source_key=envelope.source_key, reason="INTERNAL", message=message
    )


def _expected(batch: records_pb2.MappedBatch) -> ledger_service_pb2.ExpectedBatch:
    return ledger_service_pb2.ExpectedBatch(
        batch_id=batch.batch_id,
        target_entity=batch.target_entity,
        keys=[record.key for record in batch.records],
        source_keys=[f"{record.source_entity}/{record.source_id}" for record in batch.records],
    )
