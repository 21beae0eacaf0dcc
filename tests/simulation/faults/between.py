"""What happens between Transload's processes: calls, messages, the streams and the object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.nats_server import Mischief
from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from tests.simulation.world import World


def kill_nats(world: World) -> None:
    """NATS dies and comes back with what it had stored."""
    if world.nats.is_up:
        world.trace.note("kill nats", "weather")
        world.hits["nats killed"] += 1
        world.nats.kill()
        in_world_later(world.draw.uniform(0.2, 8.0), world.nats.start)


def wipe_nats(world: World) -> None:
    """NATS dies and comes back empty."""
    if world.nats.is_up:
        world.trace.note("wipe nats", "weather")
        world.hits["nats wiped"] += 1
        world.nats.kill()
        world.nats.wipe()
        in_world_later(world.draw.uniform(0.2, 8.0), world.nats.start)


def streams(world: World) -> None:
    """Messages twice, late, out of order, lost after their acknowledgement; acknowledgements lost."""
    draw = world.draw
    world.nats.mischief = Mischief(
        lost_after_ack=draw.choice((0.0, 0.02, 0.1)),
        twice=draw.choice((0.0, 0.05, 0.3)),
        shuffled=draw.choice((0.0, 0.5)),
        ack_lost=draw.choice((0.0, 0.05)),
    )


def lossy(world: World) -> None:
    """Calls between processes get lost, before or after they were served."""
    world.network.lost_share = world.draw.choice((0.01, 0.05, 0.2))


def slow(world: World) -> None:
    """Messages take long at times."""
    world.network.latency.slow_share = world.draw.choice((0.02, 0.1))
    world.network.latency.slow_seconds = world.draw.choice((0.5, 3.0, 12.0))


def staging(world: World) -> None:
    """The object store refuses."""
    world.objects.refused_share = world.draw.choice((0.02, 0.1))
