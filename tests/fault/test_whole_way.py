"""The whole way on everything that production stands on, while a server of NATS, a loader and the active ledger are killed.

`make whole-way` goes it quietly before, and compares.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

import pytest

from services.common.keys import RecordKey
from tests.e2e.graphs import Graphs
from tests.fakes.collector import Collector, collector
from tests.fault.chaos import insist
from tests.fault.conftest import IMPATIENT
from tests.fault.production import APPROVER, OPERATOR, REPLICAS, VIEWER, Production, production, replicas_of
from tests.fault.proof import SMALL, assert_complete, assert_owned_once, assert_within_limits
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from tests.e2e.harness import Rehearsal

pytestmark = [pytest.mark.slow]

COMPARES = "TRANSLOAD_WHOLE_WAY" in os.environ
"""Go the whole way quietly before, and compare the sums; else what the source holds says alone what has to come out."""
STEP_SECONDS = 600.0
"""Longest time for a step on the busiest machine."""
REQUESTS = 30
"""Calls to Pipedrive between two deaths: work goes on."""
TARGET = ("--plan", "growth", "--seats", "5", "--token-kind", "api")
"""40 calls in 2 seconds, so that every limit counts."""
PATIENCE = IMPATIENT | {"TRANSLOAD_LEDGER_CLAIM_SECONDS": "8"}
"""What a dead loader had in hand goes to another one after so long, not after a minute."""
OPTIONS = pb.MigrationOptions(connector_json=json.dumps({"calls_per_minute": 0, "calls_per_day": 0}), requires_four_eyes=True)

Sums = dict[str, tuple[int, ...]]
Faults: TypeAlias = "Callable[[Production, Rehearsal, asyncio.Task[pb.Migration]], Awaitable[None]]"


@pytest.mark.requirement("X-04", "L-10", "L-13", "L-14", "G-03")
async def test_the_whole_way_with_deaths_ends_as_a_quiet_one(tmp_path: Path) -> None:
    async with collector() as collecting:
        async with production(tmp_path, {**PATIENCE, **collecting.environ}) as running:
            quiet = await whole_way(running) if COMPARES else None
            collecting.spans.clear()
            sums = await whole_way(running, kill_one_after_the_other)
            assert quiet is None or sums == quiet
            assert_it_ran_on_everything(running)
        # The services have stopped, so that everything was exported but what the dead had not sent yet.
        assert_spans_are_connected(collecting)


async def whole_way(running: Production, faults: Faults | None = None) -> Sums:
    """Migrate an account, prove on both sides that it arrived, and answer the sums by entity."""
    began = time.monotonic()
    async with running.installed.rehearsal(source=SMALL, target=TARGET, options=OPTIONS, sample_size=5) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await to_approval(running, rehearsal)
        await rehearsal.start("load")
        loading = asyncio.create_task(insist(lambda: rehearsal.finish(seconds_max=STEP_SECONDS)))
        if faults is not None:
            await faults(running, rehearsal, loading)
        rehearsal.expect_success(await loading, "load")
        await rehearsal.step("reconcile", seconds_max=STEP_SECONDS)
        found = await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id)))
        assert list(found.mismatches) == []
        await assert_complete(rehearsal)
        await assert_owned_once(rehearsal, before)
        await assert_within_limits(rehearsal)
        await assert_trail_names_who_did_it(running, rehearsal)
        summary = await rehearsal.summary()
    sys.stderr.write(f"{rehearsal.migration_id}: {time.monotonic() - began:.0f} s\n")
    return {
        one.source_entity: (one.extracted_count, one.loaded_count, one.matched_count, one.skipped_count, one.rejected_count, one.waiting_count)
        for one in summary.entities
    }


async def to_approval(running: Production, rehearsal: Rehearsal) -> None:
    """Take every step before the load, each by who may; who may not is refused."""
    migration_id = rehearsal.migration_id
    assert (await running.viewer.get_migration(migration_id)).state == pb.MIGRATION_STATE_CREATED
    for act in (running.viewer.start_audit, running.viewer.pause, running.viewer.rollback):
        await refused(act(migration_id))
    await rehearsal.step("audit", seconds_max=STEP_SECONDS)
    await rehearsal.confirm()
    for step in ("schema", "sample"):
        await rehearsal.step(step, seconds_max=STEP_SECONDS)
    first = await anext(aiter(running.viewer.iterate_diff(migration_id)))
    for caller in (running.viewer, rehearsal.client):
        await refused(caller.approve(migration_id, first.diff_digest))
    await running.approver.approve(migration_id, first.diff_digest)


async def refused(call: Awaitable[object]) -> None:
    """Check that somebody may not do this."""
    with pytest.raises(TransloadCallError) as caught:
        await call
    assert caught.value.reason == "ACCESS_DENIED"


async def kill_one_after_the_other(running: Production, rehearsal: Rehearsal, loading: asyncio.Task[pb.Migration]) -> None:
    """Kill the NATS server that leads the batches, a loader and the ledger at work; each comes back."""
    node = await asyncio.to_thread(running.cluster.wait_for_leader, "MAPPED")
    await more_requests(rehearsal, loading)
    running.cluster.kill(node)
    await more_requests(rehearsal, loading)
    running.cluster.start_node(node)

    await kill(running, await something(rehearsal, running.loader_at_work, "a loader with records in hand"))
    await more_requests(rehearsal, loading)

    holder, term = await running.lease()
    await kill(running, holder)

    async def has_another() -> bool:
        return (await running.lease())[1] > term

    await rehearsal.until(has_another, what="a ledger in the next term", seconds_max=STEP_SECONDS)
    assert not loading.done(), "nothing was left to do after the last death"
    await asyncio.to_thread(running.cluster.wait_until_whole)


async def kill(running: Production, name: str) -> None:
    """Kill a process of ours; it is started again."""
    sys.stderr.write(f"killed {name}\n")
    running.installed.kill(name)


async def something(rehearsal: Rehearsal, look: Callable[[], Awaitable[str]], what: str) -> str:
    """Wait until a look finds something."""
    found = ""

    async def finds() -> bool:
        nonlocal found
        found = await look()
        return bool(found)

    await rehearsal.until(finds, what=what, seconds_max=STEP_SECONDS)
    return found


async def more_requests(rehearsal: Rehearsal, loading: asyncio.Task[pb.Migration]) -> None:
    """Wait until Pipedrive has had some more requests."""

    async def count() -> int:
        assert not loading.done(), "the load ended before everything was killed"
        return int((await rehearsal.pipedrive.control("GET", "journal/summary"))["requests"])

    wanted = await count() + REQUESTS

    async def has_them() -> bool:
        return await count() >= wanted

    await rehearsal.until(has_them, what=f"{wanted} requests at Pipedrive", seconds_max=STEP_SECONDS)


async def assert_trail_names_who_did_it(running: Production, rehearsal: Rehearsal) -> None:
    """Check that the trail believes certificates and tokens, not what callers say of themselves."""
    events: AsyncIterator[pb.Event] = running.viewer.export_audit(rehearsal.migration_id)
    actors: dict[str, Counter[str]] = {}
    async for event in events:
        actors.setdefault(event.kind, Counter())[event.actor] += 1
    assert actors["access.refused"] == {VIEWER: 4, OPERATOR: 1}
    assert set(actors["run.started"]) == {OPERATOR}
    assert set(actors["diff.approved"]) == {APPROVER}


def assert_it_ran_on_everything(running: Production) -> None:
    """Check that each part had a part in it."""
    clients = Counter(name for node in running.cluster.nodes for name in running.cluster.clients(node))
    assert set(clients) == {"ledger", "transformer", "loader"}
    assert {name.split("/")[1] for name in running.store.names()} >= {"pages", "files"}
    logs = {path.stem: path.read_text() for path in running.installed.logs.glob("*.log")}
    assert [name for name, text in logs.items() if "nats.refused" in text] == []
    for name in replicas_of("loader"):
        assert "batch.settled" in logs[name], f"{name} did nothing"
    assert {name for service in REPLICAS for name in replicas_of(service)} <= set(logs)


def assert_spans_are_connected(collecting: Collector) -> None:
    """Check the ways of records and that calls to Pipedrive are found from a record."""
    graphs = Graphs(collecting)
    assert {RecordKey.parse(key).target_entity for key in graphs.record_calls} >= {
        "organization",
        "person",
        "deal",
        "activity",
        "note",
        "product",
        "file",
    }
    gaps = {key: found for key in graphs.record_calls if (found := graphs.gaps(key))}
    lost = graphs.calls_without_record()
    sys.stderr.write(f"{len(gaps)} of {len(graphs.record_calls)} records with gaps, {len(lost)} of {len(graphs.calls)} calls without a record\n")
    # A process that is killed takes the spans along that it had not sent yet, up to five seconds of them: a call's parent with it.
    assert len(gaps) <= len(graphs.record_calls) // 5, gaps
    assert len(lost) <= len(graphs.calls) // 100, sorted({call.name for call in lost})
