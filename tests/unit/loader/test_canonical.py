"""The canonical image: what was sent and what is read back spell the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.loader import canonical
from services.loader.entities import RECORD_ENTITIES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False, width=32) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "label", "primary", "locality", "until", "currency"]), inner)
    ),
    max_leaves=6,
)
CONTACTS = st.lists(
    st.fixed_dictionaries({"value": st.text(max_size=10)}, optional={"label": st.sampled_from(["work", "home", ""]), "primary": st.booleans()}),
    max_size=3,
)
ADDRESS = st.dictionaries(st.sampled_from(["value", "locality", "country", "formatted_address"]), st.none() | st.text(max_size=8))
TIMES = st.datetimes().map(str) | st.datetimes().map(lambda moment: moment.replace(microsecond=0).isoformat() + "Z") | st.text(max_size=8)
PRICES = st.lists(
    st.fixed_dictionaries({"currency": st.sampled_from(["EUR", "USD"])}, optional={"price": st.floats(0, 1e6), "cost": st.integers(0, 5)}), max_size=2
)
PARTICIPANTS = st.lists(st.fixed_dictionaries({"person_id": st.integers(1, 9)}, optional={"primary": st.booleans()}), max_size=3)
SPECIAL = {
    "emails": CONTACTS, "phones": CONTACTS, "im": CONTACTS, "address": ADDRESS, "postal_address": ADDRESS, "location": ADDRESS, "prices": PRICES,
    "participants": PARTICIPANTS, "label_ids": st.lists(st.integers(1, 99), max_size=3),
}  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(0, 10**9) | st.floats(0, 1e9) | st.text(max_size=30) | TIMES


@st.composite
def records(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(RECORD_ENTITIES)))
    fields = RECORD_ENTITIES[name].fields
    chosen = draw(st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=8))
    raw = {field: draw(SPECIAL.get(field, SCALARS)) for field in chosen}
    raw["custom_fields"] = draw(st.dictionaries(st.text("0123456789abcdef", min_size=4, max_size=4), JSON, max_size=3))
    return name, raw


@pytest.mark.requirement("L-13", "X-05")
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(records())
def test_the_image_of_an_image_is_itself(record: tuple[str, dict[str, Any]]) -> None:
    name, raw = record
    entity = RECORD_ENTITIES[name]
    once = entity.image(raw)
    assert entity.image(once) == once
    assert canonical.image_bytes(once) == canonical.image_bytes(entity.image(once))


@pytest.mark.parametrize(
    ("entity", "sent", "read"),
    [
        ("deal", {"value": 12.0, "lost_reason": ""}, {"value": 12, "lost_reason": None, "won_time": None}),
        ("organization", {"add_time": "2020-01-02 03:04:05"}, {"add_time": "2020-01-02T03:04:05Z"}),
        ("organization", {"address": {"value": "x"}}, {"address": {"value": "x", "locality": None, "formatted_address": "x, y"}}),
        ("person", {"emails": [{"value": "a@b.c"}]}, {"emails": [{"value": "a@b.c", "label": "work", "primary": True, "id": 7}]}),
        ("activity", {"due_time": "07:30", "duration": "1:00"}, {"due_time": "07:30:00", "duration": "01:00:00"}),
        ("activity", {"participants": [{"person_id": 3}]}, {"participants": [{"person_id": 3, "primary": True}]}),
        ("note", {"content": "<p>a\n  b</p><br/>"}, {"content": "<p>a b</p><br>"}),
        ("file", {"name": "x.pdf", "byte_count": 7, "staging_name": "files/a"}, {"name": "x.pdf", "file_size": 7, "deal_id": None}),
        ("organization_relation", {"type": "parent", "rel_owner_org_id": 4}, {"type": "parent", "rel_owner_org_id": {"value": 4, "name": "x"}}),
        ("product", {"prices": [{"currency": "EUR", "price": 5.0}]}, {"prices": [{"product_id": 1, "currency": "EUR", "price": 5, "cost": 0}]}),
        ("deal", {"label_ids": [2, 1], "custom_fields": {"ab": [9, 3]}}, {"label_ids": [1, 2], "custom_fields": {"ab": [3, 9], "cd": None}}),
        ("deal", {"custom_fields": {"ab": {"value": 2300.0, "currency": "EUR"}}}, {"custom_fields": {"ab": {"value": 2300, "currency": "EUR"}}}),
        ("line_item", {"comments": "", "quantity": 2.0}, {"comments": "", "quantity": 2, "discount": None}),
    ],
)  # fmt: skip
def test_what_was_sent_and_what_is_read_back_spell_the_same(entity: str, sent: dict[str, Any], read: dict[str, Any]) -> None:
    assert RECORD_ENTITIES[entity].image(sent) == RECORD_ENTITIES[entity].image(read)


def test_false_and_nought_say_something() -> None:
    assert RECORD_ENTITIES["activity"].image({"done": False}) == {"done": False}
    assert RECORD_ENTITIES["deal"].image({"value": 0}) == {"value": 0}


def test_words_survive_a_sanitiser() -> None:
    assert canonical.words('<p class="x">a &amp; b</p>') == canonical.words("<p>a &#38;\n b</p>") == "a&b"


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("2024-02-28T23:59:59Z", "2024-02-28T23:59:59Z"),
        ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00Z"),
        ("2024-12-31T12:00:00.250Z", "2024-12-31T12:00:00Z"),
        ("2024-12-31T23:30:00-01:00", "2025-01-01T00:30:00Z"),
        ("2024-12-31 12:00:00", "2024-12-31T12:00:00Z"),
        ("2023-02-29T12:00:00Z", "2023-02-29T12:00:00Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        ("soon", "soon"),
    ],
)
def test_times_have_one_spelling_and_what_is_none_stays_as_it_is(written: str, spelt: str) -> None:
    assert canonical.time(written) == spelt


@pytest.mark.parametrize("word", ["INFINITY", "-inf", "nan"])
def test_words_that_python_takes_for_numbers_stay_words(word: str) -> None:
    assert canonical.number(word) == word
