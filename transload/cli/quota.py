"""`transload quota`: how Pipedrive's budget stands now: what is left, who spent it, what is kept back, how full the window is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transload.cli import output
from transload.cli.session import AddressOption, JsonOption, MigrationOption, connect_migration, run

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from transload.v1 import migration_service_pb2 as pb
    from transload.v1 import quota_service_pb2

_SHADOW_WORDS = {
    "WINDOW": "waited for a place in the window",
    "TARGET_QUOTA_EXHAUSTED": "stopped because the day's tokens are used up or kept back",
    "TARGET_BLOCKED": "stopped because Cloudflare blocks",
}


def quota(*, migration: MigrationOption = "", address: AddressOption = "", json_output: JsonOption = False) -> None:
    """Show the token budget and the request window of the migration's Pipedrive company. Costs nothing."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            found = await client.get_target_quota(migration_id)
        if json_output:
            output.print_json(as_json(found))
            return
        rows = token_rows(found.quota)
        if rows:
            output.stdout.print(output.table(f"Tokens of today ({found.connection})", ("what", "tokens"), rows, right_from=1))
        for line in sentences(found.quota):
            output.stdout.print(line, markup=False)

    run(act())


def as_json(found: pb.GetTargetQuotaResponse) -> dict[str, object]:
    """The answer as data, with what a load may still spend."""
    return {**output.as_data(found), "free_for_load_token_count": free_for_load(found.quota)}


def free_for_load(quota: quota_service_pb2.GetQuotaResponse) -> int:
    """Tokens a load may still spend today."""
    return max(0, quota.daily_token_remaining - quota.rollback_reserve - quota.others_reserve)


def token_rows(quota: quota_service_pb2.GetQuotaResponse) -> list[tuple[str, int]]:
    """The day's tokens, from the limit down to what a load may still spend; empty before the limit is known."""
    if not quota.daily_token_limit:
        return []
    gone = max(0, quota.daily_token_limit - quota.daily_token_remaining - quota.leased_token_count)
    ours, others = min(gone, quota.spent_today_token_count), quota.others_spent_today_token_count
    return [
        ("limit of the day", quota.daily_token_limit),
        ("spent by this arbiter", ours),
        ("seen spent by other apps", min(others, gone - ours)),
        ("spent before it looked, by whomever", max(0, gone - ours - others)),
        ("on lease", quota.leased_token_count),
        ("left", quota.daily_token_remaining),
        ("  kept back for a rollback", min(quota.rollback_reserve, quota.daily_token_remaining)),
        ("  kept back for other apps", min(quota.others_reserve, max(0, quota.daily_token_remaining - quota.rollback_reserve))),
        ("  free for a load", free_for_load(quota)),
    ]


def sentences(quota: quota_service_pb2.GetQuotaResponse) -> list[str]:
    """What the table does not say."""
    lines = []
    if not quota.daily_token_limit:
        lines.append("The day's limit is not known yet: no call has told it since the loader started")
    if quota.others_tokens_per_hour:
        lines.append(f"Other apps were seen to spend {quota.others_tokens_per_hour:,} tokens an hour")
    lines.append(f"Window: {quota.window_used} of {quota.window_limit} requests in 2 s; {quota.lease_count} leases out")
    if quota.call_seconds:
        lines.append(f"A call takes {quota.call_seconds * 1000:.0f} ms on average, from its lease to its answer")
    if quota.HasField("resume_time"):
        look = f"; the next look whether there are tokens sooner is at {_time(quota.look_time)}" if quota.HasField("look_time") else ""
        lines.append(f"Stopped; goes on at {_time(quota.resume_time)}{look}")
    if quota.HasField("reset_time"):
        lines.append(f"The day is assumed to end at {_time(quota.reset_time)}; Pipedrive does not say")
    lines.append(f"Refused by Pipedrive with 429 since the arbiter started: {quota.refused_call_count:,}")
    if quota.is_shadow:
        lines.append(f"Shadow mode: nobody is held up. {quota.shadow_held_call_count:,} calls would have been:")
        for reason, count in sorted(quota.shadow_held_calls.items()):
            lines.append(f"  {count:,} {_SHADOW_WORDS.get(reason, reason)}")
    if quota.cost_version:
        lines.append(f"Costs of calls by the table of {quota.cost_version}")
    return lines


def _time(stamp: Timestamp) -> str:
    return f"{stamp.ToDatetime():%Y-%m-%d %H:%M} UTC"
