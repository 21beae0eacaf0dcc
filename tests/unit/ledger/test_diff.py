"""The field-by-field diff and its digest."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.ledger.diff import count_fields, diff_digest, diff_record, row_of
from services.ledger.domain import Record, RecordState
from transload.v1.migration_service_pb2 import DiffRecord, DiffVerdict
from transload.v1.transformer_service_pb2 import FieldLineage, PreviewedRecord

KEY = "organization:client/1"
RECORD = Record("acme", KEY, "organization", "client", "1", 4, state=RecordState.LOADED, target_id="9", image='{"name":"A","custom_fields.h":12}')
SAME, DIFFERENT = DiffVerdict.DIFF_VERDICT_SAME, DiffVerdict.DIFF_VERDICT_DIFFERENT
MISSING, UNMAPPED, LEFT = DiffVerdict.DIFF_VERDICT_MISSING, DiffVerdict.DIFF_VERDICT_UNMAPPED, DiffVerdict.DIFF_VERDICT_LEFT


def preview(*fields: tuple[str, bytes], **values: str) -> PreviewedRecord:
    lineage = [FieldLineage(target_field=name, label=name.title(), source_path="legal-name", mapped_value_json=mapped) for name, mapped in fields]
    return PreviewedRecord(key=KEY, target_entity="organization", source_key="client/1", fields=lineage, **values)


@pytest.mark.requirement("L-08")
@pytest.mark.parametrize(
    ("field", "mapped", "actual", "verdict"),
    [
        ("name", b'"A"', {"name": "A"}, SAME),
        ("name", b'"A"', {"name": "B"}, DIFFERENT),
        ("name", b'"A"', {}, DIFFERENT),
        ("name", b'"A"', None, MISSING),
        ("custom_fields.h", b"12.0", {"custom_fields.h": 12}, SAME),
        ("website", b"null", {"name": "A"}, SAME),
        ("website", b'"https://a.example"', {"name": "A"}, DIFFERENT),
        ("website", b'"https://a.example"', {"website": "https://a.example"}, SAME),
        ("owner_id", b'{"$ref":"user:employee/4"}', {"name": "A"}, SAME),
        ("", b"", {"name": "A"}, UNMAPPED),
    ],
)
def test_verdicts(field: str, mapped: bytes, actual: dict[str, object] | None, verdict: DiffVerdict.ValueType) -> None:
    assert diff_record(preview((field, mapped)), RECORD, actual).fields[0].verdict == verdict


@pytest.mark.requirement("L-08")
def test_what_stands_in_a_record_that_was_there_is_left_and_counts_as_nothing_different() -> None:
    fields = (("name", b'"A"'), ("website", b'"w"'), ("industry", b"3"), ("phone", b'"1"'))
    matched = replace(
        RECORD, state=RecordState.MATCHED, is_preexisting=True, match='{"policy":"match_and_fill"}', image='{"website":"w","phone":"1"}'
    )
    filled = replace(matched, pre_image='{"website":null,"phone":null}')
    record = diff_record(preview(*fields), filled, {"name": "B", "website": "w", "phone": "2"})
    # The name stood there, the industry cannot be emptied again; the phone is ours and somebody changed it.
    assert [field.verdict for field in record.fields] == [LEFT, SAME, LEFT, DIFFERENT]
    assert count_fields(record) == (2, 1)


@pytest.mark.requirement("L-08", "L-07")
def test_a_record_that_is_not_loaded_says_why() -> None:
    refused = diff_record(preview(reason="VALUE_MISSING", message="no name"), None, None)
    assert (refused.state, refused.message, refused.target_id) == ("rejected", "VALUE_MISSING: no name", "")
    assert diff_record(preview(reason="SKIPPED_BY_CONDITION"), None, None).state == "skipped"
    assert count_fields(refused) == (0, 0)


def test_counts_leave_out_what_goes_nowhere() -> None:
    record = diff_record(preview(("name", b'"A"'), ("website", b'"w"'), ("", b"")), RECORD, {"name": "A"})
    assert count_fields(record) == (2, 1)


@pytest.mark.requirement("L-09")
def test_the_digest_changes_with_the_mapping_and_with_any_value() -> None:
    rows = [row_of(DiffRecord(key="a")), row_of(DiffRecord(key="b"))]
    assert diff_digest("m1", rows) == diff_digest("m1", list(rows))
    assert len({diff_digest("m1", rows), diff_digest("m2", rows), diff_digest("m1", rows[:1]), diff_digest("m1", rows[::-1])}) == 4
