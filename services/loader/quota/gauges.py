"""The budgets as metrics: by what may be spent now, and not by what waits, the number of loaders is chosen."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from services.common import instruments
from services.common.gauges import Board

if TYPE_CHECKING:
    from services.common.clock import Clock
    from services.common.gauges import Point
    from services.loader.quota.arbiter import Arbiter
    from services.loader.quota.budget import Budget

SECONDS: Final = 10.0
"""Between two looks; as often as metrics are exported."""
GAUGES: Final = (
    instruments.TOKENS_AVAILABLE,
    instruments.TOKENS_LEFT,
    instruments.TOKENS_LIMIT,
    instruments.TOKENS_USED,
    instruments.TOKENS_RESERVED,
    instruments.WINDOW_USED,
    instruments.WINDOW_LIMIT,
)


def budget_points(budgets: dict[str, Budget]) -> dict[str, list[Point]]:
    """Answer the points of every gauge, by its name.

    An arbiter that stands in shows 0 as available and nothing else, so that the sum over all loaders is what there is.
    """
    points: dict[str, list[Point]] = {gauge.name: [] for gauge in GAUGES}

    for name, budget in budgets.items():
        labels = {instruments.CONNECTION: name}
        points[instruments.TOKENS_AVAILABLE.name].append((labels, budget.available_tokens()))
        if budget.is_held_elsewhere:
            continue
        state = budget.state()
        values = (
            (instruments.TOKENS_LEFT, state.daily_remaining),
            (instruments.TOKENS_LIMIT, state.daily_limit),
            (instruments.TOKENS_USED, state.spent_today),
            (instruments.WINDOW_USED, state.window_used),
            (instruments.WINDOW_LIMIT, state.window_limit),
        )
        for gauge, value in values:
            points[gauge.name].append((labels, value))
        reserves = (("rollback", state.rollback_reserve), ("others", state.others_reserve), ("leased", state.leased_tokens))
        points[instruments.TOKENS_RESERVED.name].extend(({**labels, instruments.RESERVE: reserve}, tokens) for reserve, tokens in reserves)
    return points


@cache
def _board() -> Board:
    return Board(GAUGES)


async def show_budgets(arbiter: Arbiter, clock: Clock) -> None:
    """Shows every few seconds how all budgets this arbiter grants from stand; runs until cancelled.

    Read by a task of the event loop and not by the exporter's thread, because the arbiter's state belongs to the loop.
    """
    board = _board()
    while True:
        points = budget_points(dict(arbiter.budgets))
        for gauge in GAUGES:
            board.show(gauge, points[gauge.name])
        await clock.sleep(SECONDS)
