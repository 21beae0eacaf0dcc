"""A whole installation for tests: the stand-ins of source and target and the embedded stack, in one temporary folder on free ports.

`Installation` runs the stack and outlives a migration; `Rehearsal` is one migration between its own pair of simulators. Everything is
spoken to from outside: gRPC to the ledger, HTTP to the simulators, signals to processes.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transload.client import Client
from transload.embedded.simulators import Simulator, simulator
from transload.embedded.sources import AnySource, BundleSource, SimulatedSource, source_stand_in
from transload.embedded.stack import Stack
from transload.security import PLAIN, ChannelSecurity
from transload.v1 import migration_service_pb2 as pb

POLL_SECONDS = 0.05
RUN_SECONDS_MAX = 120.0
ACTOR = "e2e@example.com"

USERS = [
    {"name": "Lucía García", "email": "lucia.garcia@example.com", "active": True, "admin": True},
    {"name": "Mateo Ruiz", "email": "mateo.ruiz@example.com", "active": True},
    {"name": "Inés Soto", "email": "ines.soto@example.com", "active": True},
    {"name": "Tomás Vega", "email": "tomas.vega@example.com", "active": True},
    {"name": "Carmen Vidal", "email": "carmen.vidal@example.com", "active": False},
]
"""Pipedrive users: four that source employees match, one who is no longer active."""

FAST_SOURCE = ("--calls-per-minute", "0", "--daily-limit", "0")
"""No call limits, so that a test spends no time waiting for a source minute to pass."""


class StepFailedError(Exception):
    """A step did not end as the test wanted; the message has the migration as it stands."""


@dataclass(slots=True)
class Installation:
    """The embedded stack in a folder."""

    folder: Path
    stack: Stack
    client: Client
    env: dict[str, str]
    _exits: contextlib.AsyncExitStack
    security: ChannelSecurity = PLAIN
    _count: int = 0

    @property
    def logs(self) -> Path:
        """Folder of the services' logs."""
        return self.stack.data_dir / "logs"

    def kill(self, service: str) -> None:
        """Send SIGKILL to `nats` or a service; the supervisor starts it again."""
        pid = self.stack.pid(service)
        assert pid is not None, f"{service} is not running"
        os.kill(pid, signal.SIGKILL)

    async def wipe_nats(self) -> None:
        """Kill NATS and delete its whole store before it starts again."""
        async with self.stack.held_down("nats"):
            shutil.rmtree(self.stack.data_dir / "nats")

    async def cut_power(self) -> None:
        """Kill everything at once, then start it again in the same folder."""
        for name in ("nats", *self.stack.names):
            with contextlib.suppress(ProcessLookupError, AssertionError):
                self.kill(name)
        await self.stack.stop()
        self.stack = Stack(self.stack.data_dir, env=self.env, loaders=len(self.stack.loaders))
        await self.stack.start()
        self.client = await self._exits.enter_async_context(Client.connect(self.stack.addresses["ledger"], actor=ACTOR, security=self.security))

    @contextlib.asynccontextmanager
    async def rehearsal(
        self,
        *,
        connector: str = "stel_order",
        size: int = 150,
        source: Sequence[str] = (),
        target: Sequence[str] = (),
        options: pb.MigrationOptions | None = None,
        sample_size: int = 0,
        users: Sequence[Mapping[str, Any]] = USERS,
    ) -> AsyncIterator["Rehearsal"]:
        """Start the stand-ins of a source and of Pipedrive and create a migration between them.

        `source` and `target` are more options of theirs; `size` is how much the source holds; `users` are those Pipedrive has.
        """
        self._count += 1
        label = f"m{self._count}"
        async with contextlib.AsyncExitStack() as exits:
            users_file = self.folder / f"{label}-users.json"
            users_file.write_text(json.dumps(users))
            folder = self.stack.data_dir
            source_name, target_name = f"{label}-source", f"{label}-target"
            fast = FAST_SOURCE if connector == "stel_order" else ()
            stand_in = await exits.enter_async_context(source_stand_in(connector, *fast, *source, data_dir=folder, connection=source_name, size=size))
            pipedrive = await exits.enter_async_context(
                simulator("pipedrive", "--seed", "1", "--users", str(users_file), *target, data_dir=folder, connection=target_name)
            )
            rehearsal = Rehearsal(self, label, stand_in, pipedrive, sample_size)
            await self.client.create_migration(
                connector=connector,
                source_connection=source_name,
                target_connection=target_name,
                migration_id=label,
                options=options or rehearsal.default_options(),
            )
            try:
                yield rehearsal
            finally:
                # What a failed test leaves running must not keep the workers from the next test's migration.
                with contextlib.suppress(Exception):
                    await rehearsal.client.pause(label)

    def connect(self, name: str, url: str, key: str) -> None:
        """Write a connection's folder."""
        folder = self.stack.data_dir / "connections" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "url").write_text(url)
        (folder / "key").write_text(key)

    def key(self, name: str) -> str:
        """Return a connection's key."""
        return (self.stack.data_dir / "connections" / name / "key").read_text().strip()


