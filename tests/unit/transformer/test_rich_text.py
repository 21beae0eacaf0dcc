"""Formatted notes become text; spans of time become hours and minutes. Neither ever invents or raises what it must not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transformer.clock_spans import clock_span, minutes_as_clock
from services.transformer.rich_text import rich_text
from services.transformer.transforms.problem import ValueProblem

RTF = r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}\f0\fs20 Gate code is 4471.\par Ask for Ren\'e9 at the desk.\par}"


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("Prices: 3 < 5 & 7 > 2", "Prices: 3 < 5 & 7 > 2"),
        ("a <b", "a <b"),
        ("<p>Met on site. <b>Very</b> interested &amp; wants it.</p><script>alert(1)</script>", "Met on site. Very interested & wants it."),
        ("one<br>two<br/>three", "one\ntwo\nthree"),
        (RTF, "Gate code is 4471.\nAsk for René at the desk."),
        ("{\\rtf1 }", None),
        (r"{\rtf1 Tank \u-10179?\u-8642? full}", "Tank 😾 full"),
        (r"{\rtf1 Cut \u-10179? here}", "Cut \ufffd here"),
        ("  ", None),
        ("<p></p>", None),
    ],
)
def test_formatting_goes_and_text_stays(written: str, expected: str | None) -> None:
    found = rich_text(written)
    assert (found or None) == expected


@given(st.text())
def test_text_without_markup_is_not_touched_and_nothing_raises(written: str) -> None:
    assert rich_text(written) is None or isinstance(rich_text(written), str)
    if "<" not in written and "\\rtf" not in written and written.strip():
        assert rich_text(written) == written


@given(st.text().map(lambda rest: "{\\rtf1" + rest))
def test_broken_rtf_never_raises(written: str) -> None:
    rich_text(written)


@pytest.mark.parametrize(("minutes", "clock"), [(90, "01:30"), ("45", "00:45"), (0, "00:00"), (29.6, "00:30"), (5999, "99:59")])
def test_minutes_become_a_clock(minutes: object, clock: str) -> None:
    assert minutes_as_clock(minutes) == clock


@pytest.mark.parametrize("value", [-5, 6000, "soon", True])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueProblem):
        minutes_as_clock(value)


@pytest.mark.parametrize(
    ("times", "clock"),
    [
        (["09:00:00", "10:30:00"], "01:30"),
        (["2026-03-02T09:00:00-05:00", "2026-03-02T11:15:00-05:00"], "02:15"),
        (["09:00:00", "09:00:00"], None),
        (["09:00:00"], None),
    ],
)
def test_a_span_is_the_time_between(times: list[str], clock: str | None) -> None:
    assert clock_span(times) == clock


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueProblem, match="before it begins"):
        clock_span(["10:00:00", "09:00:00"])


@given(st.integers(min_value=0, max_value=5999))
def test_every_minute_reads_back(minutes: int) -> None:
    hours, rest = minutes_as_clock(minutes).split(":")
    assert int(hours) * 60 + int(rest) == minutes
