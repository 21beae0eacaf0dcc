"""What the source does: it fails, refuses, and people go on working in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from tests.simulation.world import World

SOURCE_KEY: Final = "source-key"
CHANGES_MAX: Final = 4
"""How often the source changes in one bad time: each change makes records, and each of them costs time."""


def faults(world: World) -> None:
    """The source answers 5xx, cuts, answers half or something else."""
    draw = world.draw
    rules: list[dict[str, Any]] = [
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


def changes(world: World) -> None:
    """People work in the source while it is read: records appear, change and vanish between two pages, or between two collections."""
    if len(world.source_changes) < CHANGES_MAX:
        world.change_source(world.draw.getrandbits(31))
        world.hits["source changes"] += 1


def limits(world: World) -> None:
    """The source allows few calls a minute, or none any more today; the customer's other programs draw from them, too."""
    draw, quota = world.draw, world.stel.quota
    quota.per_minute = draw.choice((0, 20, 60))
    if draw.random() < 0.3:
        quota.per_day = draw.randint(quota.used_today, quota.used_today + 40)
    quota.set_used(this_minute=draw.randint(0, quota.per_minute) if quota.per_minute else 0)


def key_revoked(world: World) -> None:
    """Somebody changes the source's key; it is changed back after a while, or the operator writes the new one down."""
    options = world.stel.options
    before = world.key(SOURCE_KEY)
    if options.key != before:
        return
    options.key = f"source-key-{world.draw.getrandbits(30)}"
    new, is_back = options.key, world.draw.random() < 0.5
    seconds = world.draw.uniform(5.0, 90.0)
    world.trace.note(f"source key changed, {'back' if is_back else 'told'} in {seconds:.1f} s", "weather")
    world.hits["source key revoked"] += 1

    def tell() -> None:
        if is_back:
            options.key = before
        else:
            world.write_key(SOURCE_KEY, new)
        world.trace.note("source key is right again", "weather")

    in_world_later(seconds, tell)
