"""The table of STEL Order's error codes."""

from __future__ import annotations

import json

import pytest

from services.extractor.connector import Refusal
from services.extractor.connectors.stel_order.errors import Reaction, failure_of, refusal_of

EXPECTED = {
    "E000001": Reaction.MINUTE,
    "E000002": Reaction.DAY,
    "E000003": Reaction.FILTER,
    "E000004": Reaction.KEY,
    "E000005": Reaction.UNEXPECTED,
    "E000006": Reaction.RIGHT,
    **{f"E{number:06}": Reaction.UNEXPECTED for number in range(7, 17)},
    "E000017": Reaction.TRIAL,
    "E000023": Reaction.TRIAL,
    "E1": Reaction.UNEXPECTED,
    "odd": Reaction.UNEXPECTED,
}


@pytest.mark.parametrize("status", [200, 400, 403, 429])
@pytest.mark.parametrize("is_array", [True, False])
@pytest.mark.parametrize(("code", "reaction"), EXPECTED.items())
def test_the_code_decides_whatever_status_and_shape(code: str, reaction: Reaction, is_array: bool, status: int) -> None:
    body = {"error-code": code, "description": "words"}
    failure = failure_of(status, json.dumps([body] if is_array else body).encode())
    assert failure is not None
    assert failure.reaction is reaction


@pytest.mark.parametrize(
    ("status", "content", "reaction"),
    [
        (401, b"{}", Reaction.KEY),
        (403, b"{}", Reaction.RIGHT),
        (403, b"<html>blocked</html>", Reaction.OUTAGE),
        (404, b"<html>", Reaction.ABSENT),
        (408, b"{}", Reaction.OUTAGE),
        (429, b"", Reaction.MINUTE),
        (400, b"{}", Reaction.UNEXPECTED),
        (302, b"", Reaction.OUTAGE),
        (500, b"{}", Reaction.OUTAGE),
        (599, b"", Reaction.OUTAGE),
        (200, b"\n <html>soon back</html>", Reaction.OUTAGE),
    ],
)
def test_without_a_code_the_status_decides(status: int, content: bytes, reaction: Reaction) -> None:
    failure = failure_of(status, content)
    assert failure is not None
    assert failure.reaction is reaction


@pytest.mark.parametrize("content", [b"[]", b'[{"id": 1}]', b"broken", b"", b'{"error-code": 7}'])
def test_success_is_no_failure(content: bytes) -> None:
    assert failure_of(200, content) is None


def test_the_vendors_words_stay_out() -> None:
    assert "secret" not in str(failure_of(400, b'{"error-code": "E000003", "description": "secret"}'))


def test_refusals() -> None:
    assert refusal_of(403, b'{"error-code": "E000001"}') is Refusal.MINUTE
    assert refusal_of(403, b'{"error-code": "E000002"}') is Refusal.DAY
    assert refusal_of(404, b"") is None
    assert refusal_of(200, b"%PDF") is None
