"""What goes wrong, drawn from the seed: which kinds, how often, for how long. Then it is calm, and everything has to come to its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.simulation.nats_server import Mischief
from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.simulation.world import World

RESTART_SECONDS: Final = ((0.2, 3.0, 8), (3.0, 20.0, 3), (60.0, 100.0, 1))
"""How long a killed process stays away: from, to, weight. The longest outlasts a claim."""
PAUSE_SECONDS: Final = ((0.5, 5.0, 4), (10.0, 40.0, 2), (62.0, 95.0, 1))
"""How long a process stands still; the longest outlasts a claim, the middle one an `ack_wait`."""


WEIGHTS: Final = {"audit": 1, "schema": 2, "sample": 3, "load": 6, "delta": 4, "rollback": 4}
"""How often a bad time begins with a step."""


FORBIDDEN: Final = 403
BLOCKS_MAX: Final = 2
CLOCK_SECONDS: Final = 55.0
"""How far a wall clock may be off: two of them by more than a claim lasts, each by less than the margin of a search for what is in doubt."""


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
        count = 1 if mood < 0.3 else draw.randint(2, len(names))
        begins = draw.choices(steps, [WEIGHTS[step] for step in steps])[0]
        return cls(tuple(sorted(draw.sample(names, count))), begins, draw.uniform(20.0, 150.0), draw.choice((300.0, 1000.0, 3000.0, 8000.0)))


@dataclass(slots=True)
class Storm:
    """Lets a weather loose on a world."""

    world: World
    weather: Weather
    counts: dict[str, int] = field(default_factory=dict)
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
        for breakage in (world.source_breakage, world.target_breakage):
            breakage.not_sent = breakage.lost_before = breakage.lost_after = 0.0
        world.pipedrive.faults.clear()
        world.stel.faults.clear()

    def _next(self, blows: list[str]) -> None:
        loop = self.world.loop
        wait = 1 + int(self.world.draw.expovariate(1.0 / self.weather.steps_between))
        loop.on_step = (loop.steps + wait, lambda: self._blow(blows))

    def _blow(self, blows: list[str]) -> None:
        if self.is_over:
            return
        kind = self.world.draw.choice(blows)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        BLOWS[kind](self.world)
        self._next(blows)


def _seconds(draw: Random, bands: tuple[tuple[float, float, int], ...]) -> float:
    low, high, _ = draw.choices(bands, [band[2] for band in bands])[0]
    return draw.uniform(low, high)


def _kill(world: World) -> None:
    """A process dies, and is started again after a while."""
    kill(world, world.draw.choice(sorted(world.processes)))


def kill(world: World, name: str) -> None:
    """Kill a process and start it again after a while."""
    process = world.processes[name]
    if not process.is_running:
        return
    process.kill()
    seconds = _seconds(world.draw, RESTART_SECONDS)
    world.trace.note(f"kill {process.incarnation}, back in {seconds:.1f} s", "weather")
    in_world_later(seconds, process.start)


def _power_cut(world: World) -> None:
    """Everything dies at once."""
    for name in sorted(world.processes):
        kill(world, name)


def _pause(world: World) -> None:
    """A process stands still, as a machine does that swaps or is moved."""
    process = world.processes[world.draw.choice(sorted(world.processes))]
    seconds = _seconds(world.draw, PAUSE_SECONDS)
    world.trace.note(f"pause {process.incarnation} for {seconds:.1f} s", "weather")
    process.pause(asyncio.get_running_loop().time() + seconds)


def _kill_nats(world: World) -> None:
    """NATS dies and comes back with what it had stored."""
    if world.nats.is_up:
        world.trace.note("kill nats", "weather")
        world.nats.kill()
        in_world_later(world.draw.uniform(0.2, 8.0), world.nats.start)


def _wipe_nats(world: World) -> None:
    """NATS dies and comes back empty."""
    if world.nats.is_up:
        world.trace.note("wipe nats", "weather")
        world.nats.kill()
        world.nats.wipe()
        in_world_later(world.draw.uniform(0.2, 8.0), world.nats.start)


def _streams(world: World) -> None:
    """Messages twice, late, out of order, lost after their acknowledgement; acknowledgements lost."""
    draw = world.draw
    world.nats.mischief = Mischief(
        lost_after_ack=draw.choice((0.0, 0.02, 0.1)),
        twice=draw.choice((0.0, 0.05, 0.3)),
        shuffled=draw.choice((0.0, 0.5)),
        ack_lost=draw.choice((0.0, 0.05)),
    )


def _lossy(world: World) -> None:
    """Calls between processes get lost, before or after they were served."""
    world.network.lost_share = world.draw.choice((0.01, 0.05, 0.2))


def _slow(world: World) -> None:
    """Messages take long at times."""
    world.network.latency.slow_share = world.draw.choice((0.02, 0.1))
    world.network.latency.slow_seconds = world.draw.choice((0.5, 3.0, 12.0))


def _staging(world: World) -> None:
    """The object store refuses."""
    world.objects.refused_share = world.draw.choice((0.02, 0.1))


def _database(world: World) -> None:
    """The ledger's database refuses commits."""
    world.database.refused_share = world.draw.choice((0.01, 0.05))


