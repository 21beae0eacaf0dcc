"""What a resolution does to the record behind an item."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.ledger.domain import Record, RecordState, Resolution, ReviewItem
from services.ledger.review import AGAIN, resolutions_of, resolved_record

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ITEM = ReviewItem("i1", "acme", "CONFLICT", "client/1", "organization:client/1", is_blocking=True, message="both sides", create_time=NOW)
WAITING = Record(
    "acme", ITEM.key, "organization", "client", "1", 4, state=RecordState.WAITING, target_id="9", reason="CONFLICT", message="both sides"
)


@pytest.mark.requirement("L-16")
@pytest.mark.parametrize(
    ("reason", "key", "is_blocking", "expected"),
    [
        ("CONFLICT", "organization:client/1", True, ["keep_target", "use_source"]),
        ("REFERENCE_MISSING", "deal:sales_order/1", True, ["retry", "without_reference", "skip"]),
        ("REFERENCE_MISSING", "", True, ["retry", "skip"]),
        ("REFERENCE_MISSING", "line_item:sales_order/1/2", True, ["retry", "skip"]),
        ("OWNER_UNMATCHED", "user:employee/1", True, ["retry", "skip"]),
        ("FILE_TOO_LARGE", "file:entity_attachment/1", True, ["retry", "skip"]),
        ("OWNER_UNMATCHED", "user:employee/1", False, ["accept"]),
        ("SOURCE_MALFORMED", "", False, ["accept"]),
    ],
)
def test_resolutions_by_reason(reason: str, key: str, is_blocking: bool, expected: list[str]) -> None:
    assert list(resolutions_of(replace(ITEM, reason=reason, key=key, is_blocking=is_blocking))) == expected


@pytest.mark.requirement("L-11", "L-16")
@pytest.mark.parametrize("resolution", sorted(AGAIN))
def test_what_is_to_be_tried_again_waits_for_the_next_delta(resolution: Resolution) -> None:
    again = resolved_record(WAITING, resolution, NOW)
    assert (again.state, again.resolution) == (RecordState.WAITING, resolution)


@pytest.mark.requirement("X-04")
def test_a_skipped_record_that_never_reached_the_target_is_skipped() -> None:
    skipped = resolved_record(replace(WAITING, target_id=""), Resolution.SKIP, NOW)
    assert (skipped.state, skipped.reason) == (RecordState.SKIPPED, "SKIPPED_BY_REVIEW")
