"""What is done in one simulation, from an empty ledger to the verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Final, Literal, Self

from tests.simulation.deletions import Deletions
from tests.simulation.faults import Storm, Weather
from tests.simulation.judge import Judge
from tests.simulation.matching import CLIENTS_MIN, SHARE, Known, Matching
from tests.simulation.operator import ACTOR, Operator, default_options
from tests.simulation.repairs import Damage
from tests.simulation.small import ENTITIES_LEFT_OUT
from tests.simulation.world import Size
from transload.client import Client

if TYPE_CHECKING:
    from tests.simulation.world import World


SECONDS_MAX: Final = 10 * 24 * 3600.0
"""Virtual time after which a simulation counts as stuck."""
SMALL_SHARE: Final = 0.9
"""Part of the seeds with a small account: what is found in large ones is mostly found in small ones, at a fraction of the time."""
REPAIRED_SHARE: Final = 0.15
"""Part of the seeds in which people break something that is repaired: it takes a reconciliation more."""
DELTA_SECONDS: Final = 30.0
"""From the end of the load to the changes a delta picks up."""


Rollback = Literal["", "at the end", "during the load"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a seed does.

    Attributes:
        deltas: how many deltas follow the load, the source changing before each.
        is_rehearsed: whether the sample is taken back before the load is unlocked.
        is_repaired: whether people break something after the load that is then repaired.
        conflicts: who wins in deltas what changed on both sides: `source`, `target`, `ask`; empty: as the migration says, and nobody provokes it.
        deletions: what becomes in deltas of what the source has no more; empty: as the mapping says.
        takes_part_back: whether one target entity, with what hangs on it, is taken back after the load, and loaded again by a delta.
        rollback: when everything is taken back.
        rollback_seconds: for a rollback during the load: how long after the load's beginning.
        matching: how records are matched; None: they are not.
    """

    size: Size = field(default_factory=Size)
    deltas: int = 0
    is_rehearsed: bool = False
    is_repaired: bool = False
    conflicts: str = ""
    deletions: str = ""
    takes_part_back: bool = False
    rollback: Rollback = ""
    rollback_seconds: float = 0.0
    weather: Weather = field(default_factory=Weather)
    matching: Matching | None = None

    @classmethod
    def drawn(cls, draw: Random, *, is_matched: bool = False) -> Self:
        """Draw a plan; `is_matched`: one that matches."""
        plan, token_kind = draw.choice((("lite", "api"), ("lite", "oauth"), ("growth", "api"), ("growth", "api"), ("premium", "oauth")))
        is_small = draw.random() < SMALL_SHARE
        size = Size(
            is_small=is_small,
            clients=draw.choice((1, 1, 1, 1, 2, 3) if is_small else (1, 2, 3)),
            is_clean=draw.random() < (0.9 if is_small else 0.6),
            loaders=draw.choice((1, 2, 2, 3)),
            plan=plan if is_small or plan != "lite" else "growth",  # the smallest plan has no room for all custom fields
            seats=draw.choice((1, 2)),
            token_kind=token_kind,
            retry_after=draw.choice(("always", "window", "never")),
            charges_errors=draw.random() < 0.5,
            has_daily_headers=draw.random() < 0.8,
            search_lag_seconds=draw.choice((0.0, 5.0, 60.0)),
            reset_zone=draw.choice(("UTC", "America/Chicago")),
            probe_seconds=draw.choice((10, 60, 300)),
            source_page=draw.choice((500, 500, 7, 3)),
        )
        deltas = draw.choices((0, 1, 2), (60, 30, 10))[0]
        rollback: Rollback = draw.choices(("", "at the end", "during the load"), (60, 28, 12))[0]
        if rollback == "during the load":
            deltas = 0
        is_rehearsed, takes_part_back = draw.random() < 0.12, draw.random() < 0.15 and rollback != "during the load"
        # Drawn apart, so that what a seed draws besides stays what it was before there were repairs and policies.
        apart = Random(str(draw.getstate()))
        is_repaired = apart.random() < REPAIRED_SHARE and rollback != "during the load"
        steps = ["audit", "schema", "sample", "load", *(["delta"] if deltas else []), *(["rollback"] if rollback else [])]
        steps += [*(["rehearsal"] if is_rehearsed else []), *(["part"] if takes_part_back else []), *(["repair"] if is_repaired else [])]
        conflicts = apart.choices(("", "source", "target", "ask"), (40, 25, 25, 10))[0]
        deletions = apart.choices(("", "keep", "ask", "delete"), (40, 10, 15, 35))[0]
        matching = Matching.drawn(apart) if apart.random() < SHARE or is_matched else None
        if matching is not None:
            size = replace(size, clients=max(size.clients, CLIENTS_MIN + matching.has_twins))
        return cls(
            size,
            deltas=deltas,
            is_rehearsed=is_rehearsed,
            is_repaired=is_repaired,
            conflicts=conflicts,
            deletions=deletions,
            takes_part_back=takes_part_back,
            rollback=rollback,
            rollback_seconds=draw.uniform(0.0, 40.0),
            weather=Weather.drawn(draw, steps),
            matching=matching,
        )


