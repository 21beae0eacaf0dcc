"""What Pipedrive's plans allow (API.md 2.1, 2.3, 4.3, 8): the one table that the loader tells a plan by and the ledger reckons with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SEAT_TOKENS: Final = 30_000
"""Tokens a day of one seat, times the plan's factor."""
OPEN_DEALS_MAX: Final = 300_000
"""Open deals of an account, whatever its plan and seats."""


@dataclass(frozen=True, slots=True)
class PipedrivePlan:
    """A plan.

    Attributes:
        name: as Pipedrive calls it.
        factor: what a seat's tokens are multiplied by.
        custom_fields: at most so many.
        open_deals_a_seat: at most so many open deals for each seat.
        windows: requests in 2 seconds, by API token and by OAuth token; no two plans share one.
    """

    name: str
    factor: int
    custom_fields: int
    open_deals_a_seat: int
    windows: tuple[int, int]

    @property
    def seat_tokens(self) -> int:
        """Tokens a day for each seat."""
        return SEAT_TOKENS * self.factor

    def open_deals(self, seats: int) -> int:
        """Answer how many open deals an account with so many seats may have."""
        return min(OPEN_DEALS_MAX, self.open_deals_a_seat * seats)


PLANS: Final = (
    PipedrivePlan("Lite", 1, 30, 2_500, (20, 80)),
    PipedrivePlan("Growth", 2, 100, 5_000, (40, 160)),
    PipedrivePlan("Premium", 5, 300, 15_000, (100, 400)),
    PipedrivePlan("Ultimate", 7, 500, 20_000, (120, 480)),
)
"""From the smallest to the largest."""


def plan_named(name: str | None) -> PipedrivePlan | None:
    """Answer a plan by its name; None: there is none of that name."""
    return next((plan for plan in PLANS if plan.name == name), None)


def plan_with_window(limit: int) -> PipedrivePlan | None:
    """Answer the plan that allows so many requests in 2 seconds; None: none does."""
    return next((plan for plan in PLANS if limit in plan.windows), None)
