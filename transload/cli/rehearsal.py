"""The way of a rehearsal: simulators and embedded stack as processes, then every step of a migration through the public client.

The simulators are started as programs (`python -m sandbox...`) and known only by their addresses, as a real Pipedrive and a real source would be.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transload.cli import diff, output, views
from transload.cli.progress import RunProgress
from transload.client import Client
from transload.embedded.simulators import Simulator, simulator
from transload.embedded.stack import Stack
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import transformer_service_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

MIGRATION_ID = "rehearsal"
ACTOR = "rehearsal"


class RehearsalFailedError(Exception):
    """A step did not end as it should; the message says which and what to look at."""


@dataclass(frozen=True, slots=True)
class RehearsalOptions:
    """What is rehearsed."""

    seed: int
    client_count: int
    target_plan: str
    source_plan: str
    takes_back: bool
    is_kept: bool
    data_dir: Path


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: its name, how long it took and the Pipedrive tokens it spent."""

    name: str
    seconds: float
    token_count: int


@dataclass(slots=True)
class RehearsalResult:
    """How a rehearsal ended."""

    migration: pb.Migration
    summary: pb.Summary
    steps: list[StepResult]
    field_count: int
    mismatch_count: int
    open_review_count: int
    journal: dict[str, Any]
    diff_page: Path
    target_url: str
    rollback_is_equal: bool | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Whether everything is as it should be."""
        return not self.problems

    def lines(self) -> list[str]:
        """What a person reads last."""
        refused = self.journal.get("refused_429", 0)
        lines = [
            f"{self.summary.token_count:,} Pipedrive tokens spent; the audit planned {self.summary.planned_token_count:,} for the load",
            f"{self.mismatch_count:,} mismatches in {self.field_count:,} fields read back; {refused:,} calls refused with 429",
            f"{self.open_review_count:,} review items wait for a person or flag something",
            f"The sample's diff, as the person who signs sees it: {self.diff_page}",
        ]
        if self.rollback_is_equal is not None:
            lines.append("Taken back: the Pipedrive account is " + ("byte for byte as before." if self.rollback_is_equal else "NOT as before."))
        lines.append("Look around in it: make run KEEP=1. Move a real account: README.md")
        lines.extend(f"PROBLEM: {problem}" for problem in self.problems)
        return lines

    def as_data(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "is_ok": self.is_ok,
            "problems": self.problems,
            "migration": output.as_data(self.migration),
            "summary": output.as_data(self.summary),
            "steps": [{"name": step.name, "seconds": round(step.seconds, 3), "token_count": step.token_count} for step in self.steps],
            "tokens": {"spent": self.summary.token_count, "planned_for_load": self.summary.planned_token_count},
            "mismatch_count": self.mismatch_count,
            "compared_field_count": self.field_count,
            "open_review_count": self.open_review_count,
            "pipedrive_journal": self.journal,
            "rollback_is_equal": self.rollback_is_equal,
        }


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
            target = await stack.enter_async_context(
                simulator("pipedrive", *seed, "--plan", options.target_plan, data_dir=options.data_dir, connection="target")
            )
            source_arguments = (*seed, "--plan", options.source_plan, "--clients", str(options.client_count))
            source = await stack.enter_async_context(simulator("stel_order", *source_arguments, data_dir=options.data_dir, connection="source"))
            self._say(f"simulators: Pipedrive at {target.url}, STEL Order at {source.url}")
            embedded = Stack(self._options.data_dir, env=os.environ)
            await embedded.start()
            stack.push_async_callback(embedded.stop)
            address = embedded.addresses["ledger"]
            self._say(f"stack: NATS and four services are up; ledger at {address}")
            client = await stack.enter_async_context(Client.connect(address, actor=ACTOR))
            result = await self._migrate(client, source, target)
            on_result(result)
            if self._options.is_kept:
                self._say(f"Left running until Ctrl-C: Pipedrive sandbox {target.url}, ledger {address}")
                self._say(f"In another terminal: export TRANSLOAD_LEDGER_ADDRESS={address}; transload migration show; transload review list")
                await asyncio.Event().wait()
            return result

    async def _migrate(self, client: Client, source: Simulator, target: Simulator) -> RehearsalResult:
        before = await target.export()
        await client.create_migration(
            connector="stel_order",
            source_connection="source",
            target_connection="target",
            migration_id=MIGRATION_ID,
            display_name=f"Rehearsal, seed {self._options.seed}",
            options=pb.MigrationOptions(connector_json=f'{{"plan": "{self._options.source_plan}"}}'),
        )
        await self._step(client, "audit", client.start_audit)
        await self._confirm(client)
        await self._step(client, "schema", client.apply_schema)
        await self._step(client, "sample", client.run_sample)
        diff_page = await self._approve(client)
        await self._step(client, "load", client.start_load)
        await self._step(client, "reconcile", client.reconcile)
        mutations = await source.control("POST", "mutate", {"seed": self._options.seed})
        self._say(f"source: {_count(mutations)} changes made in STEL Order")
        await self._step(client, "delta", client.run_delta)
        await self._step(client, "reconcile again", client.reconcile)
        summary = await client.get_summary(MIGRATION_ID)
        mismatch_page = await anext(aiter(client.iterate_mismatches(MIGRATION_ID)))
        verified = await client.verify_audit(MIGRATION_ID)
        result = RehearsalResult(
            migration=await client.get_migration(MIGRATION_ID),
            summary=summary,
            steps=self._steps,
            field_count=mismatch_page.field_count,
            mismatch_count=mismatch_page.mismatch_count,
            open_review_count=(await client.get_migration(MIGRATION_ID)).open_review_count,
            journal=await target.control("GET", "journal/summary"),
            diff_page=diff_page,
            target_url=target.url,
        )
        if not views.sums_agree(summary):
            result.problems.append("the sums of an entity do not agree, or records are pending")
        if mismatch_page.mismatch_count:
            result.problems.append(f"{mismatch_page.mismatch_count} mismatches; see `transload reconcile`")
        refused = result.journal["refused_429"]
        if refused:
            result.problems.append(f"{refused} calls were refused with 429")
        if not verified.is_whole:
            result.problems.append(f"the audit trail is broken at event {verified.broken_sequence}")
        if self._options.takes_back:
            await self._step(client, "rollback", client.rollback)
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

    async def _step(self, client: Client, name: str, start: Callable[[str], Awaitable[pb.Run]]) -> None:
        """Starts a run, shows its progress, and insists that it succeeds."""
        self._say(f"{name} ...")
        began = time.monotonic()
        await start(MIGRATION_ID)
        with RunProgress() as progress:
            migration = await client.wait(MIGRATION_ID, progress.update)
        run = migration.latest_run
        if run.state != pb.RUN_STATE_SUCCEEDED:
            reason = run.message or migration.pause_message
            message = f"{name}: {output.enum_word(run, 'state')} {run.reason}: {reason}"
            raise RehearsalFailedError(message)
        self._steps.append(StepResult(name, time.monotonic() - began, run.token_count))

    async def _confirm(self, client: Client) -> None:
        """Takes the proposed mapping as it is, as a person does who finds it right."""
        mapping = await client.get_mapping(MIGRATION_ID)
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


def _count(mutations: Any) -> int:
    """How many changes the simulator reports."""
    changes = mutations.get("changes", mutations) if isinstance(mutations, dict) else mutations
    return len(changes)
