"""A migration on a cluster of three NATS servers that know each service by its key; servers die, lose their store and are cut off meanwhile.

One run with three faults is part of every test run; `make nats-faults` takes each fault in a run of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.e2e.harness import ACTOR, Installation, Rehearsal
from tests.fakes.nats_cluster import NatsCluster, Node, nats_cluster
from tests.fault.conftest import IMPATIENT
from tests.fault.proof import SMALL, UNLIMITED, assert_complete, assert_owned_once
from transload.client import Client
from transload.embedded.process import ManagedProcess
from transload.embedded.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

LOAD_SECONDS = 300.0
REQUESTS_BEFORE = 20
REQUESTS_MEANWHILE = 25
"""Calls to Pipedrive while a fault lasts: work goes on."""
EACH = os.environ.get("TRANSLOAD_TEST_NATS_FAULTS") == "each"
Sums = dict[str, tuple[int, ...]]


class OnCluster(Stack):
    """The embedded stack with somebody else's NATS; its own runs along and is used by nobody."""

    def __init__(self, data_dir: Path, *, env: Mapping[str, str], cluster: NatsCluster) -> None:
        super().__init__(data_dir, env=env, loaders=2)
        self._cluster = cluster

    def _process(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> ManagedProcess:
        return super()._process(name, command, {**env, **self._cluster.environ(name.partition("-")[0])})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with nats_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory, cluster: NatsCluster) -> AsyncIterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("on-cluster")
    env = {**os.environ, **IMPATIENT}
    async with contextlib.AsyncExitStack() as exits:
        stack = OnCluster(folder / "stack", env=env, cluster=cluster)
        await stack.start()
        exits.push_async_callback(stack.stop)
        client = await exits.enter_async_context(Client.connect(stack.addresses["ledger"], actor=ACTOR))
        yield Installation(folder, stack, client, env, exits)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def quiet(installed: Installation, cluster: NatsCluster) -> Sums:
    """Sums of a run without a fault."""
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await to_load(rehearsal)
        rehearsal.expect_success(await rehearsal.finish(seconds_max=LOAD_SECONDS), "load")
        assert {"ledger", "transformer", "loader"} == set().union(*(cluster.clients(node) for node in cluster.nodes))
        return await proven(rehearsal, before)


async def to_load(rehearsal: Rehearsal) -> None:
    """Take every step before the load, and start that."""
    for step in ("audit", "schema", "sample"):
        await rehearsal.step(step, seconds_max=LOAD_SECONDS)
        if step == "audit":
            await rehearsal.confirm()
    await rehearsal.approve()
    await rehearsal.pipedrive.control("DELETE", "journal")
    await rehearsal.start("load")


async def until_requests(rehearsal: Rehearsal, count: int) -> None:
    """Wait until Pipedrive has had so many requests in the load; each fault may cost half a minute, more on a busy machine."""

    async def has_them() -> bool:
        return int((await rehearsal.pipedrive.control("GET", "journal/summary"))["requests"]) >= count

    await rehearsal.until(has_them, what=f"{count} requests at Pipedrive", seconds_max=LOAD_SECONDS)


async def proven(rehearsal: Rehearsal, before: bytes) -> Sums:
    """Check both sides; answer the sums by entity."""
    await assert_complete(rehearsal)
    await assert_owned_once(rehearsal, before)
    return {
        one.source_entity: (one.extracted_count, one.loaded_count, one.matched_count, one.skipped_count, one.rejected_count, one.waiting_count)
        for one in (await rehearsal.summary()).entities
    }


@contextmanager
def killed(cluster: NatsCluster, node: Node) -> Iterator[None]:
    """A server is down."""
    cluster.kill(node)
    try:
        yield
    finally:
        cluster.start_node(node)


@contextmanager
def robbed(cluster: NatsCluster, node: Node) -> Iterator[None]:
    """A server is down and loses its disk."""
    cluster.kill(node)
    cluster.wipe(node)
    try:
        yield
    finally:
        cluster.start_node(node)


