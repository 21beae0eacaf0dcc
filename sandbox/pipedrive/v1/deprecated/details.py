"""What version 1 tells of a record only when that record alone is asked for.

Of deals, left out are the averages over other deals (`average_time_to_won`, `average_stage_progress`), which the sandbox does not compute.
"""

import calendar
from datetime import UTC, datetime
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v2.counts import counts

_NEIGHBOURS = ("last_activity", "next_activity")


def details(account: Account, deal: Record) -> dict[str, Any]:
    """Return age, time in stages, and the activities before and after now. Only the time in the present stage is known (assumed)."""
    now = datetime.fromtimestamp(int(account.clock.epoch()), UTC)
    present = max(0, int((now - datetime.fromisoformat(deal["stage_change_time"])).total_seconds()))
    return {
        "age": span(datetime.fromisoformat(deal["add_time"]), now),
        "stay_in_pipeline_stages": {
            "times_in_stages": {str(deal["stage_id"]): present},
            "order_of_stages": [stage["id"] for stage in account.stages_of(deal["pipeline_id"])],
        },
        **neighbours(account, "deal", deal),
    }


def neighbours(account: Account, kind: str, record: Record) -> dict[str, Any]:
    """Return the last and the next activity of a deal, a person or an organization, null where there is none."""
    ids = counts(account, kind, record, [f"{name}_id" for name in _NEIGHBOURS])
    found = {name: account.store["activity"].get(ids[f"{name}_id"] or 0) for name in _NEIGHBOURS}
    rendering = Rendering(account)
    return {name: rendering.activity(activity) if activity is not None else None for name, activity in found.items()}


def mailbox(account: Account, kind: str, record: Record) -> dict[str, str]:
    """Return the address that files mail under a record. No mail arrives there; other answers leave it null, as the account has no mail."""
    domain = account.store.meta["company"]["company_domain"]
    return {"dropbox_email": f"{domain}+{kind}{record['id']}@pipedrivemail.com"}


def span(start: datetime, end: datetime) -> dict[str, int]:
    """Return the time between two moments as a calendar counts it; nothing when the end comes first."""
    end = max(start, end)
    months = (end.year - start.year) * 12 + end.month - start.month
    reached = _months_after(start, months)
    if reached > end:
        months -= 1
        reached = _months_after(start, months)
    rest = end - reached
    hours, seconds = divmod(rest.seconds, 3600)
    return {
        "y": months // 12,
        "m": months % 12,
        "d": rest.days,
        "h": hours,
        "i": seconds // 60,
        "s": seconds % 60,
        "total_seconds": int((end - start).total_seconds()),
    }


def _months_after(moment: datetime, count: int) -> datetime:
    """Return the same day so many months later, or the last day of a month that lacks it."""
    years, month = divmod(moment.month - 1 + count, 12)
    year = moment.year + years
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))
