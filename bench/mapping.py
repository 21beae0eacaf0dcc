"""Records a second of mapping alone, on one core, for the mapping of each source: the engine and nothing around it.

An account of each source is generated, read into staging and indexed; then every record goes through the engine in every phase its mapping has for
it, as the transformer's worker does it page by page. Seconds are processor seconds of this process, because other work on the machine must not
count. The baseline serialises the same payloads as JSON once and takes their digests, which is the least that making mapped records can take.

`python -m bench mapping` runs it; `python bench/mapping.py SOURCE --profile` prints where the time goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import os
import pstats
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import orjson

from bench.reading_and_mapping import MIGRATION_ID, InstantLedger, bind
from services.common.canonical import canonical_json, digest
from services.common.clock import SystemClock
from services.common.connections import Connections
from services.common.errors import InvalidRequestError
from services.common.staging import Staging
from services.extractor.budget import OutagePolicy
from services.extractor.extraction import ExtractionSpec
from services.extractor.http import source_client
from services.extractor.jobs import Extractions
from services.extractor.registry import CONNECTORS
from services.transformer.engine import Engine
from services.transformer.names import named
from services.transformer.plans import Plans
from services.transformer.snapshot.index import SnapshotIndex
from transload.embedded.sources import source_stand_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.transformer.names import View
    from services.transformer.plan import MappingPlan

SIZE: Final = 200
CONNECTION: Final = "source"
PAGE_RECORDS_MAX: Final = 10_000


@dataclass
class Figures:
    """What mapping took."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Of a core, by source entity."""
    source_records: Counter[str] = field(default_factory=Counter)
    mapped_records: Counter[str] = field(default_factory=Counter)
    payloads: list[bytes] = field(default_factory=list)


async def run() -> dict[str, float]:
    """Measures all sources."""
    results: dict[str, float] = {}
    for name in sorted(CONNECTORS):
        figures = await measure(name)
        results |= _told(name, figures)
    return results


async def measure(name: str, *, profile: cProfile.Profile | None = None) -> Figures:
    """Maps one generated account of a source."""
    with tempfile.TemporaryDirectory(prefix="transload-bench-") as folder_name:
        folder = Path(folder_name)
        ledger, staging = InstantLedger(), Staging.open(f"file://{folder / 'staging'}")
        async with source_stand_in(name, data_dir=folder, connection=CONNECTION, size=SIZE) as source:
            await _read(name, folder, staging, ledger, _without_limits(name, source.options))
        index = SnapshotIndex(folder / "index", pages=ledger, store=staging)
        with contextlib.closing(index):
            view = await index.ensure(MIGRATION_ID, len(ledger.recorded))
            manifest_digest, _ = await asyncio.to_thread(bind, ledger, view, name)
            plan = await Plans(ledger).get(manifest_digest)
            with view.reading():
                return _map(plan, named(view, plan.mapping), profile)


def _without_limits(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Lifts the call limits where the source has any."""
    lifted = {**options, "calls_per_minute": 0, "calls_per_day": 0}
    try:
        CONNECTORS[name].limits(lifted)
    except InvalidRequestError:
        return dict(options)
    return lifted


async def _read(name: str, folder: Path, staging: Staging, ledger: InstantLedger, options: dict[str, Any]) -> None:
    extractions = Extractions(
        connectors=CONNECTORS,
        connections=Connections.from_env({**os.environ, "TRANSLOAD_CONNECTIONS_DIR": str(folder / "connections")}),
        ledger=ledger,
        store=staging,
        clock=SystemClock(),
        http_client=partial(source_client, timeout_seconds=60.0),
        outage_policy=OutagePolicy(),
    )
    await extractions.start(ExtractionSpec(MIGRATION_ID, "bench/read", name, CONNECTION, options=options), CONNECTORS[name])
    await ledger.ended.wait()
    assert not ledger.failure, ledger.failure


def _map(plan: MappingPlan, view: View, profile: cProfile.Profile | None) -> Figures:
    """Maps every record in every phase of its entity."""
    engine, figures = Engine(plan), Figures()
    for entity, own in plan.entities.items():
        records = list(view.iterate(entity))
        held = {record.sequence: bytearray(PAGE_RECORDS_MAX) for record in records}
        began = time.process_time()
        if profile is not None:
            profile.enable()
        for phase in own.phases:
            for record in records:
                mapped = engine.map_record(record, view, phase, held=held[record.sequence])
                figures.mapped_records[entity] += len(mapped.records)
                figures.payloads.extend(one.payload_json for one in mapped.records)
        if profile is not None:
            profile.disable()
        figures.seconds[entity] = time.process_time() - began
        figures.source_records[entity] += len(records)
    return figures


def _told(name: str, figures: Figures) -> dict[str, float]:
    documents = [orjson.loads(payload) for payload in figures.payloads]
    began = time.process_time()
    for document in documents:
        digest(canonical_json(document))
    bare = time.process_time() - began
    seconds, mapped = sum(figures.seconds.values()), sum(figures.mapped_records.values())
    moved = [entity for entity, count in figures.mapped_records.items() if count]
    wide = max(moved, key=lambda entity: figures.seconds[entity] / figures.mapped_records[entity])
    return {
        f"{name}: mapped records/s of one core": mapped / seconds,
        f"{name}: source records/s of one core": sum(figures.source_records.values()) / seconds,
        f"{name}: mapped records/s, slowest entity ({wide})": figures.mapped_records[wide] / max(1e-9, figures.seconds[wide]),
        f"{name}: ratio to canonical JSON and digests alone": bare / seconds,
    }


def _profiled(arguments: Sequence[str]) -> None:
    profile = cProfile.Profile() if "--profile" in arguments else None
    name = arguments[0]
    figures = asyncio.run(measure(name, profile=profile))
    for entity, seconds in sorted(figures.seconds.items(), key=lambda item: -item[1]):
        mapped = figures.mapped_records[entity]
        print(f"{entity:<26} {figures.source_records[entity]:>7} records {mapped:>7} mapped {seconds:>7.2f} s {mapped / max(seconds, 1e-9):>8.0f}/s")
    for figure, value in _told(name, figures).items():
        print(f"  {figure:<70} {value:>12,.3f}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    _profiled(sys.argv[1:])
