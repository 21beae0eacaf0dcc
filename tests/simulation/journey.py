"""What is done in one simulation, from an empty ledger to the verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from tests.simulation.faults import Storm, Weather
from tests.simulation.judge import Judge
from tests.simulation.operator import ACTOR, Operator, default_options
from tests.simulation.world import Size
from transload.client import Client

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.world import World


SECONDS_MAX: Final = 10 * 24 * 3600.0
"""Virtual time after which a simulation counts as stuck."""
DELTA_SECONDS: Final = 30.0
"""From the end of the load to the changes a delta picks up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed does."""

    size: Size = field(default_factory=Size)
    has_delta: bool = False
    has_rollback: bool = False
    weather: Weather = field(default_factory=Weather)

    @classmethod
    def drawn(cls, draw: Random) -> Self:
        """Draw a plan."""
        plan, token_kind = draw.choice((("growth", "api"), ("growth", "api"), ("growth", "oauth"), ("premium", "oauth")))
        size = Size(
            clients=draw.choice((1, 1, 2, 3)),
            is_clean=draw.random() < 0.8,
            loaders=draw.choice((1, 2, 2, 3)),
            plan=plan,
            token_kind=token_kind,
            retry_after=draw.choice(("always", "window", "never")),
            charges_errors=draw.random() < 0.5,
            has_daily_headers=draw.random() < 0.8,
            search_lag_seconds=draw.choice((0.0, 5.0, 60.0)),
        )
        has_delta, has_rollback = draw.random() < 0.35, draw.random() < 0.35
        steps = ["audit", "schema", "sample", "load", *(["delta"] if has_delta else []), *(["rollback"] if has_rollback else [])]
        return cls(size, has_delta=has_delta, has_rollback=has_rollback, weather=Weather.drawn(draw, steps))


@dataclass(slots=True)
class Journey:
    """One simulation under way."""

    world: World
    plan: Plan
    problems: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    operator: Operator | None = None
    seconds_max: float = SECONDS_MAX

    def where(self) -> str:
        """Say how far it came."""
        return "the start" if self.operator is None else self.operator.now_at

    async def run(self) -> None:
        """Install, migrate, judge."""
        world = self.world
        world.install()
        judge = Judge(world)
        judge.watch()
        storm = Storm(world, self.plan.weather)
        async with Client.connect("ledger:1", actor=ACTOR) as client:
            operator = self.operator = Operator(client, world.trace, storm.at_step)
            await operator.create(default_options())
            await operator.load()
            await self._settle()
            self.problems += await judge.after_load(operator)
            if self.plan.has_delta:
                await self._delta(operator, judge)
            if self.plan.has_rollback:
                judge.before_rollback()
                await operator.rollback()
                await self._settle()
                self.problems += judge.after_rollback()
            storm.end()
            self.problems += await judge.at_the_end(operator)
            self.facts["blows"] = storm.counts
            self.facts |= {"seconds": operator.seconds, "resumes": operator.resumes, **judge.facts}

    async def _delta(self, operator: Operator, judge: Judge) -> None:
        """Let the source change and a person edit what the source does not change; the edit has to stay."""
        await asyncio.sleep(DELTA_SECONDS)
        world = self.world
        changes = world.mutate_source(world.draw.getrandbits(31))
        changed = {change["id"] for change in changes if change["collection"] == "clients"}
        edited = judge.organization_of_another(changed)
        before = world.rename_organization(edited, "Edited by a person") if edited else ""
        await operator.delta()
        await self._settle()
        deleted = {(change["collection"], change["id"]) for change in changes if change["kind"] == "deleted"}
        self.problems += await judge.after_load(operator, deleted_later=deleted, edited=edited)
        if edited:
            if world.rename_organization(edited, before) != "Edited by a person":
                self.problems.append(f"delta: the name a person gave organization {edited} was overwritten")
            self.facts["edited"] = edited

    async def _settle(self) -> None:
        """Let what is still on its way arrive."""
        await asyncio.sleep(5.0)
