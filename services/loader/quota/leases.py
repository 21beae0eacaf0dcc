"""What is asked of a budget and answered: priorities, leases, refusals, what answers of Pipedrive say, and how it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


# Above this a fetched answer is a bug of the caller; the contract of `AcquireLease` says so too.
REQUESTS_PER_LEASE_MAX: Final = 100


class Priority(IntEnum):
    """Who goes first; the numbers are those of `QuotaPriority`."""

    ROLLBACK = 1
    VERIFY = 2
    SAMPLE = 3
    DELTA = 4
    BULK = 5


class Headers(NamedTuple):
    """What an answer said about the budget; None where it said nothing."""

    status: int = 0
    daily_limit: int | None = None
    daily_remaining: int | None = None
    window_limit: int | None = None
    window_remaining: int | None = None
    retry_after_seconds: float | None = None
    is_html: bool = False


@dataclass(slots=True)
class Lease:
    """The right to send some calls before `expires` (monotonic seconds)."""

    lease_id: str
    request_count: int
    token_count: int
    search_count: int
    expires: float
    order: int
    used_at_grant: int
    answered_at_grant: int
    granted: float
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing free now; ask again after `retry_seconds`. `is_held_elsewhere`: another arbiter has the budget."""

    retry_seconds: float
    is_held_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class BudgetState:
    """The budget as people see it."""

    daily_limit: int
    daily_remaining: int
    spent: int
    window_limit: int
    window_used: int
    resume_time: datetime | None
    refused_calls: int
    rollback_reserve: int = 0
    others_reserve: int = 0
    others_a_day: int = 0
    others_per_hour: int = 0
    is_shadow: bool = False
    shadow_held_calls: Mapping[str, int] = field(default_factory=dict)
    reset_time: datetime | None = None
    look_time: datetime | None = None
    lease_count: int = 0
    leased_tokens: int = 0
    spent_today: int = 0
    others_today: int = 0
    call_seconds: float = 0.0
