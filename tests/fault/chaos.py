"""Random services die while a migration runs, chosen by a seed; a person who starts steps and waits, calm about outages."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import grpc

from tests.e2e.harness import POLL_SECONDS, Installation, Rehearsal, StepFailedError
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb

NATS_STORE = "nats and its store"
STEP_SECONDS_MAX = 300.0
START_SECONDS_MAX = 20.0
STANDSTILL_SECONDS_MAX = 20.0
"""Longest time between deaths. A budget's new arbiter grants nothing for up to 15 s; who kills it sooner again lets nobody work."""
ALONE_SHARE = 0.8
"""How many deaths wait until everything has come back from the one before; the others come on top of each other."""
RESUMES_MAX = 20
_ANSWERLESS = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Killer:
    """Kills one process after the other, sometimes two at once, sometimes NATS with everything it stored."""

    installed: Installation
    rehearsal: Rehearsal
    rng: random.Random
    killed: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Kill until cancelled."""
        names = ("nats", *self.installed.stack.names, NATS_STORE)
        while True:
            await self._let_work(requests=self.rng.randint(10, 60), seconds_max=STANDSTILL_SECONDS_MAX)
            if self.rng.random() < ALONE_SHARE:
                await self._let_start()
            for name in self.rng.sample(names, 2 if self.rng.random() < 0.2 else 1):
                await self._kill(name)

    async def _let_start(self) -> None:
        """Wait until everything runs again, for a while: on a busy machine nothing would ever get done else."""
        deadline = time.monotonic() + START_SECONDS_MAX
        for name in self.installed.stack.names:
            while time.monotonic() < deadline and not await self.installed.stack.is_serving(name):  # noqa: ASYNC110 - happens in another process
                await asyncio.sleep(POLL_SECONDS)

    async def _kill(self, name: str) -> None:
        try:
            if name == NATS_STORE:
                async with self.installed.stack.held_down("nats"):
                    shutil.rmtree(self.installed.stack.data_dir / "nats")
            else:
                self.installed.kill(name)
        except (AssertionError, ProcessLookupError):
            return  # it was down already
        self.killed[name] += 1
        sys.stderr.write(f"killed {name}\n")

    async def _let_work(self, *, requests: int, seconds_max: float) -> None:
        """Wait until Pipedrive has had so many more requests, or for so long: how often something dies follows what gets done, on any machine."""
        deadline = time.monotonic() + seconds_max
        first = await self._requests()
        while time.monotonic() < deadline and await self._requests() < first + requests:  # noqa: ASYNC110 - happens in another process
            await asyncio.sleep(POLL_SECONDS)

    async def _requests(self) -> int:
        return int((await self.rehearsal.pipedrive.control("GET", "journal/summary"))["requests"])


@contextlib.asynccontextmanager
async def killing(killer: Killer) -> AsyncIterator[None]:
    """Kill while the block runs.

    Raises:
        Exception: what the killer itself stumbled over.
    """
    task = asyncio.create_task(killer.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def insist(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Call until the ledger answers."""
    while True:
        try:
            return await call()
        except TransloadCallError as error:
            if error.code not in _ANSWERLESS:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def take_step(rehearsal: Rehearsal, step: str) -> None:
    """Take a long step to its good end, whatever dies meanwhile. A pause because something was away is ended as a person would.

    Raises:
        StepFailedError: When it ends otherwise, or not in time.
    """
    client, name = rehearsal.client, rehearsal.migration_id
    before = (await insist(lambda: client.get_migration(name))).latest_run.run_id
    try:
        await insist(lambda: rehearsal.start(step))
    except TransloadCallError:
        # The answer to a start that took effect may have been lost; then it runs.
        if (await insist(lambda: client.get_migration(name))).latest_run.run_id == before:
            raise
    resumes = 0
    deadline = time.monotonic() + STEP_SECONDS_MAX
    while True:
        migration = await insist(lambda: client.get_migration(name))
        if migration.latest_run.run_id != before and migration.latest_run.state != pb.RUN_STATE_RUNNING:
            rehearsal.expect_success(migration, step)
            return
        if migration.pause_kind == pb.PAUSE_KIND_ERROR:
            resumes += 1
            if resumes > RESUMES_MAX:
                raise StepFailedError(f"{step}: held again and again: {migration.pause_message}")
            with contextlib.suppress(TransloadCallError):
                await client.resume(name)
        if time.monotonic() > deadline:
            raise StepFailedError(f"{step}: not within {STEP_SECONDS_MAX:g} s: {migration}")
        await asyncio.sleep(POLL_SECONDS)


async def go_to_approval(rehearsal: Rehearsal) -> None:
    """Take every step before the load."""
    await take_step(rehearsal, "audit")
    await insist(rehearsal.confirm)
    await take_step(rehearsal, "schema")
    await take_step(rehearsal, "sample")
    await insist(rehearsal.approve)
