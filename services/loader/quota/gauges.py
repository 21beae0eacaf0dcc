"""What may be spent now, as a metric: by it, and not by what waits, the number of loaders is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.common import telemetry

if TYPE_CHECKING:
    from services.common.clock import Clock
    from services.loader.quota.arbiter import Arbiter

SECONDS: Final = 10.0
"""Between two looks; as often as metrics are exported."""


async def show_tokens(arbiter: Arbiter, clock: Clock) -> None:
    """Says every few seconds how many tokens a load may spend of all budgets this arbiter grants from; runs until cancelled.

    Set by a task of the event loop and not asked for by the exporter's thread, because the arbiter's state belongs to the loop. An arbiter that
    stands in says 0, so that the sum over all loaders is what there is.
    """
    gauge = telemetry.meter().create_gauge("transload.quota.tokens.available", unit="{token}", description="Tokens a load may spend now")
    while True:
        gauge.set(sum(budget.available_tokens() for budget in arbiter.budgets.values()))
        await clock.sleep(SECONDS)
