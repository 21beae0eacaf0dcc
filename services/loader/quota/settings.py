"""What the arbiter of the quota may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.common.errors import ConfigurationError

if TYPE_CHECKING:
    from services.common.settings import EnvReader


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """Budget rules; every name stands in the environment with `TRANSLOAD_QUOTA_` in front."""

    daily_tokens: int = 30_000
    """`DAILY_TOKENS`: daily budget assumed until a header tells it, tokens; default: the smallest plan with one seat (API.md 2.1)."""
    window_limit: int = 20
    """`WINDOW_LIMIT`: requests per 2 s assumed until a header tells it; default: the smallest plan (API.md 2.3)."""
    search_limit: int = 10
    """`SEARCH_LIMIT`: searches per 2 s; the same on every plan (API.md 2.3)."""
    window_seconds: float = 2.0
    """`WINDOW_SECONDS`: length of Pipedrive's rolling window, seconds."""
    restart_wait_seconds: float = 6.0
    """`RESTART_WAIT_SECONDS`: the window and the longest way of a call to Pipedrive, which must not be underrated. So long a call without an answer
    stands in the window, and so long an arbiter that follows another one waits before its first grant, because calls of the one before may still be
    on their way. The lease duration comes on top where leases of the one before may still be used."""
    term_seconds: float = 15.0
    """`TERM_SECONDS`: an arbiter may grant for so long before it must have told the ledger again, seconds, 3 to 300; another may follow it then."""
    block_share: float = 0.01
    """`BLOCK_SHARE`: part of the daily budget that is noted in the ledger as spent before it is granted, 0.001 to 0.5; so much may be forgotten as
    unspent by a crash until the next header tells."""
    lease_seconds: float = 10.0
    """`LEASE_SECONDS`: a grant not used by then must not be used any more, seconds, 1 to 60."""
    call_seconds: float = 60.0
    """`CALL_SECONDS`: a lease whose holder never came back counts as in flight for so long after its end, seconds."""
    rollback_share: float = 0.05
    """`ROLLBACK_SHARE`: part of the daily budget only a rollback may spend, 0 to 0.9."""
    others_share: float = 0.05
    """`OTHERS_SHARE`: part of the daily budget left to the customer's other apps, 0 to 0.9, spread evenly over the day: what they have not used of it
    by an hour is free. Where the headers show that they spend more, that is left to them. A rollback may use it too."""
    reset_zone: str = "UTC"
    """`RESET_ZONE`: IANA zone of the midnight at which the daily budget starts anew; Pipedrive does not name it (API.md 2.1)."""
    probe_seconds: float = 900.0
    """`PROBE_SECONDS`: while the budget is used up, one call finds out every so many seconds whether it was renewed or topped up."""
    breaker_seconds: float = 300.0
    """`BREAKER_SECONDS`: pause after a block page of Cloudflare, seconds; doubled each time up to one hour."""
    is_shadow: bool = False
    """`SHADOW`: report only what would have been held up or refused, and let every call go at once."""

    @classmethod
    def from_env(cls, reader: EnvReader) -> Self:
        """Reads the group."""
        default = cls()
        zone = reader.str("QUOTA_RESET_ZONE", default.reset_zone)
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigurationError(
                "TRANSLOAD_QUOTA_RESET_ZONE must be an IANA time zone", metadata={"setting": "TRANSLOAD_QUOTA_RESET_ZONE"}
            ) from error
        return cls(
            daily_tokens=reader.int("QUOTA_DAILY_TOKENS", default.daily_tokens, minimum=0),
            window_limit=reader.int("QUOTA_WINDOW_LIMIT", default.window_limit, minimum=1),
            search_limit=reader.int("QUOTA_SEARCH_LIMIT", default.search_limit, minimum=1),
            window_seconds=reader.float("QUOTA_WINDOW_SECONDS", default.window_seconds, minimum=0.01, maximum=60),
            restart_wait_seconds=reader.float("QUOTA_RESTART_WAIT_SECONDS", default.restart_wait_seconds, minimum=0, maximum=600),
            term_seconds=reader.float("QUOTA_TERM_SECONDS", default.term_seconds, minimum=3, maximum=300),
            block_share=reader.float("QUOTA_BLOCK_SHARE", default.block_share, minimum=0.001, maximum=0.5),
            lease_seconds=reader.float("QUOTA_LEASE_SECONDS", default.lease_seconds, minimum=1, maximum=60),
            call_seconds=reader.float("QUOTA_CALL_SECONDS", default.call_seconds, minimum=1, maximum=600),
            rollback_share=reader.float("QUOTA_ROLLBACK_SHARE", default.rollback_share, minimum=0, maximum=0.9),
            others_share=reader.float("QUOTA_OTHERS_SHARE", default.others_share, minimum=0, maximum=0.9),
            reset_zone=zone,
            probe_seconds=reader.float("QUOTA_PROBE_SECONDS", default.probe_seconds, minimum=1),
            breaker_seconds=reader.float("QUOTA_BREAKER_SECONDS", default.breaker_seconds, minimum=0.1),
            is_shadow=reader.bool("QUOTA_SHADOW", default.is_shadow),
        )
