"""A migration between simulators without quotas, driven to the point that is measured."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transload.client import Client
from transload.embedded.simulators import Simulator, simulator
from transload.embedded.stack import Stack
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MIGRATION_ID = "bench"


@dataclass(frozen=True, slots=True)
class Installation:
    """Simulators, stack and client of one benchmark."""

    folder: Path
    stack: Stack
    client: Client
    source: Simulator
    target: Simulator

    async def step(self, start: Callable[[str], Awaitable[pb.Run]]) -> pb.Run:
        """Takes one step to its good end; answers its run."""
        await start(MIGRATION_ID)
        migration = await self.client.wait(MIGRATION_ID)
        assert migration.latest_run.state == pb.RUN_STATE_SUCCEEDED, f"{migration.latest_run} {migration.pause_message}"
        return migration.latest_run

    async def prepare(self) -> None:
        """Takes all steps up to the approval, with the smallest sample."""
        await self.client.create_migration(
            connector="stel_order",
            source_connection="source",
            target_connection="target",
            migration_id=MIGRATION_ID,
            options=pb.MigrationOptions(connector_json='{"plan": "pro", "calls_per_minute": 0, "calls_per_day": 0}'),
        )
        await self.step(self.client.start_audit)
        mapping = await self.client.get_mapping(MIGRATION_ID)
        await self.client.confirm_mapping(MIGRATION_ID, mapping.digest)
        await self.step(self.client.apply_schema)
        await self.step(lambda migration_id: self.client.run_sample(migration_id, 1))
        first = await anext(aiter(self.client.iterate_diff(MIGRATION_ID)))
        await self.client.approve(MIGRATION_ID, first.diff_digest)


@contextlib.asynccontextmanager
async def installation(*, client_count: int, target_arguments: tuple[str, ...] = ()) -> AsyncIterator[Installation]:
    """Runs simulators without limits and a stack in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="transload-bench-") as name:
        folder = Path(name)
        async with contextlib.AsyncExitStack() as exits:
            target = await exits.enter_async_context(
                simulator("pipedrive", "--limits", "off", *target_arguments, data_dir=folder, connection="target")
            )
            limits = ("--calls-per-minute", "0", "--daily-limit", "0", "--clean")
            source = await exits.enter_async_context(
                simulator("stel_order", "--clients", str(client_count), *limits, data_dir=folder, connection="source")
            )
            stack = Stack(folder, env=os.environ)
            await stack.start()
            exits.push_async_callback(stack.stop)
            client = await exits.enter_async_context(Client.connect(stack.addresses["ledger"], actor="bench"))
            yield Installation(folder, stack, client, source, target)
