"""Conversion of leads into deals and back: jobs in the background, as long as the account's clock needs to pass their end.

Documented: the job's states, that what is linked moves along, and that the source is deleted. Assumed: a job waits during the first
half of its time and runs during the second; it is rejected when the account's rules do not allow the result (the cap on open deals,
a deal without person and organization), and fails when the source or the stage is gone by then.
"""

from typing import Any

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.account import Account, Actor, is_open, is_open_lead
from sandbox.pipedrive.account.schema import Problems, check_object, integer
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.leads import lead_of, new_lead
from sandbox.pipedrive.v2.deals import Deals
from sandbox.pipedrive.v2.resource import can_see

KEPT_SECONDS = 3 * 24 * 3600
"""How long the state of a job can be read: "a few days" (official), three here."""
_PENDING = "pending"
_ORIGIN = ("origin_id", "channel", "channel_id")
_MOVED = ("note", "file", "activity", "call_log")


class _NotFoundError(ApiError):
    """404 of conversions: the envelope of version 1, in version 2 (official)."""

    def __init__(self) -> None:
        super().__init__(404, "Entity was not found", info="Object was not found.")

    def body(self, version: int) -> dict[str, Any]:
        """Return the documented body."""
        del version
        return super().body(1)


class Conversions:
    """`/leads/{id}/convert` and `/deals/{id}/convert`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._deals = Deals(account)

    def start_of_lead(self, call: Call) -> Result:
        """Begin to turn a lead into a deal."""
        lead = self._lead(call)
        if lead["is_deleted"]:
            raise _NotFoundError
        problems = Problems()
        values = check_object(call.json(), {"stage_id": integer, "pipeline_id": integer}, (), problems)
        problems.raise_if_any()
        self._deals.place({}, values, problems)
        problems.raise_if_any()
        return self._start(call, "lead", lead["uuid"], values)

    def start_of_deal(self, call: Call) -> Result:
        """Begin to turn a deal into a lead."""
        deal = self._deal(call)
        if deal["is_deleted"]:
            raise _NotFoundError
        return self._start(call, "deal", deal["id"], {})

    def status_of_lead(self, call: Call) -> Result:
        """Answer the state of a lead's conversion."""
        call.refuse_query()
        return self._status("lead", self._lead(call)["uuid"], call.params[1])

    def status_of_deal(self, call: Call) -> Result:
        """Answer the state of a deal's conversion."""
        call.refuse_query()
        return self._status("deal", self._deal(call)["id"], call.params[1])

    def _lead(self, call: Call) -> Record:
        lead = lead_of(self.account, call.params[0])
        if lead is None or not can_see(call.user, lead):
            raise _NotFoundError
        return lead

    def _deal(self, call: Call) -> Record:
        deal = self.account.store["deal"].get(call.id("Deal"))
        if deal is None or not can_see(call.user, deal):
            raise _NotFoundError
        return deal

    def _start(self, call: Call, kind: str, source: str | int, values: Record) -> Result:
        account = self.account
        begun = account.clock.epoch()
        job = account.new_record(
            "conversion",
            uuid=account.new_uuid(),
            source_kind=kind,
            source=source,
            target=None,
            values=values,
            state=_PENDING,
            begun=begun,
            due=begun + account.options.conversion_seconds,
            user_id=call.user["id"],
        )
        account.store.put("conversion", job)
        account.pending_conversions.append(job["id"])
        return success({"conversion_id": job["uuid"]}, additional_data=None)

    def _status(self, kind: str, source: str | int, job_id: str) -> Result:
        found = self.account.store["conversion"].find("uuid", job_id.lower())
        now = self.account.clock.epoch()
        if not found or (found[0]["source_kind"], found[0]["source"]) != (kind, source) or now > found[0]["begun"] + KEPT_SECONDS:
            raise _NotFoundError
        job = found[0]
        shown = {"conversion_id": job["uuid"], "status": _state(job, now)}
        if job["target"] is not None:
            shown = {"deal_id" if kind == "lead" else "lead_id": job["target"], **shown}
        return success(shown, additional_data=None)


def _state(job: Record, now: float) -> str:
    if job["state"] != _PENDING:
        return str(job["state"])
    return "not_started" if now < (job["begun"] + job["due"]) / 2 else "running"


def finish_due(account: Account) -> None:
    """Do the conversions whose time is over, each at the moment it was due, and make them durable."""
    now, actor = account.clock.epoch(), account.actor
    for job_id in list(account.pending_conversions):
        job = account.store["conversion"].records[job_id]
        if job["due"] > now:
            continue
        account.pending_conversions.remove(job_id)
        account.actor = Actor(job["user_id"], "api")
        with account.clock.held(job["due"]):
            state, target = _to_deal(account, job) if job["source_kind"] == "lead" else _to_lead(account, job)
            account.store.put("conversion", {**job, "state": state, "target": target, "update_time": account.now()})
    account.actor = actor
    account.store.commit()


