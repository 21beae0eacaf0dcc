"""Messages to the loader's words and back."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidRequestError
from services.loader.codec import batch_from_proto, manifest_from_json, resolve
from services.loader.work import Action, Result
from tests.unit.loader.world import World, batch_of
from transload.v1 import ledger_service_pb2 as pb

IDS = {"organization:client/1": "17", "custom_field:schema/x": "ab12"}


@pytest.mark.requirement("X-01")
@pytest.mark.parametrize(
    ("payload", "dropped", "expected", "missing"),
    [
        ({"org_id": {"$ref": "organization:client/1"}}, [], {"org_id": 17}, []),
        ({"f": {"$ref": "custom_field:schema/x"}}, [], {"f": "ab12"}, []),
        ({"a": 1, "org_id": {"$ref": "x:y/1"}}, ["x:y/1"], {"a": 1}, []),
        ({"org_id": {"$ref": "x:y/1"}}, [], {}, ["x:y/1"]),
        ({"participants": [{"person_id": {"$ref": "x:y/1"}, "primary": True}]}, ["x:y/1"], {"participants": []}, []),
        ({"people": [{"id": {"$ref": "organization:client/1"}, "primary": True}]}, [], {"people": [{"id": 17, "primary": True}]}, []),
        ({"text": {"$ref": 5}}, [], {"text": {"$ref": 5}}, []),
    ],
)  # fmt: skip
def test_references_are_resolved_dropped_or_missing(payload: Any, dropped: list[str], expected: Any, missing: list[str]) -> None:
    found: list[str] = []
    assert resolve(payload, IDS, dropped, found) == expected
    assert found == missing


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_holds_no_reference_stays_as_it_is(value: Any) -> None:
    def holds(part: Any) -> bool:
        if isinstance(part, dict):
            return "$ref" in part or any(holds(inner) for inner in part.values())
        return isinstance(part, list) and any(holds(inner) for inner in part)

    if not holds(value):
        assert resolve(value, {}, (), []) == value


def test_every_word_is_the_contracts() -> None:
    assert {action.value for action in Action} == {name.removeprefix("RECORD_ACTION_") for name, number in pb.RecordAction.items() if number}
    assert {result.value for result in Result} == {name.removeprefix("OUTCOME_RESULT_") for name, number in pb.OutcomeResult.items() if number}


def test_decisions_must_match_the_records() -> None:
    world = World()
    message = batch_of("organization", {"organization:client/1": {"name": "x"}})
    with pytest.raises(InvalidRequestError):
        batch_from_proto(message, pb.BeginBatchResponse(), client=world.client, context=world.context, started=0.0)


@pytest.mark.requirement("G-01")
def test_a_manifest_tells_the_external_id_fields_and_what_was_there_before() -> None:
    manifest = manifest_from_json(
        orjson.dumps(
            {
                "source_account": "acme",
                "bindings": {
                    "custom_field:schema/deal.transload_id": {"target_id": "ab", "image": {}},
                    "custom_field:schema/deal.number": {"target_id": "cd", "image": {}},
                    "user:schema/fallback": {"target_id": "7", "image": {}},
                },
                "target": {"fields": {"deal": [{"field_code": "ef", "options": [{"id": 3, "label": "x"}]}]}, "pipelines": [{"id": 1}]},
            }
        )
    )
    assert manifest.external_id_codes == {"deal": "ab"}
    assert (manifest.source_account, manifest.fallback_user_id) == ("acme", "7")
    assert manifest.schema_before["custom_field"] == {"ef"}
    assert manifest.schema_before["field_option"] == {"3"}
    assert manifest.schema_before["pipeline"] == {"1"}
