"""What was taken back begins anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.ledger.claims import Action, Claim, References, decide_load
from services.ledger.domain import Record, RecordState, Reference, WantedRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DEAL, NOTE = "deal:sales_order/1", "note:sales_order/1/lines"
WANTED = WantedRecord(NOTE, "note", "sales_order", "1", payload_digest="d1", references=(Reference(DEAL),))
CLAIM = Claim("loader-1/1", "request-1", "b1", NOW, NOW + timedelta(seconds=60))


@pytest.mark.requirement("L-15")
def test_a_record_that_waits_after_it_was_taken_back_is_not_in_pipedrive() -> None:
    undone = Record("acme", NOTE, "note", "sales_order", "1", 9, state=RecordState.UNDONE, target_id="15", image="{}", payload_digest="d1")
    references = References(ids={}, pending=frozenset(), missing={DEAL: "it is waiting"})
    decision = decide_load(undone, WANTED, CLAIM, references, "")
    assert (decision.action, decision.record.state) == (Action.BLOCKED, RecordState.WAITING)
    assert not decision.record.has_target
    again = decide_load(decision.record, WANTED, CLAIM, References(ids={DEAL: "20"}, pending=frozenset(), missing={}), "")
    assert again.action is Action.CREATE
