"""Deals in version 2."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import local_date
from sandbox.pipedrive.account.schema import Check, Problems, any_time, boolean, day, integer, not_a, nullable, number, one_of, string
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.counts import DEAL_COUNTS, DEAL_GET_COUNTS, counts
from sandbox.pipedrive.v2.listing import ListQuery, ListRules, page
from sandbox.pipedrive.v2.organizations import LIST_EXTRAS
from sandbox.pipedrive.v2.parents import ARCHIVED
from sandbox.pipedrive.v2.resource import Resource, can_see

_FILTERS: dict[str, type] = {"owner_id": int, "person_id": int, "org_id": int, "pipeline_id": int, "stage_id": int}
_CLOSING = ("won_time", "lost_time", "close_time", "lost_reason")


class Deals(Resource):
    """`/deals`."""

    kind = "deal"
    title = "Deal"
    required = ("title",)
    rules = ListRules(filters=_FILTERS, extras=(*LIST_EXTRAS, "status"), includes=DEAL_COUNTS)
    archived_rules = ListRules(filters=_FILTERS, extras=(*LIST_EXTRAS[:6], "status"), includes=DEAL_COUNTS)
    get_includes = DEAL_GET_COUNTS

    def checks(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have. `add_time` is not among them: version 2 cannot set it."""
        del is_update
        account = self.account
        return {
            "title": account.name,
            "owner_id": account.owner,
            "person_id": account.link("person"),
            "org_id": account.link("organization"),
            "pipeline_id": integer,
            "stage_id": integer,
            "value": number,
            "currency": account.currency,
            "status": one_of("open", "won", "lost"),
            "won_time": any_time,
            "lost_time": any_time,
            "close_time": nullable(any_time),
            "lost_reason": nullable(string),
            "probability": nullable(_probability),
            "expected_close_date": _close_date,
            "visible_to": account.visible_to,
            "label_ids": account.label_ids(self.kind),
            "is_archived": boolean,
            "archive_time": nullable(any_time),
            "is_deleted": _not_deleted,
            "custom_fields": account.custom_fields(self.kind),
        }

    def build(self, call: Call, values: dict[str, Any], problems: Problems) -> Record:
        """Make a deal; the caller owns it, it is open and stands in the first stage unless told otherwise."""
        account = self.account
        pipeline_id, stage_id = self.place({}, values, problems)
        now = account.now()
        deal = account.new_record(
            self.kind,
            title=values["title"],
            creator_user_id=call.user["id"],
            owner_id=values.get("owner_id", call.user["id"]),
            value=values.get("value", 0),
            person_id=values.get("person_id"),
            org_id=values.get("org_id"),
            stage_id=stage_id,
            pipeline_id=pipeline_id,
            currency=values.get("currency", account.options.currency),
            stage_change_time=now,
            probability=values.get("probability"),
            visible_to=values.get("visible_to", account.visible_to_default),
            expected_close_date=values.get("expected_close_date"),
            label_ids=values.get("label_ids", []),
            custom_fields=values.get("custom_fields", {}),
            status="open",
            won_time=None,
            lost_time=None,
            close_time=None,
            lost_reason=None,
            is_archived=False,
            archive_time=None,
        )
        self._close(deal, values, problems)
        self._archive(deal, values)
        return deal

    def change(self, call: Call, record: Record, values: dict[str, Any], problems: Problems) -> Record:
        """Take over values. An archived deal takes none until it is unarchived (that it is refused is documented, how is assumed)."""
        del call
        if record["is_archived"] and values.get("is_archived") is not False:
            problems.add("is_archived", ARCHIVED)
        deal = dict(record)
        if "pipeline_id" in values or "stage_id" in values:
            deal["pipeline_id"], deal["stage_id"] = self.place(record, values, problems)
            if deal["stage_id"] != record["stage_id"]:
                deal["stage_change_time"] = self.account.now()
        special = {*_CLOSING, "status", "is_archived", "archive_time", "pipeline_id", "stage_id", "is_deleted"}
        deal |= {name: value for name, value in values.items() if name not in special}
        self._close(deal, values, problems)
        self._archive(deal, values)
        return deal

    def save(self, record: Record) -> None:
        """Store a deal and keep count of the open ones."""
        self.account.put_deal(record)

    def accept(self, record: Record, query: ListQuery) -> bool:
        """Leave out archived deals, and deleted ones unless asked for."""
        return not record["is_archived"] and _has_status(record, query.statuses)

    def list_archived(self, call: Call) -> Result:
        """Answer the list of archived deals."""
        query = self.list_query(call, self.archived_rules)
        found, cursor = page(
            self.account.store[self.kind], query, lambda deal: deal["is_archived"] and _has_status(deal, query.statuses) and can_see(call.user, deal)
        )
        return success([self.render(deal, query) for deal in found], additional_data={"next_cursor": cursor})

    def render(self, record: Record, query: ListQuery) -> dict[str, Any]:
        """Return a deal as the API shows it."""
        zone = self.account.options.timezone
        shown = {
            "id": record["id"],
            "title": record["title"],
            "creator_user_id": record["creator_user_id"],
            "owner_id": record["owner_id"],
            "value": record["value"],
            "person_id": record["person_id"],
            "org_id": record["org_id"],
            "stage_id": record["stage_id"],
            "pipeline_id": record["pipeline_id"],
            "currency": record["currency"],
            "archive_time": record["archive_time"],
            "add_time": record["add_time"],
            "update_time": record["update_time"],
            "stage_change_time": record["stage_change_time"],
            "status": "deleted" if record["is_deleted"] else record["status"],
            "is_archived": record["is_archived"],
            "is_deleted": record["is_deleted"],
            "probability": record["probability"],
            "lost_reason": record["lost_reason"],
            "visible_to": record["visible_to"],
            "close_time": record["close_time"],
            "won_time": record["won_time"],
            "lost_time": record["lost_time"],
            "local_won_date": local_date(record["won_time"], zone),
            "local_lost_date": local_date(record["lost_time"], zone),
            "local_close_date": local_date(record["close_time"], zone),
            "expected_close_date": record["expected_close_date"],
            "label_ids": record["label_ids"],
            "origin": "API",
            "origin_id": record.get("origin_id"),
            "channel": record.get("channel"),
            "channel_id": record.get("channel_id"),
            "source_lead_id": record.get("source_lead_id"),
            "acv": record.get("acv"),
            "arr": record.get("arr"),
            "mrr": record.get("mrr"),
            "custom_fields": self.custom_values(record, query),
        }
        if query.includes:
            shown |= counts(self.account, self.kind, record, query.includes)
        if query.has_labels:
            shown |= self.labels(record)
        return shown

    def place(self, record: Record, values: dict[str, Any], problems: Problems) -> tuple[int, int]:
        """Return pipeline and stage: the stage decides, a pipeline alone means its first stage, nothing the first of all."""
        account = self.account
        if "stage_id" in values:
            stage = account.live("stage", values["stage_id"])
            if stage is None:
                problems.add("stage_id", f"Stage {values['stage_id']} not found")
                return 0, 0
            if values.get("pipeline_id", stage["pipeline_id"]) != stage["pipeline_id"]:
                problems.add("stage_id", f"Stage {stage['id']} does not belong to pipeline {values['pipeline_id']}")
            return stage["pipeline_id"], stage["id"]
        if "pipeline_id" in values:
            pipeline = account.live("pipeline", values["pipeline_id"])
            if pipeline is None:
                problems.add("pipeline_id", f"Pipeline {values['pipeline_id']} not found")
                return 0, 0
            if record and record["pipeline_id"] == pipeline["id"]:
                return record["pipeline_id"], record["stage_id"]
        else:
            pipeline = account.default_pipeline()
        stages = account.stages_of(pipeline["id"]) if pipeline is not None else []
        if not stages:
            problems.add("pipeline_id", "The pipeline has no stages")
            return 0, 0
        return stages[0]["pipeline_id"], stages[0]["id"]

    def _close(self, deal: Record, values: dict[str, Any], problems: Problems) -> None:
        """Set status, its times and the reason; each goes only with the status it belongs to."""
        before, status = deal["status"], values.get("status", deal["status"])
        deal["status"] = status
        if before == "won" != status:  # the time itself goes, that of the first success stays
            deal["first_won_time"] = deal.get("first_won_time") or deal["won_time"]
        for name, fitting in (("won_time", ("won",)), ("lost_time", ("lost",)), ("close_time", ("won", "lost")), ("lost_reason", ("lost",))):
            if values.get(name) is not None and status not in fitting:
                problems.add(name, f"{name} can only be set when status is {' or '.join(fitting)}")
        if "won_time" in values and "lost_time" in values:
            problems.add("won_time", "won_time and lost_time can not be set together")
        if status == "open":
            deal |= dict.fromkeys(_CLOSING)
            return
        own, other = ("won_time", "lost_time") if status == "won" else ("lost_time", "won_time")
        if own in values:
            deal[own] = values[own]
        elif before != status or deal[own] is None:
            deal[own] = values.get("close_time") or self.account.now()
        deal[other] = None
        if values.get("close_time") is not None:
            deal["close_time"] = values["close_time"]
        elif own in values or before != status:
            deal["close_time"] = deal[own]
        if status == "won":
            deal["lost_reason"] = None
        elif "lost_reason" in values:
            deal["lost_reason"] = values["lost_reason"]

    def _archive(self, deal: Record, values: dict[str, Any]) -> None:
        deal["is_archived"] = values.get("is_archived", deal["is_archived"])
        if not deal["is_archived"]:
            deal["archive_time"] = None
        else:
            deal["archive_time"] = values.get("archive_time") or deal["archive_time"] or self.account.now()


def _has_status(deal: Record, statuses: list[str] | None) -> bool:
    if statuses is None:
        return not deal["is_deleted"]
    return ("deleted" if deal["is_deleted"] else deal["status"]) in statuses


def _probability(value: Any, path: str, problems: Problems) -> Any:
    number(value, path, problems)
    if type(value) in (int, float) and not 0 <= value <= 100:
        problems.add(path, "The value must be between 0 and 100")
    return value


def _close_date(value: Any, path: str, problems: Problems) -> Any:
    """A date. Null is refused, and an empty text stores a zero date (both seen live)."""
    return "0000-00-00" if value == "" else day(value, path, problems)


def _not_deleted(value: Any, path: str, problems: Problems) -> Any:
    """The key is in the official body, but neither create nor update can delete a deal."""
    if type(value) is not bool:
        problems.add(path, not_a("boolean"))
    elif value:
        problems.add(path, "A deal can not be deleted this way")
    return value


def routes(account: Account) -> list[Route]:
    """Return the operations on deals."""
    deals = Deals(account)
    return [*deals.routes("deals", 10), Route("GET", "/api/v2/deals/archived", 2, 20, deals.list_archived)]
