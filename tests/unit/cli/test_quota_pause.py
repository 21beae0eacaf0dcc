"""A pause for quota is shown on the account's clock and counted."""

from __future__ import annotations

import asyncio
from typing import Any

from transload.cli.progress import RunProgress
from transload.cli.quota_pause import QuotaPause
from transload.v1 import migration_service_pb2 as pb


class Account:
    """Answers the simulator's control interface: a clock that goes on a day each time it is asked."""

    def __init__(self) -> None:
        self.days = 0

    async def control(self, method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", "clock")
        self.days += 1
        return {"now": f"2026-05-{self.days:02d}T21:00:00Z", "speed": 600.0}


def message(kind: pb.PauseKind.ValueType = pb.PAUSE_KIND_UNSPECIFIED) -> pb.WatchMigrationResponse:
    return pb.WatchMigrationResponse(migration=pb.Migration(pause_kind=kind))


async def test_a_pause_is_said_with_its_end_on_the_accounts_clock_and_its_length() -> None:
    said: list[str] = []
    is_said = asyncio.Event()

    def say(line: str) -> None:
        said.append(line)
        is_said.set()

    account: Any = Account()
    async with QuotaPause(account, RunProgress(), say) as pause:
        pause.update(message())
        pause.update(message(pb.PAUSE_KIND_USER))
        assert said == []
        pause.update(message(pb.PAUSE_KIND_TARGET_QUOTA))
        await is_said.wait()
        pause.update(message(pb.PAUSE_KIND_TARGET_QUOTA))
        pause.update(message())
        assert pause.seconds > 0
    assert said[0] == "  paused for quota, goes on at 00:00. The sandbox's clock: 21:00, 600 times as fast as ours; midnight in about 18 s"
    assert said[1].startswith("  goes on after a pause for quota of")
    assert len(said) == 2


async def test_a_pause_that_the_run_ends_in_is_counted_too() -> None:
    said: list[str] = []
    account: Any = Account()
    async with QuotaPause(account, RunProgress(), said.append) as pause:
        pause.update(message(pb.PAUSE_KIND_TARGET_QUOTA))
        await asyncio.sleep(0)
    assert pause.seconds > 0
    assert said[-1].startswith("  goes on")
