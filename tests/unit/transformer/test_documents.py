"""JSON documents in requests: what is not of their shape is refused by name, before anything works with it."""

from __future__ import annotations

import random
from contextlib import suppress

import orjson
import pytest

from services.common.errors import InvalidRequestError
from services.transformer.documents import read_connector_options, read_target
from tests.fuzz.values import twisted_json

ACCOUNT = {
    "company": {"company_domain": "acme"},
    "token_user": {"id": 1, "name": "Ana", "email": "ana@example.com", "is_admin": True},
    "users": [{"id": 1, "name": "Ana", "email": "ana@example.com", "active_flag": True}],
    "fields": {
        "deal": [{"field_code": "f" * 40, "field_name": "A", "field_type": "enum", "is_custom_field": True, "options": [{"id": 1, "label": "x"}]}]
    },
    "pipelines": [{"id": 1, "name": "Sales", "deal_probability": True}],
    "stages": [{"id": 1, "name": "New", "pipeline_id": 1}],
    "activity_types": [{"id": 1, "name": "Call", "key_string": "call"}],
    "activity_outcomes": [{"id": 1, "label": "Done"}],
    "counts": {"custom_fields": 3, "open_deals": None},
    "caps": {"custom_fields": 30, "open_deals": None},
    "quota": {"plan": None},
}


def test_an_account_as_it_is_answered_is_read_unchanged() -> None:
    assert read_target(orjson.dumps(ACCOUNT)) == ACCOUNT
    assert read_target(b"") == {}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (b"[", "target_json is not JSON"),
        (b"[]", "target_json must be an object"),
        (b'{"users": 5}', "target_json.users: "),
        (b'{"users": [null]}', "target_json.users.0: "),
        (b'{"fields": {"deal": [{"field_name": 1}]}}', "target_json.fields.deal.0.field_name: "),
        (b'{"caps": {"custom_fields": "many"}}', "target_json.caps.custom_fields: "),
    ],
)
def test_another_shape_is_refused_by_its_place(document: bytes, place: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        read_target(document)
    assert error.value.message.startswith(place)
    assert "input" not in error.value.message.replace("Input should be", "")


def test_nothing_else_comes_of_an_account_with_something_wrong_in_it() -> None:
    rng = random.Random(1)
    for _ in range(500):
        with suppress(InvalidRequestError):
            read_target(twisted_json(orjson.dumps(ACCOUNT), rng))


@pytest.mark.parametrize("text", ["{", "[]", '{"calls_per_day": "x"}', '{"calls_per_minute": -1}', '{"calls_per_day": 1.5}'])
def test_options_of_a_connector_are_an_object_with_whole_limits(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="connector_json"):
        read_connector_options(text)
    assert read_connector_options('{"plan": "basic", "calls_per_day": 0}') == {"plan": "basic", "calls_per_day": 0}