@dataclass(slots=True)
class Journey:
    """One simulation under way."""

    world: World
    plan: Plan
    problems: list[str] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    operator: Operator | None = None
    seconds_max: float = SECONDS_MAX
    known: Known | None = None
    """What stood in Pipedrive already, in seeds that match."""

    def where(self) -> str:
        """Say how far it came."""
        return "the start" if self.operator is None else self.operator.now_at

    async def run(self) -> None:
        """Install, migrate, judge."""
        world = self.world
        if self.plan.matching is not None:
            self.known = Known(world, self.plan.matching)
            self.known.arrange()
        world.install()
        judge = Judge(world, self.known)
        judge.watch()
        storm = Storm(world, self.plan.weather)
        async with Client.connect("ledger:1", actor=ACTOR) as client:
            operator = self.operator = Operator(client, world.trace, storm.at_step)
            operator.on_rollback_again = judge.at_rollback_again
            operator.conflicts, operator.deletions = tuple(filter(None, [self.plan.conflicts])), tuple(filter(None, [self.plan.deletions]))
            judge.conflicts = self.plan.conflicts if self.plan.conflicts != "ask" else ""
            try:
                await self._migrate(operator, judge)
            finally:
                storm.end()
                self.facts["drawn"] = list(self.plan.weather.kinds) if storm.has_begun else []
                self.facts["hits"] = {name: count for name, count in sorted(world.hits.items()) if count}
            self.problems += await judge.at_the_end(operator)
            self.facts |= {"seconds": operator.seconds, "resumes": operator.resumes, **judge.facts}

    async def _migrate(self, operator: Operator, judge: Judge) -> None:
        skipped = ENTITIES_LEFT_OUT if self.plan.size.is_small else ()
        overrides = self.plan.matching.overrides if self.plan.matching is not None else ""
        await operator.create(default_options(skipped=skipped, is_rehearsed=self.plan.is_rehearsed, overrides=overrides))
        await operator.prepare()
        if self.plan.is_rehearsed:
            await operator.rehearse()
            judge.reload_time = asyncio.get_running_loop().time()
        if self.plan.rollback == "during the load":
            await operator.begin_load()
            await asyncio.sleep(self.plan.rollback_seconds)
        else:
            await operator.load()
            await self._settle()
            if self.plan.is_repaired:
                await self._break_and_repair(operator, judge)
            if await self._decides(operator) or self.world.source_changes:
                self.problems += await judge.half_way(operator)
                await self._delta(operator, judge)
            self.problems += await judge.after_load(operator)
            if self.plan.takes_part_back:
                await self._take_part_back(operator, judge)
            for _ in range(self.plan.deltas):
                await self._change_and_follow(operator, judge)
        if self.plan.rollback:
            judge.before_rollback()
            await operator.rollback()
            await self._settle()
            self.problems += judge.after_rollback(operator)

    async def _take_part_back(self, operator: Operator, judge: Judge) -> None:
        """Take one target entity back and load it again: all has to be as it was."""
        entities = judge.entities_in_target()
        if entities:
            await operator.take_back(self.world.draw.choice(entities))
            judge.reload_time = asyncio.get_running_loop().time()
            await self._delta(operator, judge, includes_rolled_back=True)
            self.problems += await judge.after_load(operator)

    async def _change_and_follow(self, operator: Operator, judge: Judge) -> None:
        """Let the source change and a person edit what the source does not change; the edit has to stay."""
        await asyncio.sleep(DELTA_SECONDS)
        world = self.world
        changes = world.change_source(world.draw.getrandbits(31))
        edited = judge.organization_of_another({change["id"] for change in changes if change["collection"] == "clients"})
        if edited:
            world.people.edit("organization", edited, {"name": f"Edited before a delta ({len(world.people.deeds)})"})
        both = judge.organization_of_changed() if self.plan.conflicts else 0
        is_clash = both and world.people.edit("organization", both, {"name": f"Edited beside the source ({len(world.people.deeds)})"})
        clash = world.people.deeds[-1] if is_clash else None
        await self._delta(operator, judge)
        if clash is not None:
            self.problems += judge.after_clash(clash)
        self.problems += await judge.after_load(operator)

    async def _break_and_repair(self, operator: Operator, judge: Judge) -> None:
        """Let people break some records, one of them once more after the look; have them repaired."""
        damage = Damage.done(self.world, judge)
        found = await operator.reconcile()
        damage.edit_again()
        keys = damage.keys(found)
        if keys:
            left = await operator.repair(keys)
            await self._settle()
            self.problems += damage.judge(keys, left)

    async def _delta(self, operator: Operator, judge: Judge, *, includes_rolled_back: bool = False) -> None:
        """Pick up what changed in the source, again as long as it changes while it is read."""
        seen = -1
        while seen < len(self.world.source_changes):
            seen = len(self.world.source_changes)
            deletions = Deletions(self.world, judge, self.plan.deletions)
            await operator.delta(includes_rolled_back=includes_rolled_back)
            await self._settle()
            if seen == len(self.world.source_changes):
                self.problems += deletions.problems()
            judge.settle_conflicts()
            if await self._decides(operator):
                seen = -1

    async def _decides(self, operator: Operator) -> bool:
        """Answer what is asked about records that may be there already; says whether a delta is to carry something out."""
        return self.known is not None and await operator.decide(self.known.answer)

    async def _settle(self) -> None:
        """Let what is still on its way arrive."""
        await asyncio.sleep(5.0)
