"""A real Prometheus scrapes a real migration: what dashboards and rules name is there, every panel shows data, and alerts fire when a fault comes."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.e2e.harness import Installation, Rehearsal, installation
from tests.fakes.prometheus import IS_INSTALLED, Prometheus, impatient, prometheus
from tests.observability.queries import RULES, of_dashboards, of_rules
from transload.embedded import ports
from transload.v1 import migration_service_pb2 as pb

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("prometheus"),
    pytest.mark.slow,
    pytest.mark.skipif(not IS_INSTALLED, reason="prometheus (Debian package) is not installed"),
]

SECONDS_MAX = 90.0
POLL_SECONDS = 0.5
SERVICES = 4


@dataclass(slots=True)
class Watched:
    """An installation under a Prometheus."""

    installed: Installation
    rehearsal: Rehearsal
    prometheus: Prometheus

    async def until(self, is_true: Callable[[], Awaitable[object]], what: Callable[[], object]) -> None:
        """Wait for something that the next scrapes bring."""
        deadline = time.monotonic() + SECONDS_MAX
        while not await is_true():
            assert time.monotonic() < deadline, what()
            await asyncio.sleep(POLL_SECONDS)


def _free_ports(count: int) -> int:
    """Answer the first of some free ports in a row."""
    rng = random.Random()
    while True:
        first = ports.choose([], rng)
        if all(ports.is_free(first + number) for number in range(count)):
            return first


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def watched(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    """A migration under way to its load."""
    folder = tmp_path_factory.mktemp("prometheus")
    env = {"TRANSLOAD_METRICS_LISTEN": f"127.0.0.1:{_free_ports(SERVICES)}"}
    async with installation(folder, env) as installed:
        targets = list(installed.stack.metrics_addresses.values())
        assert len(targets) == SERVICES
        async with (
            prometheus(folder / "prometheus", targets, impatient(RULES)) as server,
            installed.rehearsal(size=60) as rehearsal,
        ):
            await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
            yield Watched(installed, rehearsal, server)


async def test_every_panel_shows_data_of_a_run_and_every_metric_is_there(watched: Watched) -> None:
    await watched.rehearsal.start("load")
    left = {query.where + " " + query.text: query for query in of_dashboards()}

    async def all_answered() -> bool:
        # While the load runs and until the ledger's next look: what only a running run shows is seen once.
        for key, query in list(left.items()):
            if await watched.prometheus.ask(query.concrete):
                del left[key]
        return not left

    await watched.until(all_answered, lambda: sorted(left))
    await watched.rehearsal.finish()
    named = {name for query in (*of_dashboards(), *of_rules()) for name in query.metrics}
    assert named - await watched.prometheus.names() == set()


async def test_sums_are_those_of_the_ledger(watched: Watched) -> None:
    summary = await watched.rehearsal.summary()
    loaded = sum(entity.loaded_count for entity in summary.entities)
    spent = summary.token_count

    async def is_shown() -> bool:
        states = {one["metric"]["transload_state"]: float(one["value"][1]) for one in await watched.prometheus.ask(
            "sum by (transload_state) (transload_migration_source_records)"
        )}  # fmt: skip
        tokens = await watched.prometheus.ask("transload_migration_tokens_spent")
        extracted = sum(entity.extracted_count for entity in summary.entities)
        return states.get("loaded") == loaded and sum(states.values()) == extracted and bool(tokens) and float(tokens[0]["value"][1]) == spent

    assert loaded > 0
    await watched.until(is_shown, lambda: (loaded, spent))


async def test_labels_hold_no_record_and_nobody(watched: Watched) -> None:
    values: set[str] = set()
    for series in await watched.prometheus.ask('{job="transload"}'):
        values |= {value for label, value in series["metric"].items() if label not in {"__name__", "instance", "job"}}
    assert len(values) > 30
    assert not [value for value in values if "@" in value or (":" in value.removeprefix("python") and "/" in value)]
    secrets = watched.rehearsal.keys
    assert not [value for value in values if any(secret in value for secret in secrets)]


async def test_alerts_fire_when_a_service_dies_and_when_the_connection_is_refused(watched: Watched) -> None:
    quiet = await watched.prometheus.firing()
    assert not quiet & {"TransloadPausedByError", "TransloadServiceDown"}
    name = f"{watched.rehearsal.migration_id}-target"
    key = watched.installed.key(name)
    folder = watched.installed.stack.data_dir / "connections" / name
    (folder / "key").write_text("0" * len(key))
    await watched.rehearsal.start("reconcile")

    async def is_alarmed() -> bool:
        return "TransloadPausedByError" in await watched.prometheus.firing()

    async def is_missed() -> bool:
        return "TransloadServiceDown" in await watched.prometheus.firing()

    await watched.until(is_alarmed, lambda: "TransloadPausedByError does not fire")
    async with watched.installed.stack.held_down("transformer"):
        await watched.until(is_missed, lambda: "TransloadServiceDown does not fire")
    (folder / "key").write_text(key)
