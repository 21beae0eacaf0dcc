"""Leads that become deals and deals that become leads, in the background."""

from typing import Any

import pytest

from sandbox.pipedrive.account.clock import SandboxClock
from tests.unit.sandbox_pipedrive.driver import Answer, Driver, Start
from tests.unit.sandbox_pipedrive.test_version_1 import _upload as upload

NOBODY = "00000000-0000-4000-8000-000000000000"


def _clock() -> SandboxClock:
    return SandboxClock(lambda: 1_790_000_000.0, lambda: 0.0)


@pytest.fixture
def api(start: Start) -> Driver:
    """An account whose time passes only when a test says so; conversions take 10 seconds."""
    return start(clock=_clock(), conversion_seconds=10.0)


async def _lead(api: Driver, **values: Any) -> str:
    return str((await api.post("/v1/leads", {"title": "Lead", "person_id": 1, **values})).data["id"])


async def _convert(api: Driver, path: str, body: Any = None) -> str:
    answer = await api.post(f"/api/v2/{path}", body)
    assert answer.status == 200, answer.body
    assert answer.body == {"success": True, "data": {"conversion_id": answer.data["conversion_id"]}, "additional_data": None}
    return str(answer.data["conversion_id"])


async def _finish(api: Driver, source: str, job: str) -> dict[str, Any]:
    api.account.clock.advance(10)
    found: dict[str, Any] = (await api.get(f"/api/v2/{source}/convert/status/{job}")).data
    return found


async def test_job_passes_through_its_states(api: Driver) -> None:
    lead = await _lead(api)
    job = await _convert(api, f"leads/{lead}/convert/deal", {})
    path = f"/api/v2/leads/{lead}/convert/status/{job}"
    seen = []
    for seconds in (0, 4.9, 0.2, 4.8, 0.2):
        api.account.clock.advance(seconds)
        answer = await api.get(path)
        assert answer.body["additional_data"] is None
        seen.append(answer.data["status"])
        assert ("deal_id" in answer.data) == (seen[-1] == "completed")
    assert seen == ["not_started", "not_started", "running", "running", "completed"]
    assert (await api.get(path, colour="red")).status == 400
    api.account.clock.advance(4 * 24 * 3600)
    assert (await api.get(path)).status == 404


async def test_deal_has_what_the_lead_had(api: Driver) -> None:
    code = api.account.fields.create_custom("deal", "Ref", "varchar", None)["field_code"]
    labels = {label["name"]: label["id"] for label in (await api.get("/v1/leadLabels")).data}
    lead = await _lead(
        api,
        title="Boiler",
        owner_id=2,
        organization_id=3,
        value={"amount": 70, "currency": "USD"},
        expected_close_date="2027-01-01",
        visible_to="3",
        label_ids=[labels["Warm"], labels["Trade fair"]],
        **{code: "r-1"},
    )
    done = await _finish(api, f"leads/{lead}", await _convert(api, f"leads/{lead}/convert/deal", {"stage_id": 3}))
    deal = (await api.get(f"/api/v2/deals/{done['deal_id']}")).data
    expected = {
        "title": "Boiler", "owner_id": 2, "person_id": 1, "org_id": 3, "value": 70, "currency": "USD", "expected_close_date": "2027-01-01",
        "visible_to": 3, "status": "open", "stage_id": 3, "pipeline_id": 1, "source_lead_id": lead,
    }  # fmt: skip
    assert {name: deal[name] for name in expected} == expected
    assert deal["custom_fields"][code] == "r-1"
    known = api.account.fields.labels("deal", "label_ids")
    assert [known[label]["label"] for label in deal["label_ids"]] == ["Warm"]
    assert deal["add_time"] == api.account.now()
    assert (await api.get(f"/v1/leads/{lead}")).status == 404
    assert (await api.get("/api/v2/deals", ids=str(deal["id"]), include_fields="source_lead_id")).data[0]["source_lead_id"] == lead


async def test_what_is_linked_moves_both_ways(api: Driver) -> None:
    lead = await _lead(api)
    note = (await api.post("/v1/notes", {"content": "x", "lead_id": lead, "pinned_to_lead_flag": 1})).data["id"]
    file = (await upload(api, "a.txt", b"x", lead_id=lead)).data["id"]
    activity = (await api.post("/api/v2/activities", {"lead_id": lead})).data["id"]
    call = {"outcome": "connected", "to_phone_number": "1", "start_time": "2026-01-01 10:00:00", "end_time": "2026-01-01 10:01:00"}
    log = (await api.post("/v1/callLogs", {**call, "lead_id": lead})).data["id"]
    paths = (f"/v1/notes/{note}", f"/v1/files/{file}", f"/api/v2/activities/{activity}", f"/v1/callLogs/{log}")

    deal = (await _finish(api, f"leads/{lead}", await _convert(api, f"leads/{lead}/convert/deal", {})))["deal_id"]
    for path in paths:
        linked = (await api.get(path)).data
        assert (linked.get("deal_id"), linked.get("lead_id")) == (deal, None)
    moved = (await api.get(f"/v1/notes/{note}")).data
    assert (moved["pinned_to_lead_flag"], moved["pinned_to_deal_flag"]) == (False, True)

    back = (await _finish(api, f"deals/{deal}", await _convert(api, f"deals/{deal}/convert/lead")))["lead_id"]
    assert back != lead
    for path in paths:
        linked = (await api.get(path)).data
        assert (linked.get("deal_id"), linked.get("lead_id")) == (None, back)
    assert (await api.get(f"/api/v2/deals/{deal}")).status == 404


