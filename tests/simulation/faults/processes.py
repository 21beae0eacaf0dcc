"""What happens to Transload's own processes, their clocks and the ledger's database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.world import World

RESTART_SECONDS: Final = ((0.2, 3.0, 8), (3.0, 20.0, 3), (60.0, 100.0, 1))
"""How long a killed process stays away: from, to, weight. The longest outlasts a claim."""
PAUSE_SECONDS: Final = ((0.5, 5.0, 4), (10.0, 40.0, 2), (62.0, 95.0, 1))
"""How long a process stands still; the longest outlasts a claim, the middle one an `ack_wait`."""
ARBITER: Final = "loader-1"
ARBITER_RESTARTS_MAX: Final = 6
"""In one bad time: an arbiter that is killed for good grants nothing for good."""
CLOCK_SECONDS: Final = 55.0
"""How far a wall clock may be off: two of them by more than a claim lasts, each by less than the margin of a search for what is in doubt."""


def _seconds(draw: Random, bands: tuple[tuple[float, float, int], ...]) -> float:
    low, high, _ = draw.choices(bands, [band[2] for band in bands])[0]
    return draw.uniform(low, high)


def kill(world: World, name: str) -> bool:
    """Kill a process and start it again after a while; answers whether it ran."""
    process = world.processes[name]
    if not process.is_running:
        return False
    process.kill()
    seconds = _seconds(world.draw, RESTART_SECONDS)
    world.trace.note(f"kill {process.incarnation}, back in {seconds:.1f} s", "weather")
    in_world_later(seconds, process.start)
    return True


def kill_one(world: World) -> None:
    """A process dies, and is started again after a while."""
    world.hits["kill"] += kill(world, world.draw.choice(sorted(world.processes)))


def restart_arbiter(world: World) -> None:
    """The loader that holds the arbiter dies and is back at once, while what it granted still stands in the window."""
    process = world.processes[ARBITER]
    if process.is_running and world.hits["arbiter restarts"] < ARBITER_RESTARTS_MAX:
        process.kill()
        world.trace.note(f"kill {process.incarnation}, back at once", "weather")
        world.hits["arbiter restarts"] += 1
        in_world_later(world.draw.uniform(0.05, 0.8), process.start)


def power_cut(world: World) -> None:
    """Everything dies at once."""
    for name in sorted(world.processes):
        world.hits["power cut"] += kill(world, name)


def pause(world: World) -> None:
    """A process stands still, as a machine does that swaps or is moved."""
    process = world.processes[world.draw.choice(sorted(world.processes))]
    seconds = _seconds(world.draw, PAUSE_SECONDS)
    world.trace.note(f"pause {process.incarnation} for {seconds:.1f} s", "weather")
    process.pause(asyncio.get_running_loop().time() + seconds)
    world.hits["pause"] += process.is_running


def database(world: World) -> None:
    """The ledger's database refuses commits."""
    world.database.refused_share = world.draw.choice((0.01, 0.05))


def die_in_commit(world: World) -> None:
    """The ledger dies in one of its next commits, before or after it took effect."""
    world.database.dies_in = world.draw.randint(1, 20)


def clocks(world: World) -> None:
    """Wall clocks differ."""
    for process in world.processes.values():
        process.clock_offset_seconds = world.draw.uniform(-CLOCK_SECONDS, CLOCK_SECONDS)
        world.hits["clocks"] += 1


def clock_jump(world: World) -> None:
    """A wall clock jumps: every other time that of the ledger, on which most depends."""
    process = world.processes[world.draw.choice(["ledger"] * len(world.processes) + sorted(world.processes))]
    process.clock_offset_seconds = world.draw.uniform(-CLOCK_SECONDS, CLOCK_SECONDS)
    if process.incarnation is not None:
        process.incarnation.clock_offset_seconds = process.clock_offset_seconds
        world.hits["clock jumps"] += 1