def _to_deal(account: Account, job: Record) -> tuple[str, int | None]:
    lead = account.lead(job["source"])
    if lead is None:
        return "failed", None
    if account.is_full(freed=int(account.options.cap_counts == "leads" and is_open_lead(lead))):
        return "rejected", None
    deals, problems = Deals(account), Problems()
    user = account.store["user"].records[job["user_id"]]
    values = {
        **job["values"],
        "title": lead["title"],
        "owner_id": lead["owner_id"],
        "person_id": lead["person_id"],
        "org_id": lead["organization_id"],
        "value": lead["value"] or 0,
        "currency": lead["currency"] or account.options.currency,
        "expected_close_date": lead["expected_close_date"],
        "visible_to": lead["visible_to"],
        "label_ids": _labels_of_deal(account, lead),
        "custom_fields": lead["custom_fields"],
    }
    deal = deals.build(Call(Request("POST", "/api/v2/deals"), 2, user), values, problems)
    if problems.found:
        return "failed", None
    account.put_lead({**lead, "is_deleted": True, "update_time": account.now()})
    account.put_deal({**deal, **{name: lead[name] for name in _ORIGIN}, "source_lead_id": lead["uuid"]})
    _move(account, ("lead_id", lead["uuid"]), ("deal_id", deal["id"]))
    return "completed", deal["id"]


def _to_lead(account: Account, job: Record) -> tuple[str, str | None]:
    deal = account.live("deal", job["source"])
    if deal is None:
        return "failed", None
    if deal["person_id"] is None and deal["org_id"] is None:
        return "rejected", None
    if account.options.cap_counts == "leads" and account.is_full(freed=int(is_open(deal))):
        return "rejected", None
    values = {
        "title": deal["title"],
        "owner_id": deal["owner_id"],
        "person_id": deal["person_id"],
        "organization_id": deal["org_id"],
        "value": deal["value"],
        "currency": deal["currency"],
        "expected_close_date": deal["expected_close_date"] if deal["expected_close_date"] != "0000-00-00" else None,
        "visible_to": deal["visible_to"],
        "label_ids": _labels_of_lead(account, deal),
        "source_name": "Deal",
        "origin": "Deal",
        "source_deal_id": deal["id"],
        **{name: deal.get(name) for name in _ORIGIN},
    }
    lead = new_lead(account, values, creator=job["user_id"], custom=deal["custom_fields"])
    account.put_deal({**deal, "is_deleted": True, "update_time": account.now()})
    account.put_lead(lead)
    _move(account, ("deal_id", deal["id"]), ("lead_id", lead["uuid"]))
    return "completed", lead["uuid"]


def _labels_of_deal(account: Account, lead: Record) -> list[int]:
    """Labels of a deal by the names a lead's labels have; that these are taken over is assumed."""
    table = account.store["lead_label"]
    names = [label["name"] for item in lead["label_ids"] for label in table.find("uuid", item) if not label["is_deleted"]]
    ids = {label["label"]: label_id for label_id, label in account.fields.labels("deal", "label_ids").items()}
    return [ids[name] for name in names if name in ids]


def _labels_of_lead(account: Account, deal: Record) -> list[str]:
    known = account.fields.labels("deal", "label_ids")
    names = [known[item]["label"] for item in deal["label_ids"] if item in known]
    ids = {label["name"]: label["uuid"] for label in account.store["lead_label"] if not label["is_deleted"]}
    return [ids[name] for name in names if name in ids]


def _move(account: Account, before: tuple[str, Any], after: tuple[str, Any]) -> None:
    """Link to the result what was linked to the source. Lines, participants and followers stay with a deal (assumed)."""
    (column, source), (new_column, target) = before, after
    for kind in _MOVED:
        table = account.store[kind]
        linked = table.find(column, source) if table.is_indexed(column) else [record for record in table if record.get(column) == source]
        for record in linked:
            if not record["is_deleted"]:
                moved = {**record, column: None, new_column: target, "update_time": account.now()}
                if kind == "note":
                    old, new = column.removesuffix("_id"), new_column.removesuffix("_id")
                    moved["pinned"] = {**record["pinned"], old: False, new: record["pinned"][old]}
                account.store.put(kind, moved)


def routes(account: Account) -> list[Route]:
    """Return the operations on conversions."""
    conversions = Conversions(account)
    return [
        Route("POST", "/api/v2/leads/{id}/convert/deal", 2, 40, conversions.start_of_lead),
        Route("GET", "/api/v2/leads/{id}/convert/status/{conversion_id}", 2, 1, conversions.status_of_lead),
        Route("POST", "/api/v2/deals/{id}/convert/lead", 2, 40, conversions.start_of_deal),
        Route("GET", "/api/v2/deals/{id}/convert/status/{conversion_id}", 2, 1, conversions.status_of_deal),
    ]
