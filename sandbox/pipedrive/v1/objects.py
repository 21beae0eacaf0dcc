"""Persons, organizations and users as version 1 shows them where another record links to them."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.rendering import pipeline, stage, user_object
from sandbox.pipedrive.v1.users import COMPANY_ID

_LEFT_OUT = frozenset({"archive_time", "primary_email"})
_NO_ADDRESS = [{"value": "", "primary": True}]


def person_object(account: Account, person_id: int | None) -> dict[str, Any] | None:
    """Return a linked person, deleted or not."""
    person = account.store["person"].get(person_id or 0)
    if person is None:
        return None
    return {
        "active_flag": not person["is_deleted"],
        "name": person["name"],
        "email": person["emails"] or _NO_ADDRESS,
        "phone": person["phones"] or _NO_ADDRESS,
        "owner_id": person["owner_id"],
        "value": person["id"],
    }


def organization_object(account: Account, org_id: int | None) -> dict[str, Any] | None:
    """Return a linked organization, deleted or not."""
    organization = account.store["organization"].get(org_id or 0)
    if organization is None:
        return None
    people = [person for person in account.store["person"].find("org_id", organization["id"]) if not person["is_deleted"]]
    return {
        "name": organization["name"],
        "people_count": len(people),
        "owner_id": organization["owner_id"],
        "address": (organization["address"] or {}).get("value"),
        "active_flag": not organization["is_deleted"],
        "cc_email": None,
        "value": organization["id"],
    }


def deal_object(account: Account, deal_id: int | None) -> dict[str, Any] | None:
    """Return a linked deal, deleted or not."""
    deal = account.store["deal"].get(deal_id or 0)
    return None if deal is None else {name: deal[name] for name in ("id", "title", "status", "value", "currency", "stage_id", "pipeline_id")}


def trimmed(shown: dict[str, Any]) -> dict[str, Any]:
    """Return a rendered deal or person without keys that the answers of merges, copies, participants and products leave out."""
    return {name: value for name, value in shown.items() if name not in _LEFT_OUT}


class Related:
    """Collects `related_objects` of an answer: each linked record once, by kind and id."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.objects: dict[str, dict[str, Any]] = {}

    def user(self, user_id: int | None) -> dict[str, Any] | None:
        """Return a linked user and remember it."""
        return self._remember("user", user_object(self._account, user_id or 0))

    def person(self, person_id: int | None) -> dict[str, Any] | None:
        """Return a linked person and remember it."""
        return self._remember("person", person_object(self._account, person_id))

    def organization(self, org_id: int | None) -> dict[str, Any] | None:
        """Return a linked organization and remember it."""
        return self._remember("organization", organization_object(self._account, org_id))

    def place(self, stage_id: int, pipeline_id: int) -> None:
        """Remember the stage and the pipeline a deal stands in."""
        store = self._account.store
        step, line = store["stage"].get(stage_id), store["pipeline"].get(pipeline_id)
        if line is not None:
            shown = {name: value for name, value in pipeline(line).items() if name != "selected"}
            self.objects.setdefault("pipeline", {})[str(pipeline_id)] = shown
        if step is not None and line is not None:
            of_pipeline = {"pipeline_name": line["name"], "pipeline_deal_probability": line["is_deal_probability_enabled"]}
            self.objects.setdefault("stage", {})[str(stage_id)] = {**stage(step), "company_id": COMPANY_ID, **of_pipeline}

    def _remember(self, kind: str, shown: dict[str, Any] | None) -> dict[str, Any] | None:
        if shown is not None:
            entry = {"id": shown["value"], **{name: value for name, value in shown.items() if name != "value"}}
            self.objects.setdefault(kind, {})[str(shown["value"])] = entry
        return shown


def with_links(deal: dict[str, Any], record: Record, related: Related) -> dict[str, Any]:
    """Return a rendered deal whose links are objects instead of ids."""
    creator, owner = related.user(record["creator_user_id"]), related.user(record["owner_id"])
    return {
        **deal,
        "creator_user_id": None if creator is None else {**creator, "has_pic": bool(creator["has_pic"])},
        "user_id": None if owner is None else {**owner, "has_pic": bool(owner["has_pic"])},
        "person_id": related.person(record["person_id"]),
        "org_id": related.organization(record["org_id"]),
    }
