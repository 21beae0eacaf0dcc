"""Sums are shown as they are, and disagreement is seen."""

from __future__ import annotations

from typing import Any

import pytest

from transload.cli import views
from transload.v1 import migration_service_pb2 as pb


@pytest.mark.requirement("X-04")
@pytest.mark.parametrize(
    ("counts", "agrees"),
    [
        ({"extracted_count": 10, "loaded_count": 6, "matched_count": 1, "skipped_count": 1, "rejected_count": 1, "waiting_count": 1}, True),
        ({"extracted_count": 10, "loaded_count": 9}, False),
        ({"extracted_count": 10, "loaded_count": 9, "pending_count": 1}, False),
    ],
    ids=["adds up", "one is missing", "one is pending"],
)
def test_sums_agree_only_when_every_record_has_a_final_state(counts: dict[str, Any], agrees: bool) -> None:
    assert views.sums_agree(pb.Summary(entities=[pb.EntitySummary(source_entity="client", **counts)])) is agrees


def test_tokens_of_sample_and_load_stand_beside_their_plan() -> None:
    assert views.tokens_line(pb.Summary(token_count=102)) == "102 Pipedrive tokens spent"
    summary = pb.Summary(token_count=6_390, planned_token_count=4_858, load_token_count=4_907)
    assert views.tokens_line(summary) == "6,390 Pipedrive tokens spent, 4,907 of them by sample and load, for which 4,858 were planned (+1.0%)"
    summary.load_token_count = 0
    assert views.tokens_line(summary).endswith("for which 4,858 were planned")
