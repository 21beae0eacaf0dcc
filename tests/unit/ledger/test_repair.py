"""What is done about a mismatch, and what is left to people."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from services.common.canonical import canonical_json
from services.ledger.claims import Claim, decide_repair
from services.ledger.domain import ClaimAction, Record, RecordState, Resolution, WantedRecord
from services.ledger.origins import carried_key
from services.ledger.repair import Repair, RepairAction, accepted, adopted, forgotten, hangs_on, plan_repair, relink
from tests.fakes.clock import FakeClock
from transload.v1.migration_service_pb2 import Mismatch
from transload.v1.records_pb2 import MappedRecord

pytestmark = pytest.mark.requirement("L-13")

IMAGE = '{"deal_id":5,"org_id":9,"participants":[{"person_id":3,"primary":true}],"subject":"Call"}'
LOADED = Record("acme", "activity:event/1", "activity", "event", "1", 9, state=RecordState.LOADED, target_id="7", image=IMAGE, payload_digest="d")


def different(field: str, actual: object, key: str = LOADED.key) -> Mismatch:
    return Mismatch(key=key, target_id="7", target_field=field, actual_json=canonical_json(actual), kind="different")


def missing(key: str = LOADED.key) -> Mismatch:
    return Mismatch(key=key, target_id="7", kind="missing")


def test_fields_go_back_and_what_was_seen_is_remembered() -> None:
    repair = plan_repair([different("subject", "Talk"), different("org_id", None)], LOADED, deletes=False)
    assert (repair.action, repair.seen, repair.source_key) == (RepairAction.PATCH, {"subject": "Talk", "org_id": None}, "event/1")
    assert Repair.from_row(repair.to_row()) == repair


@pytest.mark.parametrize(
    ("key", "mismatch", "record", "action"),
    [
        (LOADED.key, missing(), LOADED, RepairAction.CREATE),
        ("file:a/1", different("bytes", "x", "file:a/1"), replace(LOADED, key="file:a/1", target_entity="file"), RepairAction.UPLOAD),
        ("stage:schema/a", different("name", "x", "stage:schema/a"), replace(LOADED, key="stage:schema/a"), RepairAction.PATCH),
        ("stage:schema/a", missing("stage:schema/a"), replace(LOADED, key="stage:schema/a"), RepairAction.NONE),
        ("custom_field:schema/a", different("options", {}, "custom_field:schema/a"), replace(LOADED, key="custom_field:schema/a"), RepairAction.NONE),
        (LOADED.key, missing(), None, RepairAction.NONE),
        (LOADED.key, missing(), replace(LOADED, target_id="8"), RepairAction.NONE),
        (LOADED.key, missing(), replace(LOADED, state=RecordState.WAITING), RepairAction.NONE),
        # What the source has no more is mapped from nothing: made to be created, it would wait for ever.
        (LOADED.key, missing(), replace(LOADED, gone="flag"), RepairAction.NONE),
        ("file:a/1", different("bytes", "x", "file:a/1"), replace(LOADED, key="file:a/1", target_entity="file", gone="keep"), RepairAction.NONE),
        (LOADED.key, different("subject", "Talk"), replace(LOADED, gone="flag"), RepairAction.PATCH),
    ],
)
def test_each_mismatch_has_its_repair_or_a_reason(key: str, mismatch: Mismatch, record: Record | None, action: RepairAction) -> None:
    repair = plan_repair([mismatch], record, deletes=True)
    assert (repair.key, repair.action, bool(repair.message)) == (key, action, action is RepairAction.NONE)


def test_a_copy_is_deleted_only_when_asked_for() -> None:
    copy = Mismatch(key="deal:stel/sales_order/2", target_id="99", kind="unexpected")
    assert plan_repair([copy], None, deletes=False).action is RepairAction.NONE
    assert plan_repair([copy], None, deletes=True).action is RepairAction.DELETE
    ours, theirs = (adopted("acme", carried_key(copy.key, "stel"), "sales_order/2", "99", is_ours=is_ours) for is_ours in (True, False))
    assert (ours.key, ours.source_key, ours.phase, ours.is_preexisting) == ("deal:sales_order/2/copy-99", "sales_order/2", 7, False)
    assert (theirs.state, theirs.is_preexisting, theirs.pre_image) == (RecordState.MATCHED, True, "")


def test_links_to_a_record_made_again_get_its_new_id() -> None:
    image = orjson.loads(IMAGE)
    assert relink(image, {("deal", "5"): "50", ("person", "3"): "30", ("organization", "1"): "2"}) == {
        "deal_id": 50,
        "participants": [{"person_id": 30, "primary": True}],
    }
    assert relink(image, {("person", "9"): "10"}) == {}
    assert hangs_on(LOADED, "deal", "5")
    assert hangs_on(LOADED, "person", "3")
    assert not hangs_on(LOADED, "deal", "9")


def test_what_is_accepted_is_not_compared_any_more() -> None:
    kept = accepted(LOADED, [different("subject", "Talk")])
    assert "subject" not in orjson.loads(kept.image)
    assert orjson.loads(accepted(LOADED, [different("bytes", "abc")]).image)["$bytes"] == "abc"
    gone = accepted(LOADED, [missing()])
    assert (gone.state, gone.resolution, gone.target_id) == (RecordState.SKIPPED, Resolution.SKIP, "")


def test_a_lost_record_is_made_anew_by_its_next_claim() -> None:
    lost = forgotten(replace(LOADED, is_preexisting=True, pre_image="{}"))
    assert (lost.state, lost.target_id, lost.image, lost.payload_digest, lost.is_preexisting) == (RecordState.EXPECTED, "", "", "", False)


def test_a_batch_is_claimed_once_and_carries_what_shall_stand_there() -> None:
    now = FakeClock().now()
    claim = Claim("loader-1/1", "t", "run/repair/1-2", now, now)
    content = MappedRecord(key=LOADED.key, payload_json=b'{"expected":{"subject":"Call"},"seen":{"subject":"Talk"}}').SerializeToString()
    wanted = WantedRecord(LOADED.key, "activity", "event", "1", content=content)
    decision = decide_repair(LOADED, wanted, claim)
    assert (decision.record.claim_action, decision.before, decision.last) == (ClaimAction.RESTORE, b'{"subject":"Call"}', b'{"subject":"Talk"}')
    done = replace(LOADED, undo_run_id="run/repair/1-2")
    assert decide_repair(done, wanted, claim).action == "done"
    assert decide_repair(replace(done, undo_run_id="run/repair/3-3"), wanted, claim).action == "restore"
    copy = replace(LOADED, reason="UNEXPECTED")
    assert decide_repair(copy, wanted, claim).record.claim_action is ClaimAction.DELETE