def _die_in_commit(world: World) -> None:
    """The ledger dies in one of its next commits, before or after it took effect."""
    world.database.dies_in = world.draw.randint(1, 20)


def _clocks(world: World) -> None:
    """Wall clocks differ."""
    for process in world.processes.values():
        process.clock_offset_seconds = world.draw.uniform(-CLOCK_SECONDS, CLOCK_SECONDS)


def _clock_jump(world: World) -> None:
    """A wall clock jumps: every other time that of the ledger, on which most depends."""
    process = world.processes[world.draw.choice(["ledger"] * len(world.processes) + sorted(world.processes))]
    process.clock_offset_seconds = world.draw.uniform(-CLOCK_SECONDS, CLOCK_SECONDS)
    if process.incarnation is not None:
        process.incarnation.clock_offset_seconds = process.clock_offset_seconds


def _target_way(world: World) -> None:
    """Connections to Pipedrive break before or after it has worked."""
    breakage, draw = world.target_breakage, world.draw
    breakage.not_sent, breakage.lost_before, breakage.lost_after = (draw.choice((0.0, 0.02, 0.1)) for _ in range(3))


def _target_faults(world: World) -> None:
    """Pipedrive answers 5xx before and after the effect, cuts connections, answers nothing, or refuses."""
    draw = world.draw
    rules: list[dict[str, object]] = [
        {"kind": "error_before"},
        {"kind": "error_after"},
        {"kind": "cut_before"},
        {"kind": "cut_after"},
        {"kind": "empty_200"},
        {"kind": "slow", "seconds": draw.choice((2.0, 35.0))},
        {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "headers": {"retry-after": "2"}},
        {"kind": "status", "status": 429},
    ]
    for rule in draw.sample(rules, draw.randint(1, 5)):
        world.pipedrive.faults.add({**rule, "probability": draw.choice((0.01, 0.05, 0.15)), "seed": draw.getrandbits(30)})


def _blocked(world: World) -> None:
    """Cloudflare answers with its page. Twice at most: each time doubles the pause, up to an hour of nothing."""
    if sum(rule.status == FORBIDDEN for rule in world.pipedrive.faults.rules if rule.kind == "status") >= BLOCKS_MAX:
        return
    world.pipedrive.faults.add({"kind": "status", "status": FORBIDDEN, "body": "<html><title>Access denied | Cloudflare</title></html>", "times": 1})


def _source_faults(world: World) -> None:
    """The source answers 5xx, cuts, answers half or something else."""
    draw = world.draw
    rules: list[dict[str, object]] = [
        {"kind": "status", "status": 500},
        {"kind": "cut_before"},
        {"kind": "cut"},
        {"kind": "broken_json"},
        {"kind": "not_json"},
        {"kind": "slow", "seconds": 5.0},
    ]
    for rule in draw.sample(rules, draw.randint(1, 3)):
        world.stel.faults.add({**rule, "every": draw.choice((3, 7, 20)), "times": draw.randint(1, 6)})
    breakage = world.source_breakage
    breakage.not_sent, breakage.lost_before, breakage.lost_after = (draw.choice((0.0, 0.05)) for _ in range(3))


BLOWS: Final[dict[str, Callable[[World], None]]] = {
    "kill": _kill,
    "pause": _pause,
    "power cut": _power_cut,
    "nats killed": _kill_nats,
    "nats wiped": _wipe_nats,
    "dies in commit": _die_in_commit,
    "clock jumps": _clock_jump,
    "blocked": _blocked,
}
"""What happens again and again."""
STANDING: Final[dict[str, Callable[[World], None]]] = {
    "streams": _streams,
    "lossy": _lossy,
    "slow": _slow,
    "staging": _staging,
    "database": _database,
    "clocks": _clocks,
    "target way": _target_way,
    "target faults": _target_faults,
    "source faults": _source_faults,
}
"""What is so for the whole bad time."""
KINDS: Final = frozenset(BLOWS) | frozenset(STANDING)
