"""Every transform on whatever a source may hold: it answers or says what is wrong, invents nothing, and answers the same again.

A transform that joins the catalogue joins `PROPERTIES`, with what must be true of its answers.
"""

from __future__ import annotations

import html
import json
import math
import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.transformer.catalogue import CATALOGUE, bind
from services.transformer.empty import is_empty
from services.transformer.transforms.problem import ValueProblem

Options = Mapping[str, Any]
Check = Callable[[Any, Any, Options], None]
"""Is given the value, the answer (never an empty one) and the options."""
SECONDS_MAX = 2.0
"""For the largest cell a source may hold."""

AWKWARD = (
    "\x00",
    "a\x00b",
    "\ud800",
    "half \udc3d of a character",
    "\u202egnp.exe",
    "1e999999999",
    "-0",
    "NaN",
    "Infinity",
    "1_000",
    "١٢٣",
    "½",
    "02/03/04",
    "29.02.2023",
    "0001-01-01",
    "9999-12-31T23:59:59-12:00",
    "0099-12-31",
    "2026-03-02 10:15 CET",
    "2026-03-02T10:15:00+25:00",
    "March 2024",
    "12:30",
    "24:00",
    "a@b.example; c@d.example/e@f.example  g@h.example",
    "+34 600 000 000 / 93 000 00 00\n00",
    "<b onclick='x'>bold</b><script>alert(1)</script><br><br >end",
    "{\\rtf1 \\u-10179?\\u-8642? text}",
    "&#0;&#xD800;&amp;",
    "RRULE:FREQ=DAILY;COUNT=999999999999",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "every ٣ months",
    "every 999999 years",
    "monthly on the 31st",
)
TEXTS = st.one_of(st.text(alphabet=st.characters(codec=None, exclude_categories=[]), max_size=60), st.sampled_from(AWKWARD))
NUMBERS = st.one_of(st.integers(), st.integers(-(10**400), 10**400), st.floats(), st.sampled_from([10**310, -(10**308), 5e-324, 1e16, 0.1 + 0.2]))
DATES = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 30)).map(lambda one: one.isoformat())  # noqa: DTZ001 - as written, without zone
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, DATES)
KEYS = st.one_of(st.sampled_from(["a", "b", "deleted", "start", "text", "every", "unit", "until", "count", "interval", "city-town", "value"]), TEXTS)
VALUES = st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5)), max_leaves=12)


def nested(depth: int) -> Any:
    value: Any = "deep"
    for step in range(depth):
        value = [value] if step % 2 else {"a": value}
    return value


HUGE = (
    " " * 200_000 + "<b>",
    "x" * 200_000,
    "1" * 200_000,
    "a " * 100_000,
    "<br" * 60_000,
    " \n" * 100_000 + "@",
    "<p> " * 50_000,
    "{\\rtf1 " + "{" * 50_000,
    "2026-03-02" * 20_000,
    ["x@y.example"] * 20_000,
    [{"a": number} for number in range(20_000)],
)


# --------------------------------------------------------------------------- what an answer may hold


