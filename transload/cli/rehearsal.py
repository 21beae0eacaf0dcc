"""The way of a rehearsal: simulators and embedded stack as processes, then every step of a migration through the public client.

The stand-ins are started as programs (`python -m sandbox...`) and known only by their addresses, as a real Pipedrive and a real source would be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grpc import aio

from transload.cli import diff, output, views
from transload.cli.fewer_fields import leave_out
from transload.cli.pacing import Forecast, Pace
from transload.cli.progress import RunProgress
from transload.cli.quota_pause import QuotaPause, account_clock
from transload.cli.rehearsal_result import RehearsalResult, StepResult
from transload.client import Client
from transload.embedded.simulators import Simulator, simulator
from transload.embedded.sources import AnySource, source_stand_in
from transload.embedded.stack import Stack
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import quota_service_pb2, transformer_service_pb2
from transload.v1.quota_service_pb2_grpc import QuotaServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

MIGRATION_ID = "rehearsal"
ACTOR = "rehearsal"
SAMPLE: Final = "sample"
SPENT_SHARE: Final = 0.5
"""Part of the day's tokens that the customer's other apps have spent when a rehearsal begins: no company gives a migration its whole day."""
_KEPT_SHARE: Final = 0.1
_MORNING_HOUR: Final = 8
# A quarter of an hour of the account's clock, but no more often than the loader takes up its work again.
_LOOK_SECONDS: Final = 900.0
_LOOK_SECONDS_MIN: Final = 5.0
_OF_OTHERS: Final = frozenset(
    f"TRANSLOAD_{name}"
    for name in ("TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE", "ACCESS_FILE", "SERVICE_TOKEN", "SERVICE_TOKEN_FILE", "TOKEN", "TOKEN_FILE")
)


class RehearsalFailedError(Exception):
    """A step did not end as it should; the message says which and what to look at."""


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The simulated Pipedrive company.

    Attributes:
        plan: its plan.
        seats: paid seats.
        token_kind: `api` or `oauth`: whose calls in 2 seconds it allows.
        spent: tokens other apps have spent today; None: `SPENT_SHARE` of the day's.
        other_apps: tokens an hour they go on to spend.
        clock_speed: seconds of its wall clock in a real one.
    """

    plan: str
    seats: int
    token_kind: str
    spent: int | None
    other_apps: int
    clock_speed: float

    def arguments(self, now: datetime) -> tuple[str, ...]:
        """The simulator's command line. A clock that runs faster begins at the next morning: all of a working day lies before it."""
        given = ("--plan", self.plan, "--seats", str(self.seats), "--token-kind", self.token_kind, "--other-apps", str(self.other_apps))
        if self.clock_speed == 1:
            return given
        morning = now.replace(hour=_MORNING_HOUR, minute=0, second=0, microsecond=0)
        morning += timedelta(days=morning < now)
        return (*given, "--clock-speed", str(self.clock_speed), "--clock-start", morning.isoformat())


@dataclass(frozen=True, slots=True)
class RehearsalOptions:
    """What is rehearsed."""

    seed: int
    source: str
    size: int
    source_plan: str
    target: TargetOptions
    takes_back: bool
    is_kept: bool
    data_dir: Path


