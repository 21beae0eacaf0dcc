from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidRequestError
from services.common.keys import RecordKey

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
IDS = st.text(min_size=1, max_size=20)


@given(NAMES, NAMES, IDS, st.text(max_size=20))
def test_parsing_what_was_written_gives_the_same_key(target: str, source: str, source_id: str, part: str) -> None:
    tail = f"{source_id}/{part}" if part else source_id
    key = RecordKey(target, source, tail)
    assert RecordKey.parse(str(key)) == key
    assert RecordKey.parse(f"{target}:{source}/{tail}") == key
    assert source_id in key.source_ids()


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
        ("product:part/V-3:4#5%2F é", "part/V-3:4#5%2F é", ""),
    ],
)
def test_parts_of_a_key(text: str, source_key: str, part: str) -> None:
    key = RecordKey.parse(text)
    shortest = next(key.source_ids())
    assert (f"{key.source_entity}/{shortest}", key.tail[len(shortest) + 1 :]) == (source_key, part)
    assert key.place == text.partition(":")[2]


@pytest.mark.parametrize(
    ("text", "source_ids"),
    [
        ("product:part/V-3", ["V-3"]),
        ("product:part/V-3/4", ["V-3", "V-3/4"]),
        ("line_item:invoice/2024/A/1/line-2", ["2024", "2024/A", "2024/A/1", "2024/A/1/line-2"]),
        ("product:part//4", ["/4"]),
        ("product:part/4/", ["4", "4/"]),
    ],
)
def test_a_slash_may_belong_to_the_id_or_begin_the_part(text: str, source_ids: list[str]) -> None:
    assert list(RecordKey.parse(text).source_ids()) == source_ids


@pytest.mark.parametrize("text", ["", "person", "person:client", "person:client/", "Person:client/1", ":client/1", "person:/1"])
def test_what_is_not_a_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        RecordKey.parse(text)
