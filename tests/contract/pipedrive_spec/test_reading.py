"""The reading of the official files and the checks made of them."""

from typing import Any

import pytest

from tests.openapi.schemas import places_of_schema, places_of_value, plain, problems, validator
from tests.openapi.spec import FORM, JSON, load, requires_spec, validate_request, validate_response

PART = {"type": "object", "properties": {"id": {"type": "integer"}, "note": {"type": "string", "nullable": True}}}
UPLOAD = (
    b'--b\r\nContent-Disposition: form-data; name="deal_id"\r\n\r\n%b\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n\xff\x00\r\n--b--\r\n'
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": 1, "note": None, "more": 2}, []),
        ({"id": None}, ["id: is null instead of integer"]),
        ({"other": 1}, ["other: is not in the specification"]),
    ],
)
def test_parts_are_merged_and_closed(value: Any, expected: list[str]) -> None:
    schema = plain({"allOf": [PART, {"properties": {"more": {"type": "number"}}}]}, is_v1=False)
    assert list(map(str, problems(validator(schema), value))) == expected


def test_a_hash_is_allowed_at_any_root_of_version_1_only() -> None:
    value = {"a" * 40: 1, "b" * 40 + "_currency": "EUR"}
    assert problems(validator(plain(PART, is_v1=True)), value) == []
    assert problems(validator(plain(PART, is_v1=False)), value)


def test_a_placeholder_stands_for_any_id() -> None:
    checker = validator(plain({"properties": {"USER_ID": {"type": "object"}}}, is_v1=True))
    assert problems(checker, {"12": {}}) == []
    assert list(map(str, problems(checker, {"12": 1}))) == ["*: is integer instead of object"]


def test_places_are_the_same_of_schema_and_value() -> None:
    schema = plain({"type": "array", "items": {"properties": {"a": {"type": "array", "items": PART}}}}, is_v1=False)
    assert list(places_of_schema(schema)) == ["[].a", "[].a[].id", "[].a[].note"]
    assert dict(places_of_value([{"a": [{"id": 1, "note": None}]}])) == {"[].a": "array", "[].a[].id": "integer", "[].a[].note": "null"}


@requires_spec
def test_all_operations_are_read() -> None:
    counts: dict[str, int] = {}
    for operation in load().operations:
        counts[operation.source] = counts.get(operation.source, 0) + 1
        assert operation.success_statuses, operation.name
    assert counts == {"v1": 213, "v1-removed": 62, "v2": 158}


@requires_spec
@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v2/deals/archived", "/deals/archived"),
        ("GET", "/api/v2/deals/12", "/deals/{id}"),
        ("GET", "/api/v2/deals/products", "/deals/products"),
        ("POST", "/api/v1/deals", "/deals"),
        ("PUT", "/v1/notes/3", "/notes/{id}"),
    ],
)
def test_a_path_finds_its_operation(method: str, path: str, expected: str) -> None:
    found = load().match(method, path)
    assert found is not None
    assert found[0].path == expected


@requires_spec
@pytest.mark.parametrize(
    ("method", "path", "query", "content_type", "body", "expected"),
    [
        ("POST", "/api/v2/deals", "", JSON, b'{"title": "a", "custom_fields": {"x": 1}}', 0),
        ("POST", "/api/v2/deals", "", JSON, b'{"titel": "a"}', 2),
        ("POST", "/api/v2/deals", "", JSON, b'{"title": "a", "value": "1"}', 1),
        ("POST", "/api/v2/deals", "", FORM, b"title=a", 1),
        ("POST", "/api/v2/deals", "", JSON, b"{", 1),
        ("PATCH", "/api/v2/deals/abc", "", JSON, b'{"title": "a"}', 1),
        ("GET", "/api/v2/deals", "limit=10&sort_by=id&status=open", "", b"", 0),
        ("GET", "/api/v2/deals", "limit=ten&sort_by=title&colour=red", "", b"", 3),
        ("GET", "/api/v2/deals", "include_fields=notes_count,files_count", "", b"", 0),
        ("GET", "/api/v2/deals", "include_fields=notes_count,colour", "", b"", 1),
        ("GET", "/api/v2/deals/products", "", "", b"", 1),
        ("DELETE", "/api/v2/deals/1", "", JSON, b"{}", 1),
        ("PUT", "/v1/files/1", "", FORM, b"name=a", 0),
        ("POST", "/v1/notes", "", FORM, b"content=a&deal_id=1&pinned_to_deal_flag=1", 0),
        ("POST", "/v1/notes", "", FORM, b"content=a&deal_id=one", 1),
        ("POST", "/v1/files", "", "multipart/form-data; boundary=b", UPLOAD % b"7", 0),
        ("POST", "/v1/files", "", "multipart/form-data; boundary=b", UPLOAD % b"seven", 1),
        ("POST", "/v1/nothing", "", JSON, b"{}", 1),
    ],
)
def test_a_request_is_checked(*, method: str, path: str, query: str, content_type: str, body: bytes, expected: int) -> None:
    found = validate_request(method, path, query, content_type, body)
    assert len(found) == expected, found


@requires_spec
def test_an_answer_is_checked() -> None:
    assert validate_response("DELETE", "/api/v2/deals/{id}", 200, {"success": True, "data": {"id": 1}}) == []
    assert validate_response("DELETE", "/api/v2/deals/{any}", 200, {"success": 1, "data": {"id": "1"}}) == [
        "success: is integer instead of boolean",
        "data.id: is string instead of integer",
    ]
    assert validate_response("POST", "/api/v2/products", 200, {}) == [": 200 instead of 201"]
    assert validate_response("POST", "/api/v2/products", 400, {}) == []
    assert validate_response("GET", "/api/v2/nothing", 200, {}) == ["GET /api/v2/nothing is no operation"]