async def test_lead_has_what_the_deal_had(api: Driver) -> None:
    code = api.account.fields.create_custom("deal", "Ref", "varchar", None)["field_code"]
    body = {"title": "Pump", "person_id": 2, "org_id": 3, "value": 12.5, "currency": "GBP", "visible_to": 5, "custom_fields": {code: "r-2"}}
    deal = (await api.post("/api/v2/deals", body)).data["id"]
    done = await _finish(api, f"deals/{deal}", await _convert(api, f"deals/{deal}/convert/lead"))
    assert done["status"] == "completed"
    lead = (await api.get(f"/v1/leads/{done['lead_id']}")).data
    expected = {
        "title": "Pump", "person_id": 2, "organization_id": 3, "value": {"amount": 12.5, "currency": "GBP"}, "visible_to": "5",
        "source_name": "Deal", "source_deal_id": deal, code: "r-2",
    }  # fmt: skip
    assert {name: lead[name] for name in expected} == expected


async def test_origin_goes_along(api: Driver) -> None:
    option = (await api.post("/api/v2/dealFields/channel/options", [{"label": "Billboard"}])).data[0]["id"]
    given = {"origin_id": "form-7", "channel": option, "channel_id": "June"}
    lead = await _lead(api, **given)
    deal = (await _finish(api, f"leads/{lead}", await _convert(api, f"leads/{lead}/convert/deal", {})))["deal_id"]
    shown = (await api.get(f"/api/v2/deals/{deal}")).data
    assert {name: shown[name] for name in given} == given
    back = (await _finish(api, f"deals/{deal}", await _convert(api, f"deals/{deal}/convert/lead")))["lead_id"]
    shown = (await api.get(f"/v1/leads/{back}")).data
    assert {name: shown[name] for name in given} == given


async def test_stage_or_pipeline_is_checked_at_once(api: Driver) -> None:
    lead = await _lead(api)
    for body in ({"stage_id": 999}, {"pipeline_id": 999}, {"stage_id": "1"}, {"stage": 1}, {"stage_id": 1, "pipeline_id": 2}):
        refused = await api.post(f"/api/v2/leads/{lead}/convert/deal", body)
        assert (refused.status, refused.body["code"]) == (400, "ERR_SCHEMA_VALIDATION_FAILED")


async def test_pipeline_alone_means_its_first_stage(api: Driver) -> None:
    pipeline = (await api.post("/api/v2/pipelines", {"name": "Second"})).data["id"]
    stage = (await api.post("/api/v2/stages", {"name": "First", "pipeline_id": pipeline})).data["id"]
    lead = await _lead(api)
    done = await _finish(api, f"leads/{lead}", await _convert(api, f"leads/{lead}/convert/deal", {"pipeline_id": pipeline}))
    deal = (await api.get(f"/api/v2/deals/{done['deal_id']}")).data
    assert (deal["pipeline_id"], deal["stage_id"], deal["value"]) == (pipeline, stage, 0)


async def test_unknown_things_are_not_found(api: Driver) -> None:
    lead, other = await _lead(api), await _lead(api)
    job = await _convert(api, f"leads/{lead}/convert/deal", {})
    await api.delete("/api/v2/deals/1")
    answers: list[Answer] = [
        await api.post(f"/api/v2/leads/{NOBODY}/convert/deal", {}),
        await api.post("/api/v2/deals/999/convert/lead", None),
        await api.post("/api/v2/deals/1/convert/lead", None),
        await api.get(f"/api/v2/leads/{lead}/convert/status/{NOBODY}"),
        await api.get(f"/api/v2/leads/{other}/convert/status/{job}"),
        await api.get(f"/api/v2/deals/2/convert/status/{job}"),
    ]
    body = {"success": False, "error": "Entity was not found", "error_info": "Object was not found.", "data": None, "additional_data": None}
    assert [(answer.status, answer.body) for answer in answers] == [(404, body)] * len(answers)


