"""Events a second that the ledger appends through gRPC, against bare inserts of the very same rows into SQLite.

The ledger serves in a process of its own, on a file (WAL, synchronous FULL). Concurrent callers claim and settle batches as loaders do: one event for
each claim of a batch, one for each outcome. The baseline copies the event rows this wrote, with the tables and indices they stand in, in transactions
of the same sizes; it knows no claims, records, hashes or contracts.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from services.common import grpc_client, grpc_server
from services.common.canonical import canonical_json, digest
from services.common.clock import SystemClock
from services.common.phases import TARGET_PHASES
from services.ledger.domain import Batch, Migration, Record, Run, RunKind
from services.ledger.ledger_servicer import LedgerServicer
from services.ledger.sql.ledger import SqlLedger
from transload.v1 import ledger_service_pb2 as pb
from transload.v1 import records_pb2
from transload.v1.ledger_service_pb2_grpc import LedgerServiceStub, add_LedgerServiceServicer_to_server

MIGRATION_ID: Final = "bench"
RUN_ID: Final = "bench/load"
TARGET_ENTITY: Final = "person"
PHASE: Final = TARGET_PHASES[TARGET_ENTITY]
BATCH_COUNT: Final = 120
BATCH_RECORDS: Final = 100
CALLERS: Final = 4
BARE_RUNS: Final = 5
"""Runs of the baseline, each on a new file; the median counts, because it is over in a moment."""
START_SECONDS_MAX: Final = 30.0
_TABLES: Final = ("events", "event_payloads")


async def run() -> dict[str, float]:
    """Measures the ledger, then the bare inserts."""
    with tempfile.TemporaryDirectory(prefix="transload-bench-") as name:
        folder = Path(name)
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.ledger_events", name)
        try:
            seconds = await _drive(await _address(folder, process))
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        runs = [await asyncio.to_thread(_insert_bare, folder, number) for number in range(BARE_RUNS)]
    event_count, bare_seconds = runs[0][0], statistics.median(seconds for _, seconds in runs)
    record_count = BATCH_COUNT * BATCH_RECORDS
    rate, bare_rate = event_count / seconds, event_count / bare_seconds
    return {
        "events appended": event_count,
        "through gRPC, events/s": rate,
        "through gRPC, records claimed and settled/s": record_count / seconds,
        "bare SQLite, the same event rows, rows/s": bare_rate,
        "ratio gRPC / bare": rate / bare_rate,
    }


async def _drive(address: str) -> float:
    """Claims and settles every batch; answers the seconds it took."""
    numbers = iter(range(BATCH_COUNT))
    async with contextlib.AsyncExitStack() as exits:
        channels = [await exits.enter_async_context(grpc_client.channel(address)) for _ in range(CALLERS)]

        async def call(stub: LedgerServiceStub, holder: str) -> None:
            for number in numbers:
                batch, outcomes = _mapped(number), _outcomes(number)
                await stub.BeginBatch(pb.BeginBatchRequest(batch=batch, holder=holder, request_id=f"begin/{number}"))
                settle = pb.SettleBatchRequest(
                    migration_id=MIGRATION_ID,
                    run_id=RUN_ID,
                    batch_id=batch.batch_id,
                    holder=holder,
                    outcomes=outcomes,
                    request_id=f"settle/{number}",
                )
                assert (await stub.SettleBatch(settle)).is_final

        began = time.perf_counter()
        await asyncio.gather(*(call(LedgerServiceStub(channel), f"loader-{number}/1") for number, channel in enumerate(channels)))
        return time.perf_counter() - began


def _insert_bare(folder: Path, number: int) -> tuple[int, float]:
    """Inserts the events of the claims and outcomes again; answers how many and the seconds it took."""
    with contextlib.closing(sqlite3.connect(_database(folder))) as ledger:
        schema = [row[0] for row in ledger.execute("SELECT sql FROM sqlite_master WHERE tbl_name IN (?, ?) AND type IN ('table', 'index')", _TABLES)]
        rows = {table: ledger.execute(f"SELECT * FROM {table} ORDER BY sequence").fetchall() for table in _TABLES}  # noqa: S608 - our own names
    event_count = len(rows["events"])
    sizes = itertools.cycle((1, BATCH_RECORDS))
    with contextlib.closing(sqlite3.connect(folder / f"bare-{number}.db", isolation_level=None)) as bare:
        bare.execute("PRAGMA journal_mode=WAL")
        bare.execute("PRAGMA synchronous=FULL")
        for statement in filter(None, schema):
            bare.execute(statement)
        began = time.perf_counter()
        start = 0
        while start < event_count:
            until = start + next(sizes)
            bare.execute("BEGIN IMMEDIATE")
            for table, values in rows.items():
                bare.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(values[0]))})", values[start:until])  # noqa: S608 - as above
            bare.execute("COMMIT")
            start = until
        return event_count, time.perf_counter() - began


def _database(folder: Path) -> Path:
    return folder / "ledger.db"


def _keys(number: int) -> list[str]:
    first = number * BATCH_RECORDS
    return [f"{TARGET_ENTITY}:client/{source_id}" for source_id in range(first, first + BATCH_RECORDS)]


def _payload(key: str) -> dict[str, Any]:
    source_id = key.rpartition("/")[2]
    return {
        "name": f"Person {source_id}",
        "emails": [{"value": f"person{source_id}@example.com", "primary": True, "label": "work"}],
        "phones": [{"value": f"+3460{source_id:0>7}", "primary": True, "label": "work"}],
        "add_time": "2024-01-02T03:04:05Z",
        "custom_fields": {digest(b"external id"): f"source/client/{source_id}"},
    }


def _mapped(number: int) -> records_pb2.MappedBatch:
    batch = records_pb2.MappedBatch(
        batch_id=f"batch/{number}", migration_id=MIGRATION_ID, run_id=RUN_ID, phase=PHASE, target_entity=TARGET_ENTITY, manifest_digest="bench"
    )
    for key in _keys(number):
        body = canonical_json(_payload(key))
        source_id = key.rpartition("/")[2]
        batch.records.add(
            key=key, target_entity=TARGET_ENTITY, source_entity="client", source_id=source_id, payload_json=body, payload_digest=digest(body)
        )
    return batch


def _outcomes(number: int) -> list[pb.RecordOutcome]:
    call = pb.TargetCall(method="POST", path="/api/v2/persons", status=201, token_count=5, correlation_id="bench")
    return [
        pb.RecordOutcome(
            key=key,
            result=pb.OUTCOME_RESULT_CREATED,
            target_id=key.rpartition("/")[2],
            image_json=canonical_json(_payload(key)),
            calls=[call],
        )
        for key in _keys(number)
    ]


async def _address(folder: Path, process: asyncio.subprocess.Process) -> str:
    """Waits until the ledger has written where it listens."""
    deadline = time.monotonic() + START_SECONDS_MAX
    file = folder / "address.json"
    while not file.exists():
        assert process.returncode is None, "the ledger ended"
        assert time.monotonic() < deadline, "the ledger did not start"
        await asyncio.sleep(0.05)
    return str(json.loads(file.read_text(encoding="utf-8")))


async def _serve(folder: Path) -> None:
    """Serves a ledger that waits for the batches, until the process is ended."""
    clock = SystemClock()
    async with SqlLedger.open(f"sqlite:///{_database(folder)}", clock=clock) as ledger:
        await _seed(ledger, clock)
        servicer = LedgerServicer(ledger=ledger, clock=clock)
        async with grpc_server.serve("127.0.0.1:0", [(add_LedgerServiceServicer_to_server, servicer)]) as server:
            draft = folder / "address.draft"
            draft.write_text(json.dumps(server.address), encoding="utf-8")
            draft.replace(folder / "address.json")
            await asyncio.Event().wait()


async def _seed(ledger: SqlLedger, clock: SystemClock) -> None:
    """Puts a running load into the ledger that expects every batch."""
    async with ledger.transaction() as tx:
        await tx.save_migration(
            Migration(MIGRATION_ID, "Bench", "stel_order", source_connection="source", target_connection="target", create_time=clock.now())
        )
        await tx.save_run(Run(RUN_ID, MIGRATION_ID, RunKind.LOAD, clock.now(), phase=PHASE))
        for number in range(BATCH_COUNT):
            keys = _keys(number)
            await tx.add_records([Record(MIGRATION_ID, key, TARGET_ENTITY, "client", key.rpartition("/")[2], PHASE) for key in keys])
            await tx.add_batches([Batch(f"batch/{number}", MIGRATION_ID, RUN_ID, PHASE, TARGET_ENTITY, tuple(keys))])


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
