"""Writes the table of what a day of Pipedrive holds into `docs/operations.md`: `python -m tools.capacity_table`; a test compares it.

Tokens and windows are those of Pipedrive's plans, the shares are the arbiter's defaults. What an object costs is measured: `make run` moves the
generated account of STEL Order with 16,840 tokens of sample and load into 3,061 objects.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.common.pipedrive_plans import PLANS, PipedrivePlan
from services.ledger.plan_days import Pace
from services.loader.quota.settings import QuotaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
HEAD: Final = "| Plan | Seats | Tokens a day | Of these for a load | Objects a day | Spent after, API token | OAuth token |"
SEATS: Final = (1, 5, 20, 100)
OBJECT_TOKENS: Final = 16_840 / 3_061
"""Tokens of sample and load for an object in Pipedrive, lists and values of deals included."""


def rows() -> list[str]:
    """Answer the table, line by line."""
    return [HEAD, "|---|---|---|---|---|---|---|", *(_row(plan, seats) for plan in PLANS for seats in SEATS)]


def lines_with_table(lines: list[str]) -> Iterator[str]:
    """Answer the page with the table in place of the one in it."""
    start = lines.index(HEAD)
    end = next(number for number in range(start, len(lines)) if not lines[number].startswith("|"))
    yield from (*lines[:start], *rows(), *lines[end:])


def _row(plan: PipedrivePlan, seats: int) -> str:
    settings = QuotaSettings()
    tokens = plan.seat_tokens * seats
    usable = tokens * (1 - settings.rollback_share - settings.others_share)
    objects = usable / OBJECT_TOKENS
    hours = (_hours(Pace(window=window).seconds(objects)) for window in plan.windows)
    return f"| {plan.name} | {seats} | {tokens:,} | {usable:,.0f} | {round(objects, -2):,.0f} | {' | '.join(hours)} |"


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def main() -> None:
    """Replaces the table."""
    PAGE.write_text("\n".join(lines_with_table(PAGE.read_text(encoding="utf-8").splitlines())) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
