"""The budget as people read it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from transload.cli.quota import as_json, sentences, token_rows
from transload.v1 import migration_service_pb2 as pb
from transload.v1.quota_service_pb2 import GetQuotaResponse


def budget() -> GetQuotaResponse:
    quota = GetQuotaResponse(
        daily_token_limit=30_000,
        daily_token_remaining=4_000,
        leased_token_count=100,
        lease_count=3,
        spent_today_token_count=20_000,
        others_spent_today_token_count=900,
        rollback_reserve=1_500,
        others_reserve=500,
        others_tokens_per_hour=75,
        window_limit=20,
        window_used=11,
        call_seconds=0.0834,
        refused_call_count=2,
        cost_version="2026-08-18",
    )
    quota.reset_time.FromDatetime(datetime(2026, 3, 2, tzinfo=UTC))
    return quota


@pytest.mark.requirement("G-03")
def test_the_rows_add_up_from_the_limit_to_what_is_free() -> None:
    rows = dict(token_rows(budget()))
    limit, left = rows.pop("limit of the day"), rows["left"]
    assert (limit, left) == (30_000, 4_000)
    assert rows["spent before it looked, by whomever"] == 5_000
    gone = ("spent by this arbiter", "seen spent by other apps", "spent before it looked, by whomever", "on lease")
    assert limit == left + sum(rows[name] for name in gone)
    kept = ("  kept back for a rollback", "  kept back for other apps", "  free for a load")
    assert left == sum(rows[name] for name in kept)
    assert rows["  free for a load"] == 2_000


def test_what_is_left_at_the_end_of_a_day_is_seen_to_be_kept_back() -> None:
    quota = budget()
    quota.daily_token_remaining = 2_003
    quota.resume_time.FromDatetime(datetime(2026, 3, 2, tzinfo=UTC))
    quota.look_time.FromDatetime(datetime(2026, 3, 1, 14, 15, tzinfo=UTC))
    assert dict(token_rows(quota))["  free for a load"] == 3
    stop = "Stopped; goes on at 2026-03-02 00:00 UTC; the next look whether there are tokens sooner is at 2026-03-01 14:15 UTC"
    assert stop in sentences(quota)


def test_an_unknown_limit_is_told_as_such() -> None:
    assert token_rows(GetQuotaResponse(daily_token_remaining=30_000)) == []
    assert "not known yet" in sentences(GetQuotaResponse())[0]


def test_shadow_mode_says_what_it_would_have_held_up_and_why() -> None:
    quota = budget()
    quota.is_shadow = True
    quota.shadow_held_call_count = 12
    quota.shadow_held_calls["WINDOW"] = 10
    quota.shadow_held_calls["TARGET_QUOTA_EXHAUSTED"] = 2
    lines = sentences(quota)
    assert "  10 waited for a place in the window" in lines
    assert "  2 stopped because the day's tokens are used up or kept back" in lines
    found = as_json(pb.GetTargetQuotaResponse(connection="crm", quota=quota))
    assert found["free_for_load_token_count"] == 2_000
    assert isinstance(found["quota"], dict)
    assert found["quota"]["shadow_held_calls"] == {"WINDOW": 10, "TARGET_QUOTA_EXHAUSTED": 2}
    assert found["quota"]["reset_time"] == "2026-03-02T00:00:00Z"