def words(value: Any, *, with_keys: bool = False) -> Iterator[str]:
    """Yield the texts and numbers in a value, however deep, and with `with_keys` the names beside them."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from [str(name)] if with_keys else []
            yield from words(inner, with_keys=with_keys)
    elif isinstance(value, list):
        for inner in value:
            yield from words(inner, with_keys=with_keys)
    elif isinstance(value, bool):
        yield "Yes" if value else "No"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        yield str(int(value))
    elif isinstance(value, int) and abs(value) > 10**300:
        yield ""
    elif value is not None:
        yield str(value)


def marks(text: str) -> str:
    """Answer letters and digits alone."""
    return "".join(one for one in text if one.isalnum())


def is_in(written: str, value: Any) -> None:
    assert marks(written) in marks(" ".join(words(value, with_keys=True))), written


def each_from_the_value(value: Any, answer: Any, options: Options) -> None:
    for written in answer:
        is_in(written, value)


def a_choice(value: Any, answer: Any, options: Options) -> None:
    assert answer in value if isinstance(value, list) else answer is value


def same_elements(value: Any, answer: Any, options: Options) -> None:
    given = value if isinstance(value, list) else [value]
    assert len(answer) == len(given) if isinstance(answer, list) else answer is value
    assert {id(one) for one in (answer if isinstance(answer, list) else [answer])} == {id(one) for one in given}


def some_of_the_elements(value: Any, answer: Any, options: Options) -> None:
    if not isinstance(value, list):
        assert answer is value
        return
    places = [next(place for place, given in enumerate(value) if given is one) for one in answer]
    assert places == sorted(places)
    assert all(any(repr(one) == repr(kept) for kept in answer) or "by" in options for one in value)


def entries(value: Any, answer: Any, options: Options) -> None:
    assert [one["primary"] for one in answer] == [True] + [False] * (len(answer) - 1)
    assert len({one["value"] for one in answer}) == len(answer)
    for one in answer:
        assert one["value"] == one["value"].strip()
        digits = "".join(character for character in one["value"] if character.isdigit())
        if options.get("normalise") and one["value"].startswith("+"):
            given = "".join(str(unicodedata.digit(character, "")) for character in " ".join(words(value)))
            assert re.sub(r"\D", "", digits)[-6:] in given or phone_words(value)
        else:
            each_word_from_the_value(value, one["value"], options)


def phone_words(value: Any) -> bool:
    """Say whether a number may be written with letters (`1-800-FLOWERS`)."""
    return any(character.isalpha() for character in " ".join(words(value)))


def a_number(value: Any, answer: Any, options: Options) -> None:
    assert isinstance(answer, (int, float))
    assert not isinstance(answer, bool)
    assert math.isfinite(answer)
    if isinstance(value, str):
        digits = "".join(str(unicodedata.digit(character)) for character in value if character.isdecimal())
        shown = f"{abs(answer):.15g}".partition("e")[0].replace(".", "").strip("0")[:12]
        assert "e" in value.casefold() or shown.rstrip("0")[:-1] in digits


def whole(value: Any, answer: Any, options: Options) -> None:
    a_number(value, answer, options)
    assert isinstance(answer, int)


def computed(value: Any, answer: Any, options: Options) -> None:
    assert isinstance(answer, (int, float))
    assert math.isfinite(answer)
    assert any(character.isdecimal() for character in " ".join(words(value)))


def a_day(value: Any, answer: Any, options: Options) -> None:
    found = date.fromisoformat(answer)
    assert str(found) == answer
    stands_in(found, value)


def stands_in(found: date, value: Any) -> None:
    """Check that a date's day and year are written in the value: nothing was completed."""
    assert isinstance(value, str)
    digits = "".join(str(unicodedata.digit(character, " ")) for character in value)
    assert f"{found.year % 100:02}" in digits or str(found.year) in digits, (found, value)
    assert str(found.day) in digits, (found, value)


def a_near_day(value: Any, answer: Any, options: Options) -> None:
    """A day that was moved: to another zone, or by some days."""
    found = date.fromisoformat(answer) - timedelta(days=options.get("days", 0))
    near = [
        found + timedelta(days=offset) for offset in (-2, -1, 0, 1, 2) if date.min.toordinal() < found.toordinal() + offset < date.max.toordinal()
    ]
    for one in near:
        try:
            stands_in(one, value)
        except AssertionError:
            continue
        return
    raise AssertionError((answer, value))


def a_point_in_time(value: Any, answer: Any, options: Options) -> None:
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", answer)
    a_near_day(value, datetime.fromisoformat(answer).astimezone(UTC).date().isoformat(), options)


def a_time_of_day(value: Any, answer: Any, options: Options) -> None:
    assert re.fullmatch(r"[0-2]\d:[0-5]\d(:[0-5]\d)?", answer)
    assert any(character.isdecimal() for character in str(value))


def a_duration(value: Any, answer: Any, options: Options) -> None:
    assert re.fullmatch(r"\d\d:[0-5]\d", answer)
    assert any(character.isdecimal() for character in " ".join(words(value)))