class Rehearsal:
    """Runs all steps once."""

    def __init__(self, options: RehearsalOptions, *, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._steps: list[StepResult] = []

    async def run(self, on_result: Callable[[RehearsalResult], None]) -> RehearsalResult:
        """Starts everything, takes all steps, stops everything.

        Raises:
            RehearsalFailedError: when a process does not start or a step ends otherwise than it should.
        """
        options = self._options
        async with contextlib.AsyncExitStack() as stack:
            seed = ("--seed", str(options.seed))
            database = options.data_dir / "pipedrive.db"
            target_arguments = options.target.arguments(datetime.now(UTC))
            target = await stack.enter_async_context(
                simulator("pipedrive", *seed, *target_arguments, "--db", str(database), data_dir=options.data_dir, connection="target")
            )
            source = await stack.enter_async_context(
                source_stand_in(
                    options.source,
                    data_dir=options.data_dir,
                    connection="source",
                    seed=options.seed,
                    size=options.size,
                    plan=options.source_plan,
                )
            )
            self._say(f"Look at the account while it fills: {target.url}/")
            self._say(f"stand-ins: Pipedrive at {target.url}, {source.title} at {source.place}")
            await self._let_others_spend(target)
            embedded = Stack(self._options.data_dir, env=_environment(options.target.clock_speed))
            await embedded.start()
            stack.push_async_callback(embedded.stop)
            address = embedded.addresses["ledger"]
            self._say(f"stack: NATS and four services are up; ledger at {address}")
            client = await stack.enter_async_context(Client.connect(address, actor=ACTOR))
            quota = await stack.enter_async_context(_quota_of(embedded.addresses["loader"]))
            result = await self._migrate(client, source, target, quota)
            on_result(result)
            if self._options.is_kept:
                self._say(f"Look at the account: {target.url}/ It and the ledger at {address} run until Ctrl-C.")
                self._say(f"In another terminal: export TRANSLOAD_LEDGER_ADDRESS={address}; transload migration show; transload review list")
                await _until_stopped()
                self._say("stopping ...")
            else:
                self._say(f"Look at the account again: {_command()} sandbox pipedrive --db {_short(database)}, then http://127.0.0.1:8090/")
                self._say("Look around in everything: make run KEEP=1. Move a real account: README.md")
            return result

    async def _let_others_spend(self, target: Simulator) -> None:
        """Spends what other apps have spent today, and says so."""
        options = self._options.target
        budget = (await target.control("GET", "budget"))["budget"]
        spent = int(budget * SPENT_SHARE) if options.spent is None else min(options.spent, budget)
        await target.control("POST", "budget", {"spend": spent})
        clock = account_clock(await target.control("GET", "clock"))
        more = f" and go on to spend {options.other_apps:,} an hour" if options.other_apps else ""
        self._say(
            f"account: plan {options.plan}, {options.seats} seat{'s' * (options.seats > 1)}, {budget:,} tokens a day;"
            f" the customer's other apps have spent {spent:,} of them today{' (by default half)' * (options.spent is None)}{more}."
            f" Its clock shows {clock.words()}"
        )

    async def _forecast(self, client: Client, target: Simulator, quota: QuotaServiceStub) -> None:
        """Says before the load how long it takes at least and whether it will pause."""
        state = await quota.GetQuota(quota_service_pb2.GetQuotaRequest(connection="target"))
        journal = await target.control("GET", "journal/summary")
        summary = await client.get_summary(MIGRATION_ID)
        loaded = next(step.token_count for step in self._steps if step.name == SAMPLE)
        forecast = Forecast(
            planned_tokens=max(0, summary.planned_token_count - loaded),
            left_tokens=state.daily_token_remaining,
            kept_tokens=int(state.daily_token_limit * _KEPT_SHARE),
            window_limit=state.window_limit,
            tokens_per_call=journal["tokens"] / journal["requests"],
            clock=account_clock(await target.control("GET", "clock")),
        )
        for line in forecast.lines():
            self._say(f"load: {line}")

    async def _migrate(self, client: Client, source: AnySource, target: Simulator, quota: QuotaServiceStub) -> RehearsalResult:
        before = await target.export()
        await client.create_migration(
            connector=self._options.source,
            source_connection="source",
            target_connection="target",
            migration_id=MIGRATION_ID,
            display_name=f"Rehearsal, seed {self._options.seed}",
            options=pb.MigrationOptions(connector_json=json.dumps(dict(source.options))),
        )
        await self._step(client, target, "audit", client.start_audit)
        await self._confirm(client)
        await self._step(client, target, "schema", client.apply_schema)
        await self._step(client, target, SAMPLE, client.run_sample)
        diff_page = await self._approve(client)
        await self._forecast(client, target, quota)
        await self._step(client, target, "load", client.start_load)
        await self._step(client, target, "reconcile", client.reconcile)
        self._say(f"source: {await source.change(self._options.seed)}")
        await self._step(client, target, "delta", client.run_delta)
        await self._step(client, target, "reconcile again", client.reconcile)
        summary = await client.get_summary(MIGRATION_ID)
        mismatch_page = await anext(aiter(client.iterate_mismatches(MIGRATION_ID)))
        verified = await client.verify_audit(MIGRATION_ID)
        window_limit = (await quota.GetQuota(quota_service_pb2.GetQuotaRequest(connection="target"))).window_limit
        result = RehearsalResult(
            migration=await client.get_migration(MIGRATION_ID),
            summary=summary,
            steps=self._steps,
            field_count=mismatch_page.field_count,
            mismatch_count=mismatch_page.mismatch_count,
            open_review_count=(await client.get_migration(MIGRATION_ID)).open_review_count,
            journal=await target.control("GET", "journal/summary"),
            pace=Pace.of(await target.journal(), window_limit),
            window_limit=window_limit,
            diff_page=diff_page,
            target_url=target.url,
        )
        if not views.sums_agree(summary):
            result.problems.append("the sums of an entity do not agree, or records are pending")
        if mismatch_page.mismatch_count:
            result.problems.append(f"{mismatch_page.mismatch_count} mismatches; see `transload reconcile`")
        if result.pace.refused_for_pace:
            result.problems.append(f"{result.pace.refused_for_pace} calls were refused for going too fast (429)")
        if not verified.is_whole:
            result.problems.append(f"the audit trail is broken at event {verified.broken_sequence}")
        if self._options.takes_back:
            plan = await client.plan_rollback(MIGRATION_ID)
            await self._step(client, target, "rollback", client.rollback)
            result.rollback_tokens = (await client.get_migration(MIGRATION_ID)).latest_run.token_count
            result.rollback_planned_tokens, result.load_tokens = plan.token_count, plan.load_token_count
            after = await target.export()
            result.rollback_is_equal = after == before
            (self._options.data_dir / "pipedrive-before.json").write_bytes(before)
            (self._options.data_dir / "pipedrive-after.json").write_bytes(after)
            if not result.rollback_is_equal:
                result.problems.append(
                    "the Pipedrive account after rollback differs from the account before: compare pipedrive-before.json and pipedrive-after.json"
                )
            result.migration = await client.get_migration(MIGRATION_ID)
        return result

    async def _step(self, client: Client, target: Simulator, name: str, start: Callable[[str], Awaitable[pb.Run]]) -> None:
        """Starts a run, shows its progress, and insists that it succeeds."""
        self._say(f"{name} ...")
        began = time.monotonic()
        await start(MIGRATION_ID)
        with RunProgress() as progress:
            async with QuotaPause(target, progress, self._say) as pause:

                def on_progress(response: pb.WatchMigrationResponse) -> None:
                    progress.update(response)
                    pause.update(response)

                migration = await client.wait(MIGRATION_ID, on_progress)
        run = migration.latest_run
        if run.state != pb.RUN_STATE_SUCCEEDED:
            reason = run.message or migration.pause_message
            message = f"{name}: {output.enum_word(run, 'state')} {run.reason}: {reason}"
            raise RehearsalFailedError(message)
        self._steps.append(StepResult(name, time.monotonic() - began, pause.seconds, run.token_count))

    async def _fitting(self, client: Client) -> pb.Mapping:
        """The proposed mapping; without its last custom fields where the account's plan takes no more."""
        mapping = await client.get_mapping(MIGRATION_ID)
        room = json.loads(await client.get_audit(MIGRATION_ID)).get("target", {}).get("custom_fields", {})
        if (room.get("left_after") or 0) >= 0:
            return mapping
        shorter, left_out = leave_out(mapping.mapping_yaml, -room["left_after"])
        self._say(
            f"mapping: the plan takes {room['cap']} custom fields, {room['used']} are there and {room['needed']} were proposed;"
            f" {left_out.total()} are left out, as a person would ({', '.join(f'{entity} {count}' for entity, count in left_out.items())})"
        )
        return await client.edit_mapping(MIGRATION_ID, shorter, base_digest=mapping.digest)

    async def _confirm(self, client: Client) -> None:
        """Takes the proposed mapping as it is, as a person does who finds it right."""
        mapping = await self._fitting(client)
        errors = [finding for finding in mapping.findings if finding.severity == transformer_service_pb2.FINDING_SEVERITY_ERROR]
        if errors:
            message = "the proposed mapping has errors: " + "; ".join(f"{finding.path}: {finding.message}" for finding in errors[:5])
            raise RehearsalFailedError(message)
        await client.confirm_mapping(MIGRATION_ID, mapping.digest)
        self._say(f"mapping: version {mapping.version} confirmed, {len(mapping.findings)} remarks")

    async def _approve(self, client: Client) -> Path:
        """Writes the diff page and approves it when no field differs."""
        sample = await diff.fetch(client, MIGRATION_ID)
        page = self._options.data_dir / "diff.html"
        page.write_text(diff.render_html(sample), encoding="utf-8")
        self._say(f"diff: {len(sample.records):,} records, {sample.field_count:,} fields, {sample.different_count:,} differ → {page}")
        if sample.different_count:
            message = f"{sample.different_count} fields of the sample differ; open {page}"
            raise RehearsalFailedError(message)
        await client.approve(MIGRATION_ID, sample.diff_digest)
        return page


def _environment(clock_speed: float) -> dict[str, str]:
    """Settings of the stack: where the account's days pass faster, a used-up budget is looked at sooner."""
    look = {"TRANSLOAD_QUOTA_PROBE_SECONDS": f"{max(_LOOK_SECONDS_MIN, _LOOK_SECONDS / clock_speed):g}"} if clock_speed > 1 else {}
    # What is kept back is stated, because the forecast tells it.
    shares = dict.fromkeys(("TRANSLOAD_QUOTA_ROLLBACK_SHARE", "TRANSLOAD_QUOTA_OTHERS_SHARE"), f"{_KEPT_SHARE / 2:g}")
    # A rehearsal is a world of its own on this machine; who may call an installation elsewhere does not concern it.
    around = {name: value for name, value in os.environ.items() if name not in _OF_OTHERS}
    return {**around, **look, **shares}


@contextlib.asynccontextmanager
async def _quota_of(address: str) -> AsyncIterator[QuotaServiceStub]:
    """The loader's quota: what it has learned of the budget from Pipedrive's headers."""
    async with aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield QuotaServiceStub(channel)


def _command() -> str:
    """How this command is called from the working folder."""
    return _short(Path(sys.executable).with_name("transload"))


def _short(path: Path) -> str:
    """A path as a person types it: from the working folder on where it lies below."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


async def _until_stopped() -> None:
    """Waits for Ctrl-C or SIGTERM, which are the ordinary end here."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