@contextmanager
def cut_off(cluster: NatsCluster, node: Node) -> Iterator[None]:
    """The others do not hear from a server; its clients reach it still."""
    with cluster.cut_off(node):
        yield


def follower(cluster: NatsCluster, stream: str) -> Node:
    """A server that does not lead a stream."""
    leader = cluster.wait_for_leader(stream)
    return next(node for node in cluster.nodes if node is not leader)


Fault = Callable[[NatsCluster, Node], AbstractContextManager[None]]
Choice = Callable[[NatsCluster, str], Node]
FAULTS: dict[str, tuple[Fault, Choice, str]] = {
    "a server is killed": (killed, follower, "MAPPED"),
    "the leader of the pages is killed": (killed, NatsCluster.wait_for_leader, "RAW"),
    "the leader of the batches is killed": (killed, NatsCluster.wait_for_leader, "MAPPED"),
    "a server loses its disk": (robbed, follower, "RAW"),
    "the leader loses its disk": (robbed, NatsCluster.wait_for_leader, "MAPPED"),
    "the leader is cut off": (cut_off, NatsCluster.wait_for_leader, "MAPPED"),
    "a server is cut off": (cut_off, follower, "RAW"),
}


@pytest.mark.requirement("X-04", "L-13", "L-14")
async def test_faults_of_one_server_after_the_other_cost_nothing_but_time(installed: Installation, cluster: NatsCluster, quiet: Sums) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await to_load(rehearsal)
        requests = REQUESTS_BEFORE
        for name in ("the leader of the batches is killed", "the leader loses its disk", "the leader is cut off"):
            await until_requests(rehearsal, requests)
            requests += REQUESTS_MEANWHILE
            fault, choose, stream = FAULTS[name]
            with fault(cluster, choose(cluster, stream)):
                await until_requests(rehearsal, requests)
            await asyncio.to_thread(cluster.wait_until_whole)
        rehearsal.expect_success(await rehearsal.finish(seconds_max=LOAD_SECONDS), "load")
        assert await proven(rehearsal, before) == quiet
    assert_nothing_was_refused(installed)


@pytest.mark.skipif(not EACH, reason="make nats-faults")
@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_of_one_server_costs_nothing_but_time(installed: Installation, cluster: NatsCluster, quiet: Sums, name: str) -> None:
    fault, choose, stream = FAULTS[name]
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await to_load(rehearsal)
        await until_requests(rehearsal, REQUESTS_BEFORE)
        with fault(cluster, choose(cluster, stream)):
            await until_requests(rehearsal, REQUESTS_BEFORE + REQUESTS_MEANWHILE)
        rehearsal.expect_success(await rehearsal.finish(seconds_max=LOAD_SECONDS), "load")
        assert await proven(rehearsal, before) == quiet
    await asyncio.to_thread(cluster.wait_until_whole)
    assert_nothing_was_refused(installed)


def assert_nothing_was_refused(installed: Installation) -> None:
    """Check that the services need nothing that the servers do not let them."""
    for path in installed.logs.glob("*.log"):
        assert "nats.refused" not in path.read_text(), path.name


@pytest.mark.skipif(not EACH, reason="make nats-faults")
async def test_without_a_majority_work_stands_still_and_goes_on_when_it_is_back(installed: Installation, cluster: NatsCluster, quiet: Sums) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await to_load(rehearsal)
        await until_requests(rehearsal, REQUESTS_BEFORE)
        with killed(cluster, cluster.nodes[0]), robbed(cluster, cluster.nodes[1]):
            await rehearsal.until(lambda: says(rehearsal, "NATS"), what="people are told that NATS does not answer")
        rehearsal.expect_success(await rehearsal.finish(seconds_max=LOAD_SECONDS), "load")
        assert await proven(rehearsal, before) == quiet


async def says(rehearsal: Rehearsal, word: str) -> bool:
    """Whether the migration's message names something."""
    migration = await rehearsal.migration()
    return word in migration.pause_message + migration.latest_run.message