def a_truth(value: Any, answer: Any, options: Options) -> None:
    assert isinstance(answer, bool)
    assert isinstance(value, (bool, str)) or value in {0, 1}


def one_of_two(value: Any, answer: Any, options: Options) -> None:
    assert answer in {"Yes", "No"}


def capitals(value: Any, answer: Any, options: Options) -> None:
    assert answer == answer.upper()
    assert answer == bind("text", {})(value).upper()


def the_same_text(value: Any, answer: Any, options: Options) -> None:
    shown = html.unescape(answer.replace("<br>", "\n"))
    assert "<" not in answer.replace("<br>", "")
    assert shown == html.unescape(html.escape(bind("text", {})(value).replace("\r\n", "\n").replace("\r", "\n"), quote=False))


def clean(value: Any, answer: Any, options: Options) -> None:
    folded = answer.casefold()
    assert not re.search(r"<(?:script|style|iframe|object)\b|<[^>]*\son\w+\s*=|javascript:[^<]*>", folded)
    for word in re.findall(r"[a-z]{3,}", re.sub(r"<[^>]*>|&\w+;", " ", answer)):
        assert word in " ".join(words(value, with_keys=True)) or word in html.unescape(" ".join(words(value, with_keys=True)))


def no_markup_left(value: Any, answer: Any, options: Options) -> None:
    answer.encode("utf-16", "surrogatepass")
    written = bind("text", {})(value)
    if "<" not in written and not written.lstrip().startswith("{\\rtf"):
        assert answer == written


def cut(value: Any, answer: Any, options: Options) -> None:
    assert len(answer) <= options["length"]
    assert bind("text", {})(value).startswith(answer.removesuffix("…"))


def with_prefix(value: Any, answer: Any, options: Options) -> None:
    assert answer == options["text_before"] + bind("text", {})(value)


def a_count(value: Any, answer: Any, options: Options) -> None:
    assert answer == (len(value) if isinstance(value, list) else 1)


def an_address(value: Any, answer: Any, options: Options) -> None:
    assert set(answer) <= {"value", "route", "subpremise", "locality", "admin_area_level_1", "postal_code", "country"}
    assert all(isinstance(part, str) and part.strip() for part in answer.values())
    for part in answer.values():
        for piece in part.split(", ") if isinstance(value, Mapping) else [part]:
            for word in piece.split():
                is_in(word, value)


def each_word_from_the_value(value: Any, answer: Any, options: Options) -> None:
    for word in str(answer).replace(">", " ").split():
        is_in(word, value)


def occurrences(value: Any, answer: Any, options: Options) -> None:
    assert len(answer) <= options["cap"]
    days = [one["date"] for one in answer]
    assert days == sorted(set(days))
    assert options["window_from"] <= days[0]
    assert days[-1] < "2029-01-01"
    assert {one["of"] for one in answer} == {answer[0]["of"]}
    for one in answer:
        assert set(one) <= {"number", "of", "date", "time", "due_date", "due_time", "at"}


def a_rule(value: Any, answer: Any, options: Options) -> None:
    assert re.fullmatch(r"(DTSTART;[^\n]+\n)?RRULE:FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)[^\n]*", answer)


def some_words(value: Any, answer: Any, options: Options) -> None:
    assert isinstance(answer, str)
    assert answer.strip()


@dataclass(frozen=True)
class Property:
    """What is true of a transform.

    Attributes:
        check: what its answers must be.
        options: what it is given in a mapping; each is tried.
        values: values it can do something with, beside everything else.
    """

    check: Check
    options: tuple[Options, ...] = ({},)
    values: st.SearchStrategy[Any] = field(default_factory=st.nothing)


