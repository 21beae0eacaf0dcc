"""The plan of a load held against the load itself: simulated days with the real code, for accounts of three shapes.

The simulation of `tests/simulation` runs all services, the simulators of source and target and their clock in one process, so that days cost no
waiting. Each account is planned after its audit and then loaded to the end; tokens are taken from what the runs spent, days and hours from the clock.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tests.simulation.journey import Journey, Plan
from tests.simulation.network import Latency
from tests.simulation.operator import ACTOR, MIGRATION, Operator, default_options
from tests.simulation.simulation import simulate
from tests.simulation.stand_ins import EPOCH
from tests.simulation.world import Size
from transload.client import Client
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from tests.simulation.loop import SimulatedLoop

DAY: Final = 86_400.0
SHAPES: Final = {
    "many small clients": Size(is_small=False, clients=250, documents=0.3, files=0.5),
    "few clients, many documents and lines": Size(is_small=False, clients=16, documents=6.0, lines=3.0),
    "many files and notes": Size(is_small=False, clients=100, files=25.0),
}
BOUNDS: Final[dict[str, dict[str, Any]]] = {
    "tokens bind": {"seats": 1, "top_up": -57_000, "other_apps": 6},
    "window binds": {"seats": 60},
}
"""A day of 3,000 tokens, of which other apps spend the 5 % that are kept for them, so that loads small enough to be simulated take several days;
and a day of 3,600,000."""
API: Final = "api"
WINDOW_FACTOR: Final = 4
"""How many times as large the account is where the window binds: some minutes of calls are measured better than some seconds."""
STEPS_MAX: Final = 50_000_000
AWAKE_SECONDS: Final = 40.0
"""How long a pause is lived through at its beginning and before its end."""


@dataclass(slots=True)
class Found:
    """One account, planned and loaded.

    Attributes:
        before: the plan after the audit.
        after: the plan after everything was read back, with the truth beside it.
        seconds: from the plan to that end.
        days: on which tokens were spent from the plan to that end.
    """

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    days: int = 0


@dataclass(slots=True)
class Patient(Operator):
    """Sleeps through pauses for quota: the clock leaps to shortly before the account's midnight."""

    loop: SimulatedLoop = field(kw_only=True)
    paused_since: float | None = None

    def watch(self, migration: pb.Migration) -> None:
        """Leap when a pause has lasted for a while."""
        now = self.loop.time()
        if migration.pause_kind != pb.PAUSE_KIND_TARGET_QUOTA:
            self.paused_since = None
        elif self.paused_since is None:
            self.paused_since = now
        elif now - self.paused_since > AWAKE_SECONDS:
            self.loop.leap(max(0.0, DAY - (EPOCH.timestamp() + now) % DAY - AWAKE_SECONDS))
            # The pause may outlast midnight by some seconds; only a new one is slept through again.
            self.paused_since = float("inf")


@dataclass(slots=True)
class PlannedJourney(Journey):
    """Audit, plan, load, read everything back, plan again."""

    found: Found = field(default_factory=Found)
    seconds_max: float = 60 * DAY

    async def run(self) -> None:
        """Migrate and note what was planned and what became of it."""
        world, loop = self.world, self.world.loop
        loop.steps_max = STEPS_MAX
        world.network.latency = Latency(usual_seconds=0.1)
        world.install()
        async with Client.connect("ledger:1", actor=ACTOR) as client:
            operator = self.operator = Patient(client, world.trace, lambda _step: None, patience_seconds=self.seconds_max, sample_size=0, loop=loop)
            await operator.create(default_options())
            await operator.step("audit", client.start_audit)
            self.found.before = json.loads(await client.plan_load(MIGRATION))
            began, day = loop.time(), self._day()
            await operator.prepare_audited()
            await operator.load()
            await operator.reconcile()
            self.found.seconds, self.found.days = loop.time() - began, self._day() - day + 1
            self.found.after = json.loads(await client.plan_load(MIGRATION))

    def _day(self) -> int:
        """Answer the number of the account's day."""
        return int((EPOCH.timestamp() + self.world.loop.time()) // DAY)


def measure(size: Size, *, seed: int = 1) -> Found:
    """Plan and load an account.

    Raises:
        RuntimeError: the load did not come to its end.
    """
    found = Found()
    verdict = simulate(seed, plan=Plan(size=size), journey=lambda world, plan: PlannedJourney(world, plan, found=found))
    if verdict.problems:
        raise RuntimeError("; ".join(verdict.problems))
    return found


def figures_of(found: Found) -> dict[str, float]:
    """Answer by how much the truth differs from the plan, in percent: all tokens, the worst step, days, hours."""
    steps = [line for line in found.after["truth"] if line["planned"]]
    planned, spent = sum(line["planned"] for line in steps), sum(line["spent"] for line in steps)
    days = found.before["days"]
    return {
        "tokens planned": planned,
        "tokens off, %": _off(spent, planned),
        "worst step off, %": max((_off(line["spent"], line["planned"]) for line in steps), key=abs),
        "days planned": days["days"]["likely"],
        "days off, %": _off(found.days, days["days"]["likely"]),
        "hours planned": days["hours"]["likely"],
        "hours off, %": _off(found.seconds / 3600, days["hours"]["likely"]),
    }


def _off(truth: float, planned: float) -> float:
    return (truth - planned) / planned * 100


async def run() -> dict[str, float]:
    """Answer the figures. Simulations have event loops of their own, so they run beside this one."""
    return await asyncio.to_thread(_figures)


def _figures() -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, size in SHAPES.items():
        for bound, account in BOUNDS.items():
            clients = size.clients * (WINDOW_FACTOR if bound == "window binds" else 1)
            account_of = replace(size, clients=clients, plan="growth", token_kind=API, loaders=1, **account)
            found = figures_of(measure(account_of))
            figures |= {f"{name}, {bound}: {what}": value for what, value in found.items()}
    return figures
