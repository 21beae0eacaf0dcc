from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidRequestError
from services.common.keys import RecordKey

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
IDS = st.text(min_size=1, max_size=20).filter(lambda text: "/" not in text)


@given(NAMES, NAMES, IDS, st.text(max_size=20))
def test_parsing_what_was_written_gives_the_same_key(target: str, source: str, source_id: str, part: str) -> None:
    key = RecordKey(target, source, source_id, part)
    assert RecordKey.parse(str(key)) == key


@given(st.text())
def test_any_text_is_a_key_or_refused_with_our_error(text: str) -> None:
    try:
        key = RecordKey.parse(text)
    except InvalidRequestError:
        return
    assert str(key) == text


@pytest.mark.requirement("X-01")
@pytest.mark.parametrize(
    ("text", "source_key", "part"),
    [
        ("person:client/1042", "client/1042", ""),
        ("activity:work_order/77/labour/3", "work_order/77", "labour/3"),
        ("field_option:schema/deal.label_ids/Quote", "schema/deal.label_ids", "Quote"),
        ("user:schema/fallback", "schema/fallback", ""),
    ],
)
def test_parts_of_a_key(text: str, source_key: str, part: str) -> None:
    key = RecordKey.parse(text)
    assert (key.source_key, key.part) == (source_key, part)


@pytest.mark.parametrize("text", ["", "person", "person:client", "person:client/", "Person:client/1", ":client/1", "person:/1", "person:client/1/"])
def test_what_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        RecordKey.parse(text)


def test_a_slash_in_a_source_id_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="must not be empty or hold a slash"):
        RecordKey("person", "client", "1/2")
