"""What travels over the wire means the same on both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.clock import SystemClock
from services.common.errors import InvalidRequestError
from services.ledger import codec
from services.ledger.claims import Action
from services.ledger.domain import IssueKind, OutcomeResult
from transload.v1 import ledger_service_pb2 as pb
from transload.v1 import records_pb2

NOW = SystemClock().now()
TEXT = st.text(min_size=1, max_size=20)


@given(TEXT, TEXT, st.integers(0, 2**31 - 1), TEXT)
def test_a_page_comes_back_as_it_went_out(page_id: str, entity: str, number: int, cursor: str) -> None:
    message = records_pb2.Page(
        page_id=page_id, extraction_id="e", entity=entity, page_number=number, digest="d", record_count=3, cursor=cursor, next_cursor="n", sequence=9
    )
    message.read_time.FromDatetime(NOW.replace(tzinfo=None))
    assert codec.page_to(codec.page_from("m", message, NOW)) == message


def test_every_word_of_the_contract_has_its_meaning() -> None:
    assert {codec._ACTIONS[action] for action in Action} == set(pb.RecordAction.values()) - {0}
    assert set(codec._RESULTS.values()) == set(OutcomeResult)
    assert set(codec._RESULTS) == set(pb.OutcomeResult.values()) - {0}
    assert set(codec._ISSUES) == set(pb.IssueKind.values()) - {0}
    assert set(codec._ISSUES.values()) == set(IssueKind)
    assert set(codec._EXTRACTION) == set(pb.ExtractionState.values()) - {0}
    assert set(codec._MISSING) == set(records_pb2.MissingPolicy.values())


@pytest.mark.parametrize(
    "batch",
    [
        pb.ExpectedBatch(batch_id="b", target_entity="person", keys=["person:client/1"], source_keys=[]),
        pb.ExpectedBatch(batch_id="b", target_entity="person"),
        pb.ExpectedBatch(target_entity="person", keys=["person:client/1"], source_keys=["client/1"]),
        pb.ExpectedBatch(batch_id="b", target_entity="person", keys=["person:client/1"], source_keys=["client"]),
        pb.ExpectedBatch(batch_id="b", target_entity="person", keys=["k"] * 101, source_keys=["client/1"] * 101),
    ],
    ids=["unequal", "empty", "no id", "no source key", "too many"],
)
def test_a_batch_that_breaks_the_contract_is_refused(batch: pb.ExpectedBatch) -> None:
    with pytest.raises(InvalidRequestError):
        codec.batches_from(pb.RecordTransformRequest(batches=[batch]))


def test_messages_carry_no_character_a_database_cannot_hold() -> None:
    found = codec.outcome_from(pb.RecordOutcome(key="k", result=pb.OUTCOME_RESULT_UNKNOWN, message="a\0b"))
    assert found.message == "a\N{REPLACEMENT CHARACTER}b"
