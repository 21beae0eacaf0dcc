"""A run on a copy of what was prepared, with a death somewhere on the way."""

from __future__ import annotations

import copy
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services.ledger.domain import RunKind
from tests.fakes.clock import FakeClock
from tests.unit.ledger.coordinator.world import CrashError, World, open_world
from transload.v1.migration_service_pb2 import RunState


@asynccontextmanager
async def after_a_death(
    prepared: World, base: Path, folder: Path, kind: RunKind, at: int, *, arrange: Callable[[World], None] = lambda _: None
) -> AsyncIterator[World]:
    """Make a run of this kind with a death at the `at`-th point and a restart; answers the world at its end.

    Args:
        prepared: the world in which it can start.
        base: where its database is.
        folder: where the copy will be.
        kind: of the run.
        at: how many points are passed before the death; afterwards `fuse.points` says how many there were.
        arrange: what is put into the new world before.
    """
    shutil.copytree(base, folder)
    clock = FakeClock(prepared.clock.now(), is_automatic=True)
    async for world in open_world(folder, clock):
        arrange(world)
        world.pipedrive = copy.deepcopy(prepared.pipedrive)
        world.staging, world.selections = dict(prepared.staging), dict(prepared.selections)
        run_id = await world.start(kind)
        world.fuse.at, world.fuse.points = at, 0
        try:
            run = await world.finish(run_id)
        except CrashError:
            world.fuse.at = 0
            world.restart()
            run = await world.finish(run_id)
        assert run.state == RunState.RUN_STATE_SUCCEEDED, at
        yield world
