"""What goes wrong, drawn from the seed: which kinds, how often, for how long. Then it is calm, and everything has to come to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.simulation.faults import between, budget, people, processes, source, target
from tests.simulation.nats_server import Mischief
from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.simulation.world import World

WEIGHTS: Final = {"audit": 1, "schema": 2, "sample": 3, "load": 6, "delta": 4, "rollback": 4, "rehearsal": 2, "part": 4, "repair": 4}
"""How often a bad time begins with a step."""
KINDS_MAX: Final = 14
"""Kinds in one bad time: with all of them at once hardly anything gets through, and what does proves little."""


BLOWS: Final[dict[str, Callable[[World], None]]] = {
    "kill": processes.kill_one,
    "pause": processes.pause,
    "power cut": processes.power_cut,
    "arbiter restarts": processes.restart_arbiter,
    "dies in commit": processes.die_in_commit,
    "clock jumps": processes.clock_jump,
    "nats killed": between.kill_nats,
    "nats wiped": between.wipe_nats,
    "blocked": target.blocked,
    "token revoked": target.token_revoked,
    "budget spent": budget.spent,
    "limit changes": budget.limit_changes,
    "window shared": budget.window_shared,
    "source changes": source.changes,
    "source key revoked": source.key_revoked,
    "people edit": people.edit,
    "people add": people.add,
    "people delete": people.delete,
    "people merge": people.merge,
    "people delete field": people.delete_field,
}
"""What happens again and again."""
STANDING: Final[dict[str, Callable[[World], None]]] = {
    "database": processes.database,
    "clocks": processes.clocks,
    "streams": between.streams,
    "lossy": between.lossy,
    "slow": between.slow,
    "staging": between.staging,
    "target way": target.way,
    "target faults": target.faults,
    "budget binds": budget.binds,
    "source faults": source.faults,
    "source limits": source.limits,
}
"""What is so for the whole bad time."""
KINDS: Final = frozenset(BLOWS) | frozenset(STANDING)


@dataclass(frozen=True, slots=True)
class Weather:
    """What a seed's bad time is like.

    Attributes:
        kinds: names of what may happen; see `BLOWS` and `STANDING`.
        begins: the step of the migration with which it begins.
        seconds: virtual time after which it is calm again.
        steps_between: callbacks run between two blows, on average.
    """

    kinds: tuple[str, ...] = ()
    begins: str = "audit"
    seconds: float = 0.0
    steps_between: float = 1.0

    @classmethod
    def drawn(cls, draw: Random, steps: Sequence[str]) -> Weather:
        """Draw a bad time: at times none, at times one kind alone, mostly several. `steps` are those that the migration takes."""
        mood = draw.random()
        if mood < 0.05:
            return cls()
        names = sorted(KINDS)
        count = 1 if mood < 0.3 else draw.randint(2, KINDS_MAX)
        begins = draw.choices(steps, [WEIGHTS[step] for step in steps])[0]
        return cls(tuple(sorted(draw.sample(names, count))), begins, draw.uniform(20.0, 150.0), draw.choice((300.0, 1000.0, 3000.0, 8000.0)))


@dataclass(slots=True)
class Storm:
    """Lets a weather loose on a world."""

    world: World
    weather: Weather
    has_begun: bool = False
    is_over: bool = False

    def at_step(self, step: str) -> None:
        """Let it begin when its step has come."""
        if step == self.weather.begins and self.weather.kinds and not self.has_begun:
            self.has_begun = True
            self._begin()

    def _begin(self) -> None:
        self.world.trace.note(f"==== bad weather: {', '.join(self.weather.kinds)}", "weather")
        for kind in self.weather.kinds:
            if kind in STANDING:
                STANDING[kind](self.world)
        blows = [kind for kind in self.weather.kinds if kind in BLOWS]
        if blows:
            self._next(blows)
        in_world_later(self.weather.seconds, self.end)

    def end(self) -> None:
        """Let it be calm: nothing fails any more, and whatever is away comes back by itself."""
        if self.is_over or not self.has_begun:
            return
        self.is_over = True
        world = self.world
        world.trace.note("==== calm from here on", "weather")
        world.loop.on_step = None
        world.network.lost_share = 0.0
        world.network.latency.slow_share = 0.0
        world.nats.mischief = Mischief()
        world.objects.refused_share = 0.0
        world.database.refused_share = 0.0
        world.count_rules()
        for breakage in (world.source_breakage, world.target_breakage):
            breakage.not_sent = breakage.lost_before = breakage.lost_after = breakage.late = breakage.cut_upload = 0.0
        world.pipedrive.faults.clear()
        world.stel.faults.clear()
        world.stel.quota.per_minute = world.stel.quota.per_day = 0
        world.purse.make_up()
        world.is_calm = True

    def _next(self, blows: list[str]) -> None:
        loop = self.world.loop
        wait = 1 + int(self.world.draw.expovariate(1.0 / self.weather.steps_between))
        loop.on_step = (loop.steps + wait, lambda: self._blow(blows))

    def _blow(self, blows: list[str]) -> None:
        if self.is_over:
            return
        BLOWS[self.world.draw.choice(blows)](self.world)
        self._next(blows)
