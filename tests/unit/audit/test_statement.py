"""The words of a statement follow from its event."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from transload.audit.statement import statement_lines

pytestmark = pytest.mark.requirement("L-13", "L-14")
SUMS = {"expected": 10, "found": 9, "missing": 1, "different": 2, "unexpected": 0, "fields": 40}
FOUND: dict[str, Any] = {
    "run_id": "acme-reconcile-5",
    "record_count": 10,
    "field_count": 40,
    "mismatch_count": 0,
    "mismatch_digest": "ab",
    "entities": {"deal_value": SUMS},
    "samples": {"file_bytes": {"words": "0 wrong in all 12", "unknown": 2, "seed": "5eed"}},
    "mapping_digest": "map",
    "manifest_digest": "man",
}
EVENT = {"kind": "reconciliation.finished", "event_time": "2026-01-01T00:00:00.000000Z", "sequence": 7}


def test_it_says_what_was_found_and_what_was_sampled() -> None:
    text = "\n".join(statement_lines(EVENT, orjson.dumps(FOUND)))
    assert "Result: whole." in text
    assert "- deal value: 10 expected, 9 found, 1 missing, 2 different, 0 unexpected" in text
    assert "the bytes of files: 0 wrong in all 12 (2 could not be compared). Drawn with seed 5eed." in text
    assert "Seen to" not in text


def test_it_says_what_is_not_whole_and_what_was_seen_to() -> None:
    text = "\n".join(statement_lines(EVENT, orjson.dumps(FOUND | {"mismatch_count": 3, "repaired": {"patch": 2, "accept": 1}})))
    assert "Result: NOT whole. 3 mismatches; SHA-256 of their list: ab." in text
    assert "Seen to since the comparison: 1 by accept, 2 by patch." in text


def test_another_event_is_no_statement() -> None:
    with pytest.raises(ValueError, match="not a reconciliation"):
        statement_lines(EVENT | {"kind": "run.succeeded"}, orjson.dumps(FOUND))