async def test_second_conversion_fails(api: Driver) -> None:
    lead = await _lead(api)
    first, second = [await _convert(api, f"leads/{lead}/convert/deal", {}) for _ in range(2)]
    deals = len(api.account.store["deal"])
    assert (await _finish(api, f"leads/{lead}", first))["status"] == "completed"
    assert (await api.get(f"/api/v2/leads/{lead}/convert/status/{second}")).data == {"conversion_id": second, "status": "failed"}
    assert len(api.account.store["deal"]) == deals + 1


async def test_lead_or_stage_may_be_gone_by_then(api: Driver) -> None:
    lead, other = await _lead(api), await _lead(api)
    jobs = [await _convert(api, f"leads/{lead}/convert/deal", {}), await _convert(api, f"leads/{other}/convert/deal", {"stage_id": 5})]
    await api.delete(f"/v1/leads/{lead}")
    await api.delete("/api/v2/stages/5")
    assert (await _finish(api, f"leads/{lead}", jobs[0]))["status"] == "failed"
    assert (await api.get(f"/api/v2/leads/{other}/convert/status/{jobs[1]}")).data["status"] == "failed"
    assert (await api.get(f"/v1/leads/{other}")).status == 200


async def test_deal_without_contact_is_rejected(api: Driver) -> None:
    deal = (await api.post("/api/v2/deals", {"title": "Alone"})).data["id"]
    job = await _convert(api, f"deals/{deal}/convert/lead")
    assert (await _finish(api, f"deals/{deal}", job)) == {"conversion_id": job, "status": "rejected"}
    assert (await api.get(f"/api/v2/deals/{deal}")).status == 200


async def test_full_account_converts_open_leads_only(start: Start) -> None:
    api = start(clock=_clock(), conversion_seconds=0.0, open_deals_max=2, seed=None)
    person = (await api.post("/api/v2/persons", {"name": "P"})).data["id"]
    archived = await _lead(api, person_id=person)
    await api.patch(f"/v1/leads/{archived}", {"is_archived": True})
    lead = await _lead(api, person_id=person)
    assert (await api.post("/api/v2/deals", {"title": "x"})).status == 200
    jobs = {item: await _convert(api, f"leads/{item}/convert/deal", {}) for item in (archived, lead)}
    states = {item: (await api.get(f"/api/v2/leads/{item}/convert/status/{job}")).data["status"] for item, job in jobs.items()}
    assert states == {archived: "rejected", lead: "completed"}
    assert (api.account.open_deals, api.account.open_leads) == (2, 0)


async def test_deals_alone_can_be_full(start: Start) -> None:
    api = start(clock=_clock(), conversion_seconds=0.0, open_deals_max=1, seed=None, cap_counts="deals")
    person = (await api.post("/api/v2/persons", {"name": "P"})).data["id"]
    lead = await _lead(api, person_id=person)
    deal = (await api.post("/api/v2/deals", {"title": "x", "person_id": person})).data["id"]
    job = await _convert(api, f"leads/{lead}/convert/deal", {})
    assert (await api.get(f"/api/v2/leads/{lead}/convert/status/{job}")).data["status"] == "rejected"
    job = await _convert(api, f"deals/{deal}/convert/lead")
    assert (await api.get(f"/api/v2/deals/{deal}/convert/status/{job}")).data["status"] == "completed"


async def test_jobs_survive_a_restart(start: Start, tmp_path: Any) -> None:
    file, wall = tmp_path / "state.db", [1_790_000_000.0]

    def clock() -> SandboxClock:
        return SandboxClock(lambda: wall[0], lambda: 0.0)

    api = start(clock=clock(), database=file, conversion_seconds=10.0)
    lead = await _lead(api)
    job = await _convert(api, f"leads/{lead}/convert/deal", {})
    api.account.store.close()
    wall[0] += 30
    again = start(clock=clock(), database=file, conversion_seconds=10.0)
    done = (await again.get(f"/api/v2/leads/{lead}/convert/status/{job}")).data
    assert done["status"] == "completed"
    assert again.account.store["deal"].records[done["deal_id"]]["add_time"] == "2026-09-21T14:13:30Z"


async def test_result_is_in_lists_without_asking_for_the_state(api: Driver) -> None:
    lead = await _lead(api, title="Quick")
    await _convert(api, f"leads/{lead}/convert/deal", {})
    assert "Quick" not in [deal["title"] for deal in (await api.get("/api/v2/deals")).data]
    api.account.clock.advance(11)
    assert "Quick" in [deal["title"] for deal in (await api.get("/api/v2/deals")).data]
    state = (await api.control("GET", "export"))["state"]
    assert "conversions" not in state
    assert "Quick" not in [item["title"] for item in state["leads"]]


async def test_reset_forgets_jobs(api: Driver) -> None:
    await _convert(api, f"leads/{await _lead(api)}/convert/deal", {})
    await api.control("POST", "reset")
    assert api.account.pending_conversions == []
    api.account.clock.advance(11)
    assert (await api.get("/v1/leads")).status == 200