WINDOW = {"window_from": "2026-01-01", "months": 36, "cap": 20}
OBJECTS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "deleted"]), LEAVES, max_size=3), min_size=1, max_size=5)
TIMES = st.one_of(DATES, st.sampled_from(["09:00", "10:30", "23:59"]))
RECURRENCES = st.fixed_dictionaries(
    {"start": DATES, "every": st.one_of(st.integers(-1, 40), TEXTS), "unit": st.sampled_from(["days", "weeks", "Months", "years", "hours", "moons"])},
    optional={"until": DATES, "count": st.integers(-1, 40), "interval": st.sampled_from(["Once", "", "Recurring"])},
)
ADDRESSES = st.dictionaries(
    st.sampled_from(["address-data", "extra-data", "city-town", "province", "postal-code", "country-code", "formatted-address"]), LEAVES
)
PROPERTIES: Mapping[str, Property] = {
    "absolute": Property(a_number),
    "add_days": Property(a_near_day, ({"days": 3}, {"days": -400}, {"days": 10**9}), DATES),
    "address": Property(an_address, values=ADDRESSES),
    "address_line": Property(each_word_from_the_value, values=ADDRESSES),
    "bool": Property(a_truth, values=st.sampled_from(["yes", "Sí", "0", "x", 0, 1, 1.0])),
    "calendar_date": Property(a_day, ({}, {"day_first": False}), DATES),
    "clock_span": Property(a_duration, values=st.lists(TIMES, min_size=2, max_size=2)),
    "clock_time": Property(a_time_of_day, values=DATES),
    "compound_discount": Property(computed, values=st.lists(st.floats(0, 100), min_size=1)),
    "count": Property(a_count),
    "date": Property(a_day, ({}, {"day_first": False}), DATES),
    "date_in_zone": Property(a_near_day, ({"zone": "Pacific/Kiritimati"}, {"zone": "America/New_York"}), DATES),
    "datetime": Property(a_point_in_time, ({}, {"day_first": False}), DATES),
    "distinct": Property(some_of_the_elements, ({}, {"by": "a"}), OBJECTS),
    "each": Property(each_from_the_value, ({"template": "{a}"},), OBJECTS),
    "emails": Property(entries, ({}, {"label": "home", "primary": True})),
    "first": Property(a_choice),
    "html_sanitise": Property(clean),
    "html_text": Property(the_same_text),
    "integer": Property(whole),
    "join": Property(each_word_from_the_value, ({}, {"kind": "line"})),
    "lineage": Property(each_word_from_the_value, ({"name": "a", "otherwise": "b"},), OBJECTS),
    "local_to_utc": Property(a_point_in_time, ({"zone": "Europe/Madrid"}, {"zone": "America/St_Johns"}), DATES),
    "minutes_as_clock": Property(a_duration, values=st.integers(0, 6000)),
    "negate": Property(a_truth),
    "noon_utc": Property(a_point_in_time, values=DATES),
    "number": Property(a_number),
    "occurrences": Property(occurrences, (WINDOW, {**WINDOW, "zone": "America/New_York"}), RECURRENCES),
    "option": Property(each_word_from_the_value, ({},)),
    "phones": Property(entries, ({}, {"normalise": True, "region": "ES"}), st.sampled_from(["600 123 456", "+44 20 7946 0000", "1-800-FLOWERS"])),
    "prefix": Property(with_prefix, ({"text_before": "No. "},)),
    "recurrence_rule": Property(a_rule, ({}, {"zone": "Europe/Madrid"}), RECURRENCES),
    "recurrence_words": Property(some_words, ({}, {"zone": "Europe/Madrid"}), RECURRENCES),
    "reverse": Property(same_elements),
    "rich_text": Property(no_markup_left),
    "round": Property(computed, ({}, {"digits": 2}, {"digits": -2}), st.floats(-1e9, 1e9)),
    "scale": Property(computed, ({"factor": 0.01}, {"factor": 1e308})),
    "sort": Property(same_elements, ({"by": "a"},), OBJECTS),
    "strip": Property(each_word_from_the_value),
    "sum": Property(computed, values=st.lists(NUMBERS, min_size=1)),
    "text": Property(each_word_from_the_value),
    "truncate": Property(cut, ({"length": 10},)),
    "upper": Property(capitals),
    "written_time": Property(a_time_of_day, values=DATES),
    "yes_no": Property(one_of_two, values=st.sampled_from(["no", "Verdadero", True])),
}