@dataclass(slots=True)
class Rehearsal:
    """One migration from the stand-in of a source to the Pipedrive simulator."""

    installation: Installation
    migration_id: str
    source: AnySource
    pipedrive: Simulator
    sample_size: int = 0
    """Source records in the sample; 0 is the ledger's default."""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def stel(self) -> Simulator:
        """The simulator, where the source is one."""
        assert isinstance(self.source, SimulatedSource)
        return self.source.simulator

    @property
    def bundles(self) -> BundleSource:
        """What delivers the exports, where the source is one that does."""
        assert isinstance(self.source, BundleSource)
        return self.source

    def default_options(self) -> pb.MigrationOptions:
        """Options that suit an account without call limits."""
        limits = {"calls_per_minute": 0, "calls_per_day": 0} if isinstance(self.source, SimulatedSource) else {}
        return pb.MigrationOptions(connector_json=json.dumps({**self.source.options, **limits}))

    @property
    def keys(self) -> tuple[str, str]:
        """Keys of source and target."""
        return self.installation.key(f"{self.migration_id}-source"), self.installation.key(f"{self.migration_id}-target")

    @property
    def client(self) -> Client:
        """The ledger's client; changes when the stack was started again."""
        return self.installation.client

    async def migration(self) -> pb.Migration:
        """Return the migration as it stands."""
        return await self.client.get_migration(self.migration_id)

    async def summary(self) -> pb.Summary:
        """Return the sums per entity."""
        return await self.client.get_summary(self.migration_id)

    async def start(self, step: str) -> None:
        """Start one of the long steps and return at once."""
        client = self.client
        starts: dict[str, Callable[[str], Awaitable[pb.Run]]] = {
            "audit": client.start_audit,
            "schema": client.apply_schema,
            "sample": lambda migration_id: client.run_sample(migration_id, self.sample_size),
            "load": client.start_load,
            "delta": client.run_delta,
            "reconcile": client.reconcile,
            "rollback": client.rollback,
        }
        await starts[step](self.migration_id)

    async def finish(self, *, seconds_max: float = RUN_SECONDS_MAX) -> pb.Migration:
        """Wait until no run is active or a person is needed."""
        async with asyncio.timeout(seconds_max):
            while True:
                migration = await self.client.wait(self.migration_id)
                if migration.latest_run.state != pb.RUN_STATE_RUNNING or migration.pause_kind in {pb.PAUSE_KIND_ERROR, pb.PAUSE_KIND_USER}:
                    return migration
                await asyncio.sleep(POLL_SECONDS)

    async def step(self, step: str, *, seconds_max: float = RUN_SECONDS_MAX) -> pb.Migration:
        """Take one long step to its good end.

        Raises:
            StepFailedError: When it ends otherwise.
        """
        began = time.monotonic()
        await self.start(step)
        migration = await self.finish(seconds_max=seconds_max)
        self.seconds[step] = time.monotonic() - began
        return self.expect_success(migration, step)

    def expect_success(self, migration: pb.Migration, step: str) -> pb.Migration:
        """Return the migration when its latest run succeeded."""
        run = migration.latest_run
        if run.state != pb.RUN_STATE_SUCCEEDED:
            raise StepFailedError(f"{step}: {pb.RunState.Name(run.state)} {run.reason} {run.message} | {migration.pause_message}")
        return migration

    async def confirm(self) -> None:
        """Confirm the proposed mapping."""
        mapping = await self.client.get_mapping(self.migration_id)
        await self.client.confirm_mapping(self.migration_id, mapping.digest)

    async def approve(self) -> pb.GetDiffResponse:
        """Approve the sample's diff; returns its first page."""
        first = await anext(aiter(self.client.iterate_diff(self.migration_id)))
        await self.client.approve(self.migration_id, first.diff_digest)
        return first

    async def run_to(self, state: "pb.MigrationState.ValueType") -> pb.Migration:
        """Take every step up to a state, as a person does who agrees with everything."""
        migration = await self.migration()
        while migration.state < state:
            match migration.state:
                case pb.MIGRATION_STATE_CREATED:
                    await self.step("audit")
                case pb.MIGRATION_STATE_AUDITED:
                    await self.confirm()
                case pb.MIGRATION_STATE_CONFIRMED:
                    await self.step("schema")
                case pb.MIGRATION_STATE_PREPARED:
                    await self.step("sample")
                case pb.MIGRATION_STATE_SAMPLED:
                    await self.approve()
                case pb.MIGRATION_STATE_APPROVED:
                    await self.step("load")
                case _:
                    raise StepFailedError(f"no step leads on from {pb.MigrationState.Name(migration.state)}")
            migration = await self.migration()
        return migration

    async def until(self, is_true: Callable[[], Awaitable[bool]], *, what: str, seconds_max: float = RUN_SECONDS_MAX) -> None:
        """Wait until something observable holds.

        Raises:
            StepFailedError: When it does not in time.
        """
        deadline = time.monotonic() + seconds_max
        while not await is_true():
            if time.monotonic() > deadline:
                raise StepFailedError(f"not within {seconds_max:g} s: {what}")
            await asyncio.sleep(POLL_SECONDS)

    async def until_requests(self, count: int) -> None:
        """Wait until Pipedrive has had so many requests since its journal was cleared."""

        async def has_them() -> bool:
            summary = await self.pipedrive.control("GET", "journal/summary")
            return int(summary["requests"]) >= count

        await self.until(has_them, what=f"{count} requests at Pipedrive")

    async def truth(self) -> dict[str, Any]:
        """Return everything the STEL Order account holds, with its deliberate defects."""
        answer: dict[str, Any] = await self.stel.control("GET", "truth")
        return answer

    async def records(self, **filters: str) -> list[pb.RecordView]:
        """Return the ledger's records by state, entity or reason."""
        return [record async for record in self.client.iterate_records(self.migration_id, **filters)]

    async def review_items(self, reason: str = "") -> list[pb.ReviewItem]:
        """Return open review items."""
        return [item async for item in self.client.iterate_review_items(self.migration_id, reason=reason)]


@contextlib.asynccontextmanager
async def installation(
    folder: Path, env: Mapping[str, str] | None = None, *, loaders: int = 1, security: ChannelSecurity = PLAIN
) -> AsyncIterator[Installation]:
    """Start the embedded stack in `folder`; stops it at the end. Settings of the tests themselves (`TRANSLOAD_CHAOS_...`) are kept from it.

    `security` is how its client calls the ledger.
    """
    async with contextlib.AsyncExitStack() as exits:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TRANSLOAD_CHAOS_")} | dict(env or {})
        stack = Stack(folder / "stack", env=environment, loaders=loaders)
        await stack.start()
        client = await exits.enter_async_context(Client.connect(stack.addresses["ledger"], actor=ACTOR, security=security))
        installed = Installation(folder, stack, client, environment, exits, security)
        try:
            yield installed
        finally:
            await installed.stack.stop()
