from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.canonical import canonical_json, digest, digest_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=20)


@pytest.mark.requirement("X-08")
@given(VALUES)
def test_reading_what_was_written_gives_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(VALUES)
def test_writing_what_was_read_gives_the_same_bytes(value: Any) -> None:
    first = canonical_json(value)
    assert canonical_json(json.loads(first)) == first


@given(st.dictionaries(st.text(), SCALARS, min_size=2))
def test_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(st.integers(min_value=-(2**53), max_value=2**53))
def test_whole_floats_are_written_as_integers(number: int) -> None:
    assert canonical_json([float(number)]) == canonical_json([number])


@pytest.mark.requirement("X-08")
@given(st.text(alphabet=st.characters()))
def test_any_text_survives_even_half_surrogate_pairs(text: str) -> None:
    raw = canonical_json({"text": text, "half": "\ud83d"})
    raw.decode("utf-8")
    assert json.loads(raw) == {"text": text, "half": "\ud83d"}


def test_keys_are_sorted_and_no_space_is_written() -> None:
    assert canonical_json({"b": 12.0, "a": [1.5, "é", True, None]}) == '{"a":[1.5,"é",true,null],"b":12}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_json_cannot_say_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        canonical_json({"amount": value})


@pytest.mark.parametrize("value", [{1: "x"}, {"x": object()}, [b"bytes"]], ids=["key", "object", "bytes"])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


def test_digest_is_sha256_in_hex() -> None:
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of({"b": 1, "a": 2.0}) == digest(b'{"a":2,"b":1}')
