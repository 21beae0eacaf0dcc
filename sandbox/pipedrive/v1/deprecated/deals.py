"""Deals in version 1: the only way to give a deal the time at which it was added."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of
from sandbox.pipedrive.v1.deprecated import convert
from sandbox.pipedrive.v1.deprecated.convert import Convert
from sandbox.pipedrive.v1.deprecated.details import details, mailbox
from sandbox.pipedrive.v1.deprecated.entity import Entity
from sandbox.pipedrive.v1.objects import Related, trimmed, with_links
from sandbox.pipedrive.v2.deals import Deals

STATUSES = ("open", "won", "lost", "deleted", "all_not_deleted")
_ORIGINS: dict[str, Convert] = {"origin_id": convert.identifier, "channel": integer_of, "channel_id": convert.identifier}


class DeprecatedDeals(Entity):
    """`/deals`."""

    kind = "deal"
    name_key = "title"
    name_text = "Deal title must be given."
    clears = frozenset({"label", "person_id", "org_id", "close_time", "lost_reason", "probability"})
    keys: ClassVar[Mapping[str, tuple[str, Convert]]] = {
        "title": ("title", convert.plain),
        "value": ("value", convert.number),
        "label": ("label_ids", convert.labels),
        "currency": ("currency", convert.plain),
        "user_id": ("owner_id", integer_of),
        "person_id": ("person_id", integer_of),
        "org_id": ("org_id", integer_of),
        "pipeline_id": ("pipeline_id", integer_of),
        "stage_id": ("stage_id", integer_of),
        "is_archived": ("is_archived", convert.flag),
        "archive_time": ("archive_time", convert.moment),
        "status": ("status", convert.plain),
        "won_time": ("won_time", convert.moment),
        "lost_time": ("lost_time", convert.moment),
        "close_time": ("close_time", convert.moment_or_null),
        "expected_close_date": ("expected_close_date", convert.plain),
        "probability": ("probability", convert.number),
        "lost_reason": ("lost_reason", convert.plain),
        "visible_to": ("visible_to", integer_of),
    }
    sorts: ClassVar[Mapping[str, str]] = {name: name for name in (
        "id", "title", "value", "currency", "add_time", "update_time", "stage_change_time", "status", "probability", "stage_id", "pipeline_id",
        "won_time", "lost_time", "close_time", "expected_close_date", "person_id", "org_id",
    )} | {"user_id": "owner_id"}  # fmt: skip

    def show(self, record: Record, related: Related) -> dict[str, Any]:
        """Return a deal."""
        return with_links(trimmed(self.rendering.deal(record)), record, related)

    def show_placed(self, record: Record, related: Related) -> dict[str, Any]:
        """Return a deal, with its stage and its pipeline among the related objects."""
        related.place(record["stage_id"], record["pipeline_id"])
        return self.show(record, related)

    def accept(self, call: Call) -> Callable[[Record], bool]:
        """Return what a deal must fulfil to be in the list."""
        status = call.query.get("status", "all_not_deleted")
        if status not in STATUSES:
            raise bad_request(f"status must be one of: {', '.join(STATUSES)}")
        wanted = self.condition(call) or self.owned(call)
        stage_id = integer_of(call.query.get("stage_id"), "stage_id")
        return lambda deal: (
            not deal["is_archived"] and has_status(deal, status) and (stage_id is None or deal["stage_id"] == stage_id) and wanted(deal)
        )

    @staticmethod
    def owned(call: Call) -> Callable[[Record], bool]:
        """Return what the owner asked for means; the caller's own take precedence over a user's (official)."""
        owner = integer_of(call.query.get("user_id"), "user_id")
        if "owned_by_you" in call.query and convert.flag(call.query["owned_by_you"], "owned_by_you"):
            owner = call.user["id"]
        return lambda deal: owner is None or deal["owner_id"] == owner

    def get(self, call: Call) -> Result:
        """Answer a request for one deal, with more about it than lists tell."""
        deal = self.version2.find(call)
        related = Related(self.account)
        shown = self.show_placed(deal, related) | details(self.account, deal)
        return success(shown, additional_data=mailbox(self.account, self.kind, deal), related_objects=related.objects)

    def update(self, call: Call) -> Result:
        """Change a deal."""
        try:
            self.version2.find(call)
        except ApiError as error:
            raise ApiError(404, "Please enter valid Deal ID to update deal.", info="Object was not found.") from error
        return super().update(call)

    def check_name(self, body: Record, before: Record | None) -> None:
        """Refuse a deal without a title, or a new one with neither person nor organization (a rule of 2021, its text assumed)."""
        super().check_name(body, before)
        if before is None and not body.get("person_id") and not body.get("org_id"):
            raise bad_request("A deal must be associated with at least one person or organization.")

    def terms(self, body: Record, before: Record | None) -> tuple[Record, Record]:
        """Return a body in the terms of version 2; the time of adding is taken on create only."""
        values, beside = super().terms(body, before)
        beside |= {name: read(body[name], name) for name, read in _ORIGINS.items() if name in body and (before is None or name != "origin_id")}
        if before is None and body.get("add_time"):
            beside["add_time"] = convert.moment(body["add_time"], "add_time")
        if before is not None and "expected_close_date" in body and body["expected_close_date"] is None:
            beside["expected_close_date"] = None  # seen live; version 2 refuses it
        if values.get("status") == "deleted":
            del values["status"]
            beside["is_deleted"] = True
        return values, beside


def has_status(deal: Record, status: str) -> bool:
    """Whether a deal has a status as version 1 lists them."""
    if status == "all_not_deleted":
        return not deal["is_deleted"]
    return bool(("deleted" if deal["is_deleted"] else deal["status"]) == status)


def routes(account: Account) -> list[Route]:
    """Return the deprecated operations on deals."""
    deals = DeprecatedDeals(account, Deals(account))
    return [*deals.routes("deals"), Route("DELETE", "/v1/deals", 1, 10, deals.delete_many)]