NAMES = sorted(CATALOGUE)


def answers(name: str, value: Any, options: Options) -> Any:
    """Answer what a transform makes of a value, None where it refuses it. Anything else it raises fails the test."""
    try:
        return bind(name, options)(value)
    except ValueProblem:
        return None


def test_every_transform_has_a_property() -> None:
    assert set(PROPERTIES) == set(CATALOGUE)


@pytest.mark.requirement("X-04", "L-07")
@pytest.mark.parametrize("name", NAMES)
def test_whatever_a_source_holds_is_answered_or_refused_and_nothing_is_invented(name: str) -> None:
    one = PROPERTIES[name]
    examples = 60 if name in {"occurrences", "recurrence_rule", "recurrence_words"} else 100

    @settings(max_examples=examples, deadline=None)
    @given(value=st.one_of(VALUES, one.values) if not one.values.is_empty else VALUES, options=st.sampled_from(one.options))
    def check(value: Any, options: Options) -> None:
        if value is None or value in ("", [], {}):
            return  # transforms are never asked about these
        answer = answers(name, value, options)
        assert repr(answers(name, value, options)) == repr(answer)
        if not is_empty(answer):
            one.check(value, answer, options)

    check()


@pytest.mark.parametrize("name", NAMES)
def test_neither_depth_nor_size_fails_otherwise(name: str) -> None:
    for value in (
        nested(5_000),
        10**5_000,
        [10**5_000],
        {"a": 10**5_000, "text": nested(5_000), "every": 10**5_000, "interval": nested(5_000)},
        "\ud83d",
    ):
        answers(name, value, PROPERTIES[name].options[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("blank", [" ", "\t\r\n", "\u00a0\u2003", [" "], [None, ""], {"a": " "}, {"b": None}, [[]], [{}]])
def test_of_nothing_comes_nothing(name: str, blank: Any) -> None:
    if name == "count":
        return  # an empty line of a list is a line
    for options in PROPERTIES[name].options:
        answer = answers(name, blank, options)
        assert not [word for word in words(answer) if word.strip() and word != "?"], "an object without a name shows as `?`"


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_cells_take_no_more_than_a_moment(name: str) -> None:
    for value in HUGE:
        began = time.process_time()
        answers(name, value, PROPERTIES[name].options[0])
        assert time.process_time() - began < SECONDS_MAX, str(value)[:20]


@pytest.mark.parametrize("name", NAMES)
@given(value=st.one_of(TEXTS, DATES, st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
@settings(max_examples=25, deadline=None)
def test_what_a_transform_answers_can_be_written_as_json(name: str, value: Any) -> None:
    if value == "":
        return
    for options in PROPERTIES[name].options:
        answer = answers(name, value, options)
        assert json.loads(json.dumps(answer, allow_nan=False)) == answer


ZONES = st.sampled_from([UTC, ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")])


@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(2090, 1, 1), timezones=ZONES))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_point_in_time_is_the_same_one_in_every_form(moment: datetime) -> None:
    whole_seconds = moment.replace(microsecond=0)
    wanted = whole_seconds.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert bind("datetime", {})(moment.isoformat()) == wanted
    assert bind("calendar_date", {})(moment.isoformat()) == moment.date().isoformat()
    assert bind("date_in_zone", {"zone": "UTC"})(moment.isoformat()) == wanted[:10]


@pytest.mark.parametrize("zone", ["CET", "CST", "IST", "BRT", "EST"])
def test_letters_that_may_be_several_zones_are_refused(zone: str) -> None:
    for name in ("datetime", "calendar_date", "clock_time"):
        with pytest.raises(ValueProblem):
            bind(name, {})(f"2 March 2026 10:15 {zone}")
    assert bind("datetime", {})("2 March 2026 10:15 GMT") == "2026-03-02T10:15:00Z"
