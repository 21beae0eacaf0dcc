"""The extractions this process works on. Nothing of them outlives it: the ledger starts them again from their checkpoints."""

import asyncio
import contextvars
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from services.common import telemetry
from services.common.clock import Clock
from services.common.connections import Connection, Connections
from services.common.errors import NotFoundError, TransloadError
from services.extractor.budget import Budgets, CheckGate, OutagePolicy, WaitingGate
from services.extractor.connector import CallLimits, ClientFactory, ConnectorContext, ConnectorType, ContentChecker, SourceFinding
from services.extractor.extraction import Extraction, ExtractionSpec, PageStore, StagedPages, WaitState
from services.extractor.files import Downloader
from services.extractor.ports import ExtractionLedger, Report, State

_log = telemetry.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where an extraction of this process stands."""

    entity: str
    source_call_count: int
    resume_time: datetime | None


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """What a check of a connection showed."""

    base_url: str
    findings: Sequence[SourceFinding] | None
    """None: the contents were not looked at."""


@dataclass(slots=True)
class _Job:
    spec: ExtractionSpec
    connector: type[ConnectorType]
    limits: CallLimits
    gate: WaitingGate
    waits: WaitState
    trace_parent: str
    connection: Connection | None = None
    task: asyncio.Task[None] | None = None


class Extractions:
    """Starts, shows and stops extractions; checks connections."""

    def __init__(
        self,
        *,
        connectors: Mapping[str, type[ConnectorType]],
        connections: Connections,
        ledger: ExtractionLedger,
        store: PageStore,
        clock: Clock,
        http_client: ClientFactory,
        outage_policy: OutagePolicy,
    ) -> None:
        self._connectors = connectors
        self._connections = connections
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._http_client = http_client
        self._outage_policy = outage_policy
        self._budgets = Budgets(ledger=ledger, clock=clock)
        self._jobs: dict[str, _Job] = {}

    async def check(
        self, connector: type[ConnectorType], connection_name: str, *, options: Mapping[str, Any] | None = None, includes_content: bool = False
    ) -> SourceCheck:
        """Prove that a connection's credentials can read; with `includes_content` also look at everything, where the connector can.

        Raises:
            InvalidRequestError: The connector's options make no sense.
            UnauthorizedError: The source refused the key.
            UnavailableError: It does not answer.
            RateLimitedError: Its call budget is used up.
            ConfigurationError: The connection is not described.
        """
        given = options or {}
        connection = self._connections.get(connection_name, connector.connection_parts)
        budget = self._budgets.of(connection_name)
        gate = CheckGate(budget, limits=_uncounted(connector.limits(given)), connection=connection_name, clock=self._clock)
        spec = ExtractionSpec("", "", connector.name, connection_name)
        waits = WaitState("", ledger=self._ledger, clock=self._clock)
        frozen = StagedPages(spec, ledger=self._ledger, store=self._store, waits=waits)
        context = ConnectorContext(connection, given, gate, frozen, self._clock, self._http_client)
        async with connector.connect(context) as source:
            await source.check()
            findings = await source.check_content() if includes_content and isinstance(source, ContentChecker) else None
        return SourceCheck(_shown_url(connection), findings)

    async def start(self, spec: ExtractionSpec, connector: type[ConnectorType]) -> bool:
        """Start an extraction, or go on with it; False when it is running here already.

        One that waits for its source is woken, and one whose connection was corrected meanwhile begins anew from its checkpoints.

        Raises:
            InvalidRequestError: The connector's options make no sense.
        """
        if (running := self._jobs.get(spec.extraction_id)) is not None:
            if not self._is_corrected(running):
                running.gate.wake()
                return False
            await self.cancel(spec.extraction_id)
        limits = connector.limits(spec.options)
        waits = WaitState(spec.extraction_id, ledger=self._ledger, clock=self._clock)
        gate = WaitingGate(
            self._budgets.of(spec.connection),
            limits=limits,
            extraction_id=spec.extraction_id,
            clock=self._clock,
            outage_policy=self._outage_policy,
            on_wait=waits.tell,
        )
        job = self._jobs[spec.extraction_id] = _Job(spec, connector, limits, gate, waits, telemetry.current_traceparent())
        # Whoever starts it wants to know now whether the source gives calls again; finding out costs one.
        gate.wake()
        # A context of its own: the deadline of the call that starts it must not end it.
        job.task = asyncio.create_task(self._work(job), name=f"extraction {spec.extraction_id}", context=contextvars.Context())
        job.task.add_done_callback(functools.partial(self._forget, job))
        return True

    def _is_corrected(self, job: _Job) -> bool:
        try:
            return job.connection is not None and self._connections.get(job.spec.connection, job.connector.connection_parts) != job.connection
        except TransloadError:
            return False  # half-way through being written; the job goes on with what it has

    def get(self, extraction_id: str) -> JobStatus:
        """Answer where an extraction stands.

        Raises:
            NotFoundError: This process does not work on it.
        """
        job = self._jobs.get(extraction_id)
        if job is None:
            raise NotFoundError(f"extraction {extraction_id} is not worked on here")
        return JobStatus(job.waits.entity, job.gate.call_count, job.waits.resume_time)

    async def cancel(self, extraction_id: str) -> None:
        """Stop an extraction; what it recorded stays. Nothing happens when it does not run here."""
        job = self._jobs.get(extraction_id)
        if job is not None and job.task is not None:
            job.task.cancel()
            await asyncio.wait([job.task])

    def _forget(self, job: _Job, _: asyncio.Task[None]) -> None:
        if self._jobs.get(job.spec.extraction_id) is job:
            del self._jobs[job.spec.extraction_id]

    async def close(self) -> None:
        """Stop all extractions."""
        for extraction_id in list(self._jobs):
            await self.cancel(extraction_id)

    async def _work(self, job: _Job) -> None:
        spec = job.spec
        _log.info(
            "extraction.started", migration_id=spec.migration_id, extraction_id=spec.extraction_id, connector=spec.connector, plan=job.limits.plan
        )
        try:
            await self._extract(job)
        except TransloadError as error:
            _log.error("extraction.failed", migration_id=spec.migration_id, extraction_id=spec.extraction_id, reason=error.reason)
            await self._report_failure(spec, error.reason, error.message)
        except Exception as error:  # noqa: BLE001 - the one place that has to survive any connector
            _log.exception("extraction.broken", error, migration_id=spec.migration_id, extraction_id=spec.extraction_id)
            message = f"reading {job.waits.entity or 'the source'} failed by a bug ({type(error).__name__}); the extractor's log has the traceback"
            await self._report_failure(spec, "INTERNAL", message)
        else:
            _log.info("extraction.done", migration_id=spec.migration_id, extraction_id=spec.extraction_id, source_call_count=job.gate.call_count)

    async def _report_failure(self, spec: ExtractionSpec, reason: str, message: str) -> None:
        try:
            await self._ledger.report(Report(spec.extraction_id, State.FAILED, "", reason, message))
        except TransloadError as error:
            # The ledger does not know this extraction, or wants no more of it: there is nobody to tell.
            _log.warning("extraction.report_refused", extraction_id=spec.extraction_id, reason=error.reason)

    async def _extract(self, job: _Job) -> None:
        spec, gate = job.spec, job.gate
        frozen = StagedPages(spec, ledger=self._ledger, store=self._store, waits=job.waits)
        connection = job.connection = self._connections.get(spec.connection, job.connector.connection_parts)
        context = ConnectorContext(connection, spec.options, gate, frozen, self._clock, self._http_client)
        async with job.connector.connect(context) as source:

            async def was_source_away() -> bool:
                outage_count = gate.outage_count
                await source.check()
                return gate.outage_count > outage_count

            downloader = Downloader(
                source.open_file,
                store=self._store,
                gate=gate,
                counts_calls=job.limits.counts_files,
                bytes_max=spec.file_bytes_max,
                large_bytes_max=spec.large_file_bytes_max,
                was_source_away=was_source_away,
            )
            await Extraction(
                spec,
                entities=await source.list_entities(),
                connector=source,
                ledger=self._ledger,
                store=self._store,
                frozen=frozen,
                downloader=downloader,
                waits=job.waits,
                plan=gate.plan,
                clock=self._clock,
                trace_parent=job.trace_parent,
            ).run()


def _uncounted(limits: CallLimits) -> CallLimits:
    """A check knows no plan: its calls are counted, and refused only by the source."""
    return CallLimits(limits.plan, limits.calls_per_minute, 0, limits.day_zone)


def _shown_url(connection: Connection) -> str:
    url = httpx.URL(connection.url)
    return str(url.copy_with(username=None, password=None, query=None, fragment=None)) if url.userinfo or url.query else connection.url
