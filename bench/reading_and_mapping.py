"""Pages a second of extraction alone and of transformation alone, each against the least that handling the same pages can take.

Extraction: the extractor's own domain reads every collection of the STEL Order simulator (without limits) into staging on disk; a stand-in for
the ledger answers at once. The baseline makes the same calls with the same HTTP client and throws the answers away. Files are left out: they are
no pages.

Transformation: the transformer's own worker takes the pages just read into a snapshot index and maps each in every phase that uses it; stand-ins
take what it tells the ledger and publishes. The baseline reads and writes the JSON of the same page for each of these times, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from bench.willing_ledger import WillingLedger
from services.common.canonical import canonical_json, digest
from services.common.clock import SystemClock
from services.common.connections import Connections
from services.common.staging import Staging
from services.extractor.budget import OutagePolicy
from services.extractor.connectors.stel_order.connector import StelOrder
from services.extractor.extraction import ExtractionSpec
from services.extractor.http import GetOnlyTransport
from services.extractor.jobs import Extractions
from services.extractor.ports import PageRecord, PageRef
from services.transformer.compile import compile_schema
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from services.transformer.plan import MappingPlan
from services.transformer.plans import Plans
from services.transformer.propose import propose
from services.transformer.snapshot.index import SnapshotIndex
from services.transformer.worker import TransformWorker
from transload.embedded.simulators import simulator
from transload.v1 import records_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from services.transformer.snapshot.view import SnapshotView
    from transload.v1 import ledger_service_pb2
    from transload.v1.records_pb2 import Phase

MIGRATION_ID: Final = "bench"
EXTRACTION_ID: Final = "bench/read"
CONNECTION: Final = "source"
CLIENT_COUNT: Final = 2000
CLOCK: Final = SystemClock()


async def run() -> dict[str, float]:
    """Measures reading, then mapping what was read."""
    with tempfile.TemporaryDirectory(prefix="transload-bench-") as name:
        folder = Path(name)
        staging = Staging.open(f"file://{folder / 'staging'}")
        ledger = InstantLedger()
        limits = ("--calls-per-minute", "0", "--daily-limit", "0", "--clean")
        async with simulator("stel_order", "--clients", str(CLIENT_COUNT), *limits, data_dir=folder, connection=CONNECTION):
            reading = await _read(folder, staging, ledger)
        return reading | await _map(folder, staging, ledger)


@dataclass
class InstantLedger(WillingLedger):
    """The ledger as extractor and transformer see it: remembers pages and manifests, wants everything, answers at once."""

    recorded: list[PageRecord] = field(default_factory=list)
    manifests: dict[str, bytes] = field(default_factory=dict)

    async def record_page(self, migration_id: str, page: PageRecord) -> None:
        """Remembers a page."""
        del migration_id
        self.recorded.append(page)

    async def pages(self, migration_id: str, *, after_sequence: int = 0) -> AsyncIterator[PageRef]:
        """Lists pages for the extractor."""
        del migration_id
        for sequence, page in enumerate(self.recorded[after_sequence:], start=after_sequence + 1):
            yield PageRef(page.extraction_id, page.entity, page.digest, sequence, len(page.source_ids))

    async def list_pages(self, migration_id: str, *, after_sequence: int, until_sequence: int) -> AsyncIterator[records_pb2.Page]:
        """Lists pages for the transformer."""
        del migration_id
        for page in self.protos()[after_sequence : until_sequence or None]:
            yield page

    async def get_manifest(self, manifest_digest: str) -> bytes:
        """Answers a manifest."""
        return self.manifests[manifest_digest]

    async def list_released(self, migration_id: str, keys: Sequence[str]) -> frozenset[str]:
        """Nobody decided anything."""
        del migration_id, keys
        return frozenset()

    async def record_transform(
        self,
        announcement: records_pb2.PageAnnouncement,
        batches: Sequence[ledger_service_pb2.ExpectedBatch],
        issues: Sequence[ledger_service_pb2.RecordIssue],
    ) -> bool:
        """Wants the batches."""
        del announcement, batches, issues
        return True

    def protos(self) -> list[records_pb2.Page]:
        """The pages with records, as the ledger announces them."""
        return [
            records_pb2.Page(page_id=page.page_id, entity=page.entity, digest=page.digest, sequence=sequence, record_count=len(page.source_ids))
            for sequence, page in enumerate(self.recorded, start=1)
        ]


@dataclass
class CountingPublisher:
    """The stream MAPPED: takes batches and counts their records."""

    record_count: int = 0

    async def publish(self, subject: str, payload: bytes, *, msg_id: str, full_wait_seconds: float = 0.0) -> None:
        """Counts one batch."""
        del subject, msg_id, full_wait_seconds
        self.record_count += len(records_pb2.MappedBatch.FromString(payload).records)


class NotingTransport(httpx.AsyncBaseTransport):
    """Notes what was asked for."""

    def __init__(self, calls: list[str]) -> None:
        self._inner = GetOnlyTransport(AiohttpTransport())
        self._calls = calls

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a GET."""
        self._calls.append(str(request.url))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._inner.aclose()


