"""What happens to the company's tokens and windows: others spend them, they bind, are bought, taken away and renewed at odd hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from tests.simulation.world import World

RESERVED: Final = 0.12
"""Part of the day's tokens that the arbiter may keep back; what is left for a load begins above it."""


def binds(world: World) -> None:
    """Others have spent all but a little; a little is bought every now and then."""
    purse, draw = world.purse, world.draw
    left = int(purse.total * draw.uniform(0.0, RESERVED) + draw.uniform(0.0, 1500.0))
    purse.others_spend(purse.remaining - left)
    world.hits["budget binds"] += 1

    def buy() -> None:
        if world.is_calm:
            return
        purse.buy(int(draw.uniform(200.0, 2000.0)))
        in_world_later(draw.uniform(20.0, 120.0), buy)

    in_world_later(draw.uniform(20.0, 120.0), buy)


def spent(world: World) -> None:
    """Another application spends a part of what is left, at times all of it; more is bought later."""
    purse, draw = world.purse, world.draw
    tokens = purse.others_spend(int(purse.remaining * draw.choice((0.1, 0.5, 0.9, 1.0))))
    if tokens:
        world.hits["budget spent"] += 1
        in_world_later(draw.uniform(10.0, 200.0), purse.buy, tokens)


def limit_changes(world: World) -> None:
    """The company gets a seat more, or one less: the day's limit changes while the day goes on."""
    purse, draw = world.purse, world.draw
    if draw.random() < 0.5:
        purse.buy(draw.randint(1, 30_000))
    else:
        purse.buy(-draw.randint(0, min(30_000, purse.remaining)))
    world.hits["limit changes"] += 1


def window_shared(world: World) -> None:
    """Another program sends requests with the same token."""
    world.hits["window shared"] += world.purse.fill_window(world.draw.randint(1, 200))
