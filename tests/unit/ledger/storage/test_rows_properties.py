"""Values survive the way into a row and back."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import SQLModel

from services.ledger.domain import Batch, Event, Extraction, Migration, Options, Page, Record, ReviewItem, Run, SourceIssue
from services.ledger.sql.rows import RowCodec, from_micros, to_micros
from services.ledger.sql.session import table_of
from services.ledger.sql.tables import (
    BatchRow,
    EventRow,
    ExtractionRow,
    MigrationRow,
    PageRow,
    RecordRow,
    ReviewItemRow,
    RunRow,
    SourceIssueRow,
)

TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
KINDS = [Batch, Extraction, Migration, Page, Record, ReviewItem, Run, SourceIssue]


@given(TIMES)
def test_times_keep_their_microseconds(time: datetime) -> None:
    assert from_micros(to_micros(time)) == time
    assert to_micros(time + timedelta(microseconds=1)) == to_micros(time) + 1


@given(st.one_of([st.builds(kind, **{field.name: TIMES for field in fields(kind) if field.name.endswith("_time")}) for kind in KINDS]))
def test_values_come_back_as_they_went_in(value: object) -> None:
    codec = RowCodec(type(value))
    assert codec.from_row(codec.to_row(value)) == value


def test_every_field_has_its_column() -> None:
    tables: dict[type, type[SQLModel]] = {
        Batch: BatchRow,
        Event: EventRow,
        Extraction: ExtractionRow,
        Migration: MigrationRow,
        Page: PageRow,
        Record: RecordRow,
        ReviewItem: ReviewItemRow,
        Run: RunRow,
        SourceIssue: SourceIssueRow,
    }
    extra = {"record_count", "payload", "salt"}
    for kind, row in tables.items():
        columns = {column.name for column in table_of(row).columns}
        assert columns ^ {field.name for field in fields(kind)} <= extra


def test_options_written_by_an_older_version_get_defaults() -> None:
    migration = Migration("m", "M", "c", "s", "t", datetime(2026, 1, 1, tzinfo=UTC))
    codec = RowCodec(Migration)
    assert codec.from_row({**codec.to_row(migration), "options": '{"conflict_policy": "source"}'}).options == Options(conflict_policy="source")
