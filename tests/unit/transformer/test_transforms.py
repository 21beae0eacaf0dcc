"""Transforms are pure, refuse what they cannot read, and invent nothing."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transformer.catalogue import CATALOGUE, bind
from services.transformer.transforms import contacts, dates, lists, markup, numbers
from services.transformer.transforms.problem import ValueProblem


@pytest.mark.requirement("X-05")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-03-02T10:15:00+0000", "2026-03-02T10:15:00Z"),
        ("2026-03-02T10:15:00+0200", "2026-03-02T08:15:00Z"),
        ("2026-03-02T10:15:00.987Z", "2026-03-02T10:15:00Z"),
        ("2026-03-02", "2026-03-02T00:00:00Z"),
        ("15/03/2024", "2024-03-15T00:00:00Z"),
        ("15 Mar 2024 08:30", "2024-03-15T08:30:00Z"),
    ],
)
def test_times_become_rfc_3339_in_utc(value: str, expected: str) -> None:
    assert dates.datetime_utc(value) == expected


@pytest.mark.requirement("X-02", "X-05")
def test_a_calendar_date_is_not_shifted() -> None:
    assert dates.calendar_date("2026-02-10T00:00:00+0000") == "2026-02-10"
    assert dates.calendar_date("2026-02-10T23:30:00+0200") == "2026-02-10"
    assert dates.noon_utc("2026-02-10T00:00:00+0000") == "2026-02-10T12:00:00Z"


@pytest.mark.requirement("X-02")
def test_wall_clock_time_of_a_zone_becomes_utc_in_summer_and_winter() -> None:
    assert dates.local_to_utc("2026-07-01T09:30:00+0000", zone="Europe/Madrid") == "2026-07-01T07:30:00Z"
    assert dates.local_to_utc("2026-01-01T00:30:00+0000", zone="Europe/Madrid") == "2025-12-31T23:30:00Z"
    assert dates.date_in_zone("2026-01-01T23:30:00Z", zone="Europe/Madrid") == "2026-01-02"


@pytest.mark.requirement("L-07")
@pytest.mark.parametrize("value", ["2025-02-31T00:00:00+0000", "March 2024", "12", "tomorrow", "0000-00-00", "", 5, True, "99999999999999"])
def test_what_is_no_whole_date_is_refused(value: Any) -> None:
    with pytest.raises(ValueProblem):
        dates.calendar_date(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1.234,50", 1234.5), ("1,234.50", 1234.5), ("12", 12), (" 3 000 ", 3000), ("-5,5", -5.5), (7, 7), (2.5, 2.5), ("1'000", 1000)],
)
def test_numbers_are_read_as_people_write_them(value: Any, expected: float) -> None:
    assert numbers.number(value) == expected


@pytest.mark.parametrize("value", ["abc", True, "1,2,3,x", float("nan"), float("inf"), "NaN", [], {}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueProblem):
        numbers.number(value)


@pytest.mark.requirement("SO-02")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@x.es; b@x.es", ["a@x.es", "b@x.es"]),
        ("a@x.es/b@x.es, a@x.es", ["a@x.es", "b@x.es"]),
        ("a@x.es b@x.es", ["a@x.es", "b@x.es"]),
        ("esto no es un correo", ["esto no es un correo"]),
    ],
)
def test_emails_are_split_and_each_stands_once(value: str, expected: list[str]) -> None:
    found = contacts.emails(value)
    assert found is not None
    assert [entry["value"] for entry in found] == expected
    assert [entry["primary"] for entry in found] == [True] + [False] * (len(expected) - 1)


@pytest.mark.requirement("X-05")
def test_phones_stay_as_written_unless_normalising_is_asked_for() -> None:
    written = contacts.phones("600 123 123 / (911) 000-000 ext. 12")
    assert written is not None
    assert [entry["value"] for entry in written] == ["600 123 123", "(911) 000-000 ext. 12"]
    normalised = contacts.phones("600 123 123; no phone", normalise=True, region="ES")
    assert normalised is not None
    assert [entry["value"] for entry in normalised] == ["+34600123123", "no phone"]


def test_of_lists_put_together_only_the_chosen_or_first_entry_is_primary() -> None:
    phones = [*(contacts.phones("1; 2") or []), *(contacts.phones("3; 1", label="mobile", primary=True) or [])]
    assert contacts.one_primary(phones) == [
        {"value": "1", "label": "work", "primary": False},
        {"value": "2", "label": "work", "primary": False},
        {"value": "3", "label": "mobile", "primary": True},
    ]


@pytest.mark.requirement("X-08")
def test_html_is_sanitised_where_it_is_html() -> None:
    cleaned = markup.html_sanitise('<p onclick="x()">a<script>alert(1)</script><a href="javascript:x()">b</a></p>')
    assert cleaned == '<p>a<a rel="noopener noreferrer">b</a></p>'


@pytest.mark.requirement("X-08")
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
def test_html_text_shows_exactly_the_text(value: str) -> None:
    shown = markup.html_text(value)
    if shown is None:
        assert not value.strip()
        return
    assert "<" not in shown.replace("<br>", "")
    assert html.unescape(shown.replace("<br>", "\n")) == html.unescape(html.escape(value.replace("\r\n", "\n").replace("\r", "\n"), quote=False))


@given(st.integers(-2_000_000_000, 7_000_000_000))
def test_reading_a_written_time_gives_the_same_time(seconds: int) -> None:
    written = dates.datetime_utc(datetime.fromtimestamp(seconds, UTC).isoformat())
    assert written is not None
    assert dates.datetime_utc(written) == written


@pytest.mark.requirement("L-07")
@given(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(), max_size=3), st.dictionaries(st.text(), st.text()))
)
def test_no_transform_fails_otherwise_than_by_saying_what_is_wrong(value: Any) -> None:
    needed: dict[str, dict[str, Any]] = {
        "add_days": {"days": 1},
        "date_in_zone": {"zone": "UTC"},
        "each": {"template": "{a}"},
        "lineage": {"name": "a"},
        "local_to_utc": {"zone": "UTC"},
        "prefix": {"text_before": "x"},
        "scale": {"factor": 2.0},
        "sort": {"by": "a"},
        "truncate": {"length": 10},
    }
    if value is None or value in ("", [], {}):
        return
    for name in CATALOGUE:
        try:
            bind(name, needed.get(name, {}))(value)
        except ValueProblem as problem:
            assert problem.message  # noqa: PT017 - the message is what is checked


def test_lines_of_a_document_leave_sections_out_and_keep_what_stands_there_twice() -> None:
    rows = [{"units": 1, "name": "Filter"}, {"name": "Chapter 1"}, {"units": 1, "name": "Filter"}, {"units": 0, "name": "Gift"}]
    written = lists.each(rows, template="{units} x {name}", needs="units")
    assert written == ["1 x Filter", "1 x Filter", "0 x Gift"]
    assert lists.lines(written, kind="line", repeated=True) == "1 x Filter\n1 x Filter\n0 x Gift"
    assert lists.lines(written, kind="line") == "1 x Filter\n0 x Gift"


def test_unknown_options_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="lenght"):
        bind("truncate", {"length": 5, "lenght": 5})


def test_every_transform_says_what_it_does() -> None:
    assert [name for name, function in CATALOGUE.items() if not function.__doc__] == []


@pytest.mark.requirement("SO-04")
@pytest.mark.parametrize(("parts", "together"), [([10, 5], 14.5), ([10, 0], 10), ([0, 0], 0), (["12,5", 100], 100), (7.5, 7.5)])
def test_discounts_given_one_after_the_other_become_one(parts: Any, together: float) -> None:
    assert numbers.compound_discount(parts) == pytest.approx(together)