def _client(calls: list[str], headers: Mapping[str, str], *, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:  # noqa: ARG001 - as the factory has it
    return httpx.AsyncClient(
        transport=NotingTransport(calls), headers=dict(headers), timeout=60.0, follow_redirects=follow_redirects, trust_env=False
    )


async def _read(folder: Path, staging: Staging, ledger: InstantLedger) -> dict[str, float]:
    """Reads every collection, then makes the same calls barely."""
    connections = Connections.from_env({**os.environ, "TRANSLOAD_CONNECTIONS_DIR": str(folder / "connections")})
    connection = connections.get(CONNECTION)
    calls: list[str] = []
    extractions = Extractions(
        connectors={StelOrder.name: StelOrder},
        connections=connections,
        ledger=ledger,
        store=staging,
        clock=CLOCK,
        http_client=partial(_client, calls),
        outage_policy=OutagePolicy(),
    )
    entities = frozenset(entity.name for entity in StelOrder.entities if not entity.has_files)
    options = {"calls_per_minute": 0, "calls_per_day": 0}
    began = time.perf_counter()
    await extractions.start(ExtractionSpec(MIGRATION_ID, EXTRACTION_ID, StelOrder.name, CONNECTION, entities=entities, options=options), StelOrder)
    await ledger.ended.wait()
    seconds = time.perf_counter() - began
    assert not ledger.failure, ledger.failure
    async with _client([], {"APIKEY": connection.key, "Accept": "application/json"}) as http:
        began = time.perf_counter()
        for url in calls:
            (await http.get(url)).raise_for_status()
        bare_seconds = time.perf_counter() - began
    record_count = sum(len(page.source_ids) for page in ledger.recorded)
    return {
        "pages read": len(calls),
        "records read": record_count,
        "extraction alone, pages/s": len(calls) / seconds,
        "extraction alone, records/s": record_count / seconds,
        "bare loop, the same calls, pages/s": len(calls) / bare_seconds,
        "ratio extraction / bare loop": bare_seconds / seconds,
    }


async def _map(folder: Path, staging: Staging, ledger: InstantLedger) -> dict[str, float]:
    """Maps every page in every phase, then reads and writes the same JSON barely."""
    publisher = CountingPublisher()
    index = SnapshotIndex(folder / "index", pages=ledger, store=staging)
    with contextlib.closing(index):
        began = time.perf_counter()
        view = await index.ensure(MIGRATION_ID, len(ledger.recorded))
        index_seconds = time.perf_counter() - began
        manifest_digest, phases = await asyncio.to_thread(bind, ledger, view)
        plans = Plans(ledger)
        await plans.get(manifest_digest)
        worker = TransformWorker(ledger=ledger, bus=publisher, store=staging, index=index, plans=plans)
        work = [(page, phase) for page in ledger.protos() if page.record_count for phase in phases.get(page.entity, ())]
        began = time.perf_counter()
        for page, phase in work:
            announcement = records_pb2.PageAnnouncement(
                migration_id=MIGRATION_ID,
                run_id="bench/load",
                page=page,
                phase=phase,
                manifest_digest=manifest_digest,
                snapshot_sequence=len(ledger.recorded),
            )
            await worker.handle(announcement.SerializeToString())
        seconds = time.perf_counter() - began
    contents = {page.digest: await staging.get_page(page.digest) for page, _ in work}
    began = time.perf_counter()
    for page, _ in work:
        orjson.dumps(orjson.loads(contents[page.digest]))
    bare_seconds = time.perf_counter() - began
    return {
        "pages indexed/s": len(ledger.recorded) / index_seconds,
        "pages mapped, each in its phases": len(work),
        "records mapped": publisher.record_count,
        "transformation alone, pages/s": len(work) / seconds,
        "transformation alone, mapped records/s": publisher.record_count / seconds,
        "bare JSON of the same pages, pages/s": len(work) / bare_seconds,
        "ratio transformation / bare JSON": bare_seconds / seconds,
    }


def bind(ledger: InstantLedger, view: SnapshotView, source: str = StelOrder.name) -> tuple[str, dict[str, tuple[Phase.ValueType, ...]]]:
    """Proposes the mapping and binds it to an account in which everything stands already; answers the manifest's digest and the phases by entity."""
    text = propose(connector_mapping_text(source), view, {"users": [], "fields": {}, "caps": {"custom_fields": 500}}, "")
    mapping = load_mapping(text)
    people = view.iterate(mapping.owners.entity) if mapping.owners.entity else ()
    bindings: dict[str, Any] = {f"user:{person.source_key}": _binding("1", {"id": 1}) for person in people}
    for number, record in enumerate(compile_schema(mapping), start=1):
        image: dict[str, Any] = orjson.loads(record.payload_json)
        target_id = str(number)
        if record.target_entity == "custom_field":
            target_id = digest(record.key.encode())[:40]
            image["options"] = {label: 1000 * number + place for place, label in enumerate(image.get("options", []), start=1)}
        elif record.target_entity == "activity_type":
            image["key_string"] = image["name"].lower()
        bindings[record.key] = _binding(target_id, image)
    manifest = canonical_json({"source_account": "bench", "mapping_yaml": text, "bindings": bindings})
    ledger.manifests[digest(manifest)] = manifest
    return digest(manifest), {entity: plan.phases for entity, plan in MappingPlan(mapping).entities.items()}


def _binding(target_id: str, image: dict[str, Any]) -> dict[str, Any]:
    return {"target_id": target_id, "image": image}
