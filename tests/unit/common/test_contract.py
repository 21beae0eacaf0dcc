"""What every message of another process is looked at for before anybody works with it."""

from __future__ import annotations

import pytest

from services.common import contract
from services.common.errors import InvalidRequestError, MalformedMessageError
from transload.v1 import ledger_service_pb2 as ledger
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import quota_service_pb2 as quota
from transload.v1.records_pb2 import MappedBatch, MappedRecord, PageAnnouncement


def test_what_is_right_passes() -> None:
    request = pb.CreateMigrationRequest(migration_id="acme", display_name="Ácme \u202e\U0001f600")
    assert contract.read(pb.CreateMigrationRequest.FromString, request.SerializeToString()) == request


@pytest.mark.parametrize("raw", [b"\x0a", b"\xff" * 20, b"\x0a\x02\xff\xfe", b"\x0b" * 5_000])
def test_what_cannot_be_parsed_is_refused_in_our_words(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="no message of this RPC"):
        contract.read(pb.GetMigrationRequest.FromString, raw)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        (pb.CreateMigrationRequest(display_name="a\0b"), "display_name: must not hold a NUL"),
        (pb.GetMigrationRequest(migration_id="x" * 2_001), "migration_id: must not be longer than 2000 bytes"),
        (pb.GetMigrationRequest(migration_id="\U0001f600" * 501), "migration_id: must not be longer"),
        (MappedBatch(records=[MappedRecord(key="a"), MappedRecord(key="a\0")]), "records.key: must not hold a NUL"),
        (ledger.ListReleasedRequest(keys=["a", "b" * 3_000]), "keys: must not be longer"),
    ],
)
def test_what_no_field_may_hold_is_refused_by_name(message: object, place: str) -> None:
    with pytest.raises(InvalidRequestError, match=place):
        contract.check(message)  # type: ignore[arg-type]


def test_words_for_people_may_quote_what_a_source_holds() -> None:
    contract.check(ledger.SettleBatchRequest(outcomes=[ledger.RecordOutcome(key="a", message="'a\0b' is no date", edited_fields=["a\0"])]))


@pytest.mark.parametrize("seconds", [-(2**63), -62_135_596_801, 253_402_300_800, 2**63 - 1])
def test_times_must_be_in_the_calendar(seconds: int) -> None:
    request = ledger.ReportTargetRequest(connection="c")
    request.resume_time.seconds = seconds
    with pytest.raises(InvalidRequestError, match="resume_time: must be a time from year 1 to 9999"):
        contract.check(request)


def test_spans_have_an_end() -> None:
    request = ledger.HoldBudgetRequest(connection="c")
    request.term.seconds = 2**62
    with pytest.raises(InvalidRequestError, match="term: must be a span"):
        contract.check(request)


@pytest.mark.parametrize("age", [float("nan"), float("inf")])
def test_numbers_are_finite(age: float) -> None:
    with pytest.raises(InvalidRequestError, match="must be a finite number"):
        contract.check(quota.ReleaseLeaseRequest(lease_id="a", answer_ages=[0.5, age]))


def test_a_message_of_a_stream_that_is_none_never_will_be_one() -> None:
    with pytest.raises(MalformedMessageError, match="a message of 3 bytes is no PageAnnouncement"):
        contract.read_queued(PageAnnouncement, b"\x0a\x05a")
    with pytest.raises(MalformedMessageError, match="a MappedBatch: batch_id: must not hold a NUL"):
        contract.read_queued(MappedBatch, MappedBatch(batch_id="\0").SerializeToString())


@pytest.mark.parametrize("token", ["x", "-1", "1.0", "٣", "9" * 19, "9" * 5_000])
def test_page_tokens_are_ours(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="page_token"):
        contract.page_position(token)


@pytest.mark.parametrize("name", ["", "..", "../outside", "a/b", "A", "x" * 64, "a.b"])
def test_a_migration_id_names_no_other_file(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="is not 1 to 63 characters"):
        contract.check_migration_id(name)
