"""Dates: the order is proven by a column or asked for, never guessed; times get their zone."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extractor.connectors.bundle.cells import TypedCell
from services.extractor.connectors.bundle.dates import DateReader, Evidence, decide, split, zone_of

NEW_YORK = ZoneInfo("America/New_York")
FORMATS = {"dmy": "%d/%m/%Y", "mdy": "%m/%d/%Y", "ymd": "%Y/%m/%d"}


def evidence(*texts: str) -> Evidence:
    found = Evidence()
    for row, text in enumerate(texts, start=2):
        found.take(text, row)
    return found


@pytest.mark.parametrize(
    ("texts", "order", "problem"),
    [
        (("3/4/2025", "13/4/2025"), "dmy", ""),
        (("3/4/2025", "3/14/2025 2:05 PM"), "mdy", ""),
        (("3/4/2025", "5/6/2025"), "", "ambiguous"),
        (("3/3/2025", "4/4/2025"), "", ""),  # the same date in any order
        (("14/3/2025", "3/14/2025"), "", "mixed"),
        (("02/03/04",), "", "ambiguous"),
        (("02-03-31", "31-12-99"), "dmy", ""),
        (("2025-03-04", "4 Mar 2025", "20250304"), "", ""),
        (("99/02/03",), "ymd", ""),
    ],
)
def test_the_order_of_a_column(texts: tuple[str, ...], order: str, problem: str) -> None:
    assert decide(evidence(*texts), []) == (order, problem)


def test_a_column_without_proof_takes_what_its_table_proves_with_one_voice() -> None:
    silent = evidence("3/4/2025")
    assert decide(silent, [evidence("13/4/2025"), evidence("1/1/2025")]) == ("dmy", "")
    assert decide(silent, [evidence("13/4/2025"), evidence("4/13/2025")]) == ("", "ambiguous")


def test_evidence_names_rows_and_forms() -> None:
    found = evidence("3/4/2025", "13/4/2025", "13.4.2025 10:00", "soon", "13/13/2025", "1/2/03")
    assert found.samples("dmy") == ["row 3: 13/4/2025", "row 4: 13.4.2025 10:00"]
    assert dict(found.forms) == {"00/00/YYYY": 2, "00.00.YYYY": 1, "00/00/YY": 1}
    assert (found.unreadable_count, found.short_year_count) == (2, 1)


@pytest.mark.requirement("X-05")
@pytest.mark.parametrize(
    ("order", "text", "value"),
    [
        ("mdy", "3/7/2025 2:05:00 PM", "2025-03-07T14:05:00-05:00"),
        ("dmy", "3/7/2025 14:05", "2025-07-03T14:05:00-04:00"),
        ("mdy", "3/7/2025", "2025-03-07T00:00:00-05:00"),
        ("", "2025-03-07T14:05:00Z", "2025-03-07T14:05:00+00:00"),
        ("", "2025-03-07 14:05:00.123 +0200", "2025-03-07T14:05:00+02:00"),
        ("", "Fri, 7 Mar 2025 14:05", "2025-03-07T14:05:00-05:00"),
        ("", "Mar 7, 2025 at 2:05 pm", "2025-03-07T14:05:00-05:00"),
        ("", TypedCell("45723.5"), "2025-03-07T12:00:00-05:00"),
        ("", "45723.5", "45723.5"),  # in text this is a number, not a date
        ("mdy", "13/7/2025", "13/7/2025"),
        ("mdy", "3/7/2025 25:00", "3/7/2025 25:00"),
        ("mdy", "1/1/1900", ""),
        ("mdy", "3/9/2025 2:30 AM", "2025-03-09T03:30:00-04:00"),  # left out by the clocks: the later reading
        ("mdy", "11/2/2025 1:30 AM", "2025-11-02T01:30:00-04:00"),  # comes twice: the first
        ("mdy", "tomorrow", "tomorrow"),
    ],
)
def test_moments_in_new_york(order: str, text: str, value: str) -> None:
    reader = DateReader(order, window=None, empty=frozenset({"1900-01-01"}), zone=NEW_YORK)
    assert reader.read_moment(text) == value
    assert reader.moved_count == (text in {"3/9/2025 2:30 AM", "11/2/2025 1:30 AM"})


def test_the_zone_of_the_row_beats_that_of_the_bundle() -> None:
    reader = DateReader("dmy", window=None, empty=frozenset(), zone=NEW_YORK)
    assert reader.read_moment("18/05/2026 09:00", ZoneInfo("Australia/Sydney")) == "2026-05-18T09:00:00+10:00"


@pytest.mark.parametrize(
    ("window", "text", "value"),
    [(1970, "1/2/69", "2069-02-01"), (1970, "1/2/70", "1970-02-01"), (1930, "1/2/29", "2029-02-01"), (None, "1/2/03", "1/2/03")],
)
def test_years_of_two_digits_need_a_window(window: int | None, text: str, value: str) -> None:
    assert DateReader("dmy", window=window, empty=frozenset()).read_date(text) == value


def test_a_date_with_a_time_of_day_is_no_date() -> None:
    reader = DateReader("dmy", window=None, empty=frozenset())
    assert reader.read_date("1/2/2025 00:00") == "2025-02-01"
    assert reader.read_date("1/2/2025 10:00") == "1/2/2025 10:00"


@given(st.dates(min_value=date(1970, 1, 1), max_value=date(2069, 12, 31)), st.sampled_from(sorted(FORMATS)))
def test_any_date_is_read_back_in_its_order(day: date, order: str) -> None:
    assert DateReader(order, window=None, empty=frozenset()).read_date(day.strftime(FORMATS[order])) == day.isoformat()


@given(st.lists(st.dates(min_value=date(2000, 1, 1), max_value=date(2049, 12, 31)), min_size=1, max_size=20), st.sampled_from(["dmy", "mdy"]))
def test_a_column_is_never_read_in_another_order_than_it_was_written(days: list[date], order: str) -> None:
    decided, problem = decide(evidence(*(day.strftime(FORMATS[order]) for day in days)), [])
    if problem:
        assert problem == "ambiguous"
    elif decided:
        assert decided == order
    else:
        assert all(day.day == day.month for day in days)


@given(
    st.datetimes(min_value=datetime.fromisoformat("2020-01-01"), max_value=datetime.fromisoformat("2030-01-01")),
    st.sampled_from(["Europe/Madrid", "America/New_York", "Australia/Lord_Howe"]),
)
def test_moments_mean_what_the_zone_says(moment: datetime, zone: str) -> None:
    moment = moment.replace(microsecond=0, fold=0)  # cells know no second time
    text = DateReader("", window=None, empty=frozenset(), zone=zone_of(zone)).read_moment(moment.isoformat(sep=" "))
    read = datetime.fromisoformat(text)
    placed = moment.replace(tzinfo=ZoneInfo(zone))
    assert read.utcoffset() is not None
    assert abs(read.replace(tzinfo=None) - moment) <= timedelta(hours=1)
    assert read.timestamp() == placed.timestamp()


@given(st.text(max_size=40))
def test_any_text_can_be_looked_at(text: str) -> None:
    found = evidence(text)
    reader = DateReader("dmy", window=1970, empty=frozenset(), zone=NEW_YORK)
    for read in (reader.read_date, reader.read_moment):
        value = read(text)
        assert value == text or datetime.fromisoformat(value)
        assert read(text) == value
    assert "".join(split(text)) or not text
    assert found.unreadable_count in {0, 1}


def test_zones_nobody_knows() -> None:
    assert zone_of("Mars/Olympus") is None
    assert zone_of("../../etc/passwd") is None
    assert zone_of(" Europe/Madrid ") == ZoneInfo("Europe/Madrid")
