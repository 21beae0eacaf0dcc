"""What Pipedrive, the way to it and its token do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sandbox.pipedrive.control.moves import revoke_token
from tests.simulation.processes import in_world_later

if TYPE_CHECKING:
    from tests.simulation.world import World

FORBIDDEN: Final = 403
BLOCKS_MAX: Final = 2
CLOUDFLARE: Final = "<html><title>Access denied | Cloudflare</title></html>"
TARGET_KEY: Final = "target-key"


def way(world: World) -> None:
    """Connections to Pipedrive break before, while or after it works, and uploads in their middle."""
    breakage, draw = world.target_breakage, world.draw
    breakage.late = draw.choice((0.0, 0.0, 0.02, 0.1))
    breakage.not_sent, breakage.lost_before, breakage.lost_after = (draw.choice((0.0, 0.02, 0.1)) for _ in range(3))
    breakage.cut_upload = draw.choice((0.0, 0.2, 0.5))


def faults(world: World) -> None:
    """Pipedrive answers 5xx before and after the effect, cuts connections, answers nothing, or refuses."""
    draw = world.draw
    rules: list[dict[str, Any]] = [
        {"kind": "error_before"},
        {"kind": "error_after"},
        {"kind": "cut_before"},
        {"kind": "cut_after"},
        {"kind": "empty_200"},
        # Past the loader's time-out (30 s), but, up to four seconds on the way included, within its time of grace (5 s more): what lingers longer is
        # what docs/exactly-once.md assumes away.
        {"kind": "slow", "seconds": draw.choice((2.0, 30.5))},
        {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"},
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429, "headers": {"retry-after": "2"}},
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 429, "body": "<html>Too many requests</html>"},
    ]
    for rule in draw.sample(rules, draw.randint(1, 6)):
        world.pipedrive.faults.add({**rule, "probability": draw.choice((0.01, 0.05, 0.15)), "seed": draw.getrandbits(30)})


def blocked(world: World) -> None:
    """Cloudflare answers with its page. Twice at most: each time doubles the pause, up to an hour of nothing."""
    if sum(rule.status == FORBIDDEN for rule in world.pipedrive.faults.rules if rule.kind == "status") >= BLOCKS_MAX:
        return
    world.pipedrive.faults.add({"kind": "status", "status": FORBIDDEN, "body": CLOUDFLARE, "times": 1})


def token_revoked(world: World) -> None:
    """Somebody revokes the token; after a while it is let in again, or there is another one and the operator writes it down."""
    tokens = world.pipedrive.account.store.meta["tokens"]
    token = world.key(TARGET_KEY)
    if token not in tokens:
        return  # revoked already
    user_id = tokens[token]
    revoke_token(world.pipedrive.account, token)
    new = token if world.draw.random() < 0.5 else f"target-key-{world.draw.getrandbits(30)}"
    seconds = world.draw.uniform(5.0, 90.0)
    world.trace.note(f"token revoked, {'let in again' if new == token else 'replaced'} in {seconds:.1f} s", "weather")
    world.hits["token revoked"] += 1

    def give() -> None:
        store = world.pipedrive.account.store
        store.set_meta("tokens", {**store.meta["tokens"], new: user_id})
        world.write_key(TARGET_KEY, new)
        world.trace.note("token let in", "weather")

    in_world_later(seconds, give)


def label(rule: Any) -> str:
    """Name a rule of the simulator for the table of hits."""
    if rule.kind != "status":
        return str(rule.kind)
    body = " HTML" if isinstance(rule.body, str) else ""
    return f"{rule.status}{body}{' with retry-after' if rule.headers else ''}"
