"""Ten migrations at once into two companies for as long as one likes: are memory and handles flat, and does no company's budget touch the other's?

The first company has few tokens, of which other apps take a part, and days that pass fast, so its migrations stop and go on again and again. The
second has plenty. What came where is judged by what the companies themselves noted: the journals and accounts of the two simulators.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.flatness import Curve, watched
from transload.client import Client
from transload.embedded.simulators import Simulator, simulator
from transload.embedded.stack import NATS, Stack
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

OPTIONS: Final = pb.MigrationOptions(connector_json='{"plan": "pro", "calls_per_minute": 0, "calls_per_day": 0}')
POOR: Final = ("--plan", "growth", "--seats", "1", "--spent", "44000", "--other-apps", "2000", "--clock-speed", "288")
"""60,000 tokens a day, of which others spend 48,000; a day passes in five minutes. A smaller plan has no room for the custom fields."""
RICH: Final = ("--plan", "ultimate", "--seats", "20")
WINDOWS: Final = {"poor": 40, "rich": 120}
"""Requests in 2 seconds that the plans allow to an API token."""
CHANGE_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 5.0
TOKENS_APART_MAX: Final = 0.05
_END_SECONDS: Final = 60.0


@dataclass(slots=True)
class Company:
    """One Pipedrive company, and what goes into it."""

    name: str
    simulator: Simulator
    migrations: list[str] = field(default_factory=list)
    steps: int = 0
    looks: list[tuple[int, bool]] = field(default_factory=list)
    """Requests so far and whether the budget was used up, look by look."""


@dataclass(slots=True)
class Soak:
    """One run.

    Attributes:
        problems: everything that should not be.
        figures: what was measured.
    """

    stack: Stack
    client: Client
    companies: dict[str, Company]
    source: Simulator
    until: float = 0.0
    problems: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    async def run(self, minutes: float, *, growth_max: float) -> None:
        """Let all migrations run for so long, then judge."""
        self.until = time.monotonic() + minutes * 60
        pids = {name: name for name in (*self.stack.names, NATS)}
        helpers = [asyncio.create_task(self._keep_changing()), asyncio.create_task(self._keep_looking())]
        async with watched(lambda: {name: self.stack.pid(name) for name in pids}, every_seconds=min(5.0, minutes)) as curves:
            ways = [self._go(company, migration_id) for company in self.companies.values() for migration_id in company.migrations]
            working = [asyncio.create_task(way) for way in ways]
            await asyncio.wait(working, timeout=minutes * 60)
        for task in helpers:
            task.cancel()
        # What waits for tomorrow's tokens would wait on; what works may end its step, so that nobody is in the middle of a call when we count.
        for company in self.companies.values():
            for migration_id in company.migrations:
                with suppress(TransloadCallError):  # nothing runs there any more
                    await self.client.pause(migration_id)
        await asyncio.wait(working, timeout=_END_SECONDS)
        for task in working:
            task.cancel()
        for result in await asyncio.gather(*working, return_exceptions=True):
            if isinstance(result, Exception):
                self.problems.append(f"{type(result).__name__}: {result}")
        self._judge_processes(curves, growth_max)
        for company in self.companies.values():
            await self._judge_company(company)
        self._judge_independence()

    async def _go(self, company: Company, migration_id: str) -> None:
        """Take one migration through its steps, then through deltas and reconciliations until the time is over."""
        client = self.client
        await client.create_migration(
            connector="stel_order",
            source_connection=f"source-{migration_id}",
            target_connection=company.name,
            migration_id=migration_id,
            options=OPTIONS,
        )
        await self._step(company, migration_id, client.start_audit)
        await client.confirm_mapping(migration_id, (await client.get_mapping(migration_id)).digest)
        await self._step(company, migration_id, client.apply_schema)
        await self._step(company, migration_id, lambda one: client.run_sample(one, 1))
        first = await anext(aiter(client.iterate_diff(migration_id)))
        await client.approve(migration_id, first.diff_digest)
        await self._step(company, migration_id, client.start_load)
        while time.monotonic() < self.until:
            await self._step(company, migration_id, client.run_delta)
            await self._step(company, migration_id, client.reconcile)

    async def _step(self, company: Company, migration_id: str, start: Callable[[str], Awaitable[pb.Run]]) -> None:
        if time.monotonic() >= self.until:
            raise asyncio.CancelledError
        await start(migration_id)
        migration = await self.client.wait(migration_id)
        if migration.latest_run.state == pb.RUN_STATE_SUCCEEDED:
            company.steps += 1
            return
        if time.monotonic() < self.until:
            run = migration.latest_run
            self.problems.append(f"{migration_id}: {pb.RunState.Name(run.state)} {run.reason} {run.message} {migration.pause_message}")
        raise asyncio.CancelledError

    async def _keep_changing(self) -> None:
        seed = 0
        while True:
            await asyncio.sleep(CHANGE_SECONDS)
            seed += 1
            await self.source.control("POST", "mutate", {"seed": seed})

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            migrations = {one.migration_id: one for one in await self.client.list_migrations()}
            for company in self.companies.values():
                kinds = {migrations[name].pause_kind for name in company.migrations if name in migrations}
                summary = await company.simulator.control("GET", "journal/summary")
                company.looks.append((int(summary["requests"]), pb.PAUSE_KIND_TARGET_QUOTA in kinds))

    def _judge_processes(self, curves: dict[str, Curve], growth_max: float) -> None:
        for name, curve in sorted(curves.items()):
            before, after, few, many = curve.quarters()
            self.figures[f"{name}, MiB in the second quarter"] = before
            self.figures[f"{name}, MiB in the last quarter"] = after
            self.figures[f"{name}, handles at most in the second quarter"] = few
            self.figures[f"{name}, handles at most in the last quarter"] = many
            if problem := curve.problem(name, growth_max=growth_max):
                self.problems.append(problem)
        for name in self.stack.names:
            if self.stack.restart_count(name):
                self.problems.append(f"{name} died")

    async def _judge_company(self, company: Company) -> None:
        """Compare what the company noted with what the ledger says was meant for it."""
        summary = await company.simulator.control("GET", "journal/summary")
        told = [await self.client.get_summary(migration_id) for migration_id in company.migrations if await self._is_there(migration_id)]
        ledger = sum(one.token_count for one in told)
        charged = int(summary["tokens"])
        name = company.name
        window = max((int(one["requests_in_2_seconds_max"]) for one in summary["credentials"].values()), default=0)
        self.figures |= {
            f"{name}, steps ended well": company.steps,
            f"{name}, requests": int(summary["requests"]),
            f"{name}, tokens charged by the company": charged,
            f"{name}, tokens in the ledger": ledger,
            f"{name}, refusals (429)": int(summary["refused_429"]),
            f"{name}, most requests in 2 s": window,
            f"{name}, looks with the budget used up": sum(is_used_up for _, is_used_up in company.looks),
            f"{name}, looks": len(company.looks),
        }
        if abs(charged - ledger) > TOKENS_APART_MAX * charged + 200:
            self.problems.append(f"{name} charged {charged} tokens, the ledger has {ledger}")
        if window > WINDOWS[name]:
            self.problems.append(f"{name}: {window} requests in 2 seconds")
        strangers = _strangers(json.loads(await company.simulator.export()), company)
        if strangers:
            self.problems.append(f"{name} holds records of migrations into the other company: {strangers[:3]}")

    async def _is_there(self, migration_id: str) -> bool:
        try:
            await self.client.get_migration(migration_id)
        except TransloadCallError:
            return False
        return True

    def _judge_independence(self) -> None:
        """The rich company is never refused and never waits; while the poor one waits, it works on as before."""
        rich, poor = self.companies["rich"], self.companies["poor"]
        if any(is_used_up for _, is_used_up in rich.looks) or self.figures["rich, refusals (429)"]:
            self.problems.append("the rich company's migrations were held up")
        rates: dict[bool, list[float]] = {True: [], False: []}
        for number in range(1, min(len(rich.looks), len(poor.looks))):
            rates[poor.looks[number][1]].append((rich.looks[number][0] - rich.looks[number - 1][0]) / LOOK_SECONDS)
        for is_waiting, words in ((True, "while the poor one waits"), (False, "while the poor one works")):
            if rates[is_waiting]:
                self.figures[f"rich, requests/s {words}"] = sum(rates[is_waiting]) / len(rates[is_waiting])


def _strangers(export: dict[str, Any], company: Company) -> list[str]:
    """External ids in an account that belong to no migration into it."""
    own = tuple(f"source-{migration_id}/" for migration_id in company.migrations)
    text = json.dumps(export)
    others = [f"source-{other}-{number}/" for other in ("poor", "rich") if other != company.name for number in range(1, 100)]
    found = [other for other in others if other in text]
    if not any(one in text for one in own) and company.steps:
        found.append("no record of its own")
    return found


async def soak(minutes: float, *, each: int, clients: int, growth_max: float) -> Soak:
    """Run `each` migrations into each of two companies for some minutes and answer what was seen."""
    with tempfile.TemporaryDirectory(prefix="transload-soak-") as name:
        folder = Path(name)
        async with AsyncExitStack() as exits:
            companies: dict[str, Company] = {}
            for company, options in (("poor", POOR), ("rich", RICH)):
                started = await exits.enter_async_context(simulator("pipedrive", *options, data_dir=folder, connection=company))
                companies[company] = Company(company, started, [f"{company}-{number}" for number in range(1, each + 1)])
            limits = ("--calls-per-minute", "0", "--daily-limit", "0", "--clean")
            source = await exits.enter_async_context(
                simulator("stel_order", "--clients", str(clients), *limits, data_dir=folder, connection="source")
            )
            # One source, known under a name of its own to each migration: what one loads is not the other's.
            for migration_id in [one for company in companies.values() for one in company.migrations]:
                shutil.copytree(folder / "connections" / "source", folder / "connections" / f"source-{migration_id}")
            stack = Stack(folder, env={**os.environ, "TRANSLOAD_QUOTA_PROBE_SECONDS": "10"})
            await stack.start()
            exits.push_async_callback(stack.stop)
            client = await exits.enter_async_context(Client.connect(stack.addresses["ledger"], actor="soak"))
            run = Soak(stack, client, companies, source)
            await run.run(minutes, growth_max=growth_max)
            return run


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print; leaves with code 1 when something was not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Ten migrations at once into two companies.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--each", type=int, default=5, help="migrations into each company")
    parser.add_argument("--clients", type=int, default=12, help="clients in the source's account")
    given = parser.parse_args(arguments)
    run = asyncio.run(soak(given.minutes, each=given.each, clients=given.clients, growth_max=1.10))
    for figure, value in run.figures.items():
        print(f"  {figure:<58} {value:>14,.1f}", flush=True)
    for problem in run.problems:
        print(f"PROBLEM {problem}", flush=True)
    sys.exit(1 if run.problems else 0)


if __name__ == "__main__":
    main()
