"""Participants of deals: persons beside the main one. Version 1 only; they are removed by their own id."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.memberships import events, leave, participants_of
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import LIMIT_MAX, body_of, integer_of, paged
from sandbox.pipedrive.v1.objects import Related, trimmed
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v1.users import COMPANY_ID
from sandbox.pipedrive.v2.followers import part_of
from sandbox.pipedrive.v2.listing import ListQuery, ListRules, parse_query
from sandbox.pipedrive.v2.parents import live_parent

MAIN_ID_OFFSET = 1_000_000_000
"""The main person of deal n is listed as participant 10^9 + n; it has no record of its own."""


class Participants:
    """`/deals/{id}/participants`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._rendering = Rendering(account)

    def list_all(self, call: Call) -> Result:
        """Answer the participants of a deal, its main person first."""
        deal = live_parent(self.account, "deal", call)
        related = Related(self.account)
        result = paged(call, self._all(deal), lambda participant: self._render(participant, related), ("id",))
        result.body["related_objects"] = related.objects
        return result

    def create(self, call: Call) -> Result:
        """Let a person take part in a deal."""
        deal = live_parent(self.account, "deal", call)
        person_id = integer_of(body_of(call).get("person_id"), "person_id")
        if person_id is None:
            raise bad_request("person_id must be given.")
        if self.account.live("person", person_id) is None:
            raise bad_request(f"Person {person_id} not found")
        participant = next((item for item in self._all(deal) if item["person_id"] == person_id), None)
        if participant is None:
            participant = self.account.new_record("participant", deal_id=deal["id"], person_id=person_id, creator_user_id=call.user["id"])
            self.account.store.put("participant", participant)
        elif self.account.options.participant_twice == "refuse":
            raise bad_request(f"Person {person_id} is already a participant of this deal")
        related = Related(self.account)
        shown = self._render(participant, related)
        return success(shown, related_objects={kind: related.objects[kind] for kind in ("user", "person")})

    def delete(self, call: Call) -> Result:
        """Remove a participant. The main person cannot be removed this way (assumed)."""
        deal = live_parent(self.account, "deal", call)
        participant_id = call.id("Participant", 1)
        participant = next((item for item in self._all(deal) if item["id"] == participant_id), None)
        if participant is None:
            raise not_found("Participant")
        if participant_id > MAIN_ID_OFFSET:
            raise bad_request("The main person of a deal can not be removed from its participants")
        leave(self.account, "participant", participant, call.user["id"])
        return success({"id": participant_id})

    def changelog(self, call: Call) -> Result:
        """Answer who began and ceased to take part in a deal, oldest first (order assumed)."""
        deal = live_parent(self.account, "deal", call)
        query = ListQuery(limit=min(integer_of(call.query.get("limit"), "limit") or 100, LIMIT_MAX))
        if "cursor" in call.query:
            query.cursor = parse_query({"cursor": call.query["cursor"]}, ListRules()).cursor
        shown, cursor = part_of(events(self.account.store["participant"].find("deal_id", deal["id"]), "person_id"), query)
        return success([_render_event(event) for event in shown], additional_data={"next_cursor": cursor})

    def _all(self, deal: Record) -> list[Record]:
        """Return the participants of a deal, among them its main person if the account lists it."""
        person = self.account.live("person", deal["person_id"]) if self.account.options.main_participant else None
        others = participants_of(self.account, deal["id"])
        if person is None:
            return others
        main = {
            "id": MAIN_ID_OFFSET + deal["id"],
            "deal_id": deal["id"],
            "person_id": person["id"],
            "creator_user_id": deal["creator_user_id"],
            "add_time": deal["add_time"],
            "is_deleted": False,
        }
        return [main, *(participant for participant in others if participant["person_id"] != person["id"])]

    def _render(self, participant: Record, related: Related) -> dict[str, Any]:
        store = self.account.store
        person = store["person"].records[participant["person_id"]]
        shown = trimmed(self._rendering.person(person))
        organization = related.organization(person["org_id"])
        if organization is not None:
            organization = {**organization, "label_ids": store["organization"].records[person["org_id"]]["label_ids"]}
        links = {"owner_id": related.user(person["owner_id"]), "org_id": organization}
        return {
            "id": participant["id"],
            "person_id": {**(related.person(person["id"]) or {}), "company_id": COMPANY_ID},
            "add_time": v1_time(participant["add_time"]),
            "active_flag": not participant["is_deleted"],
            "related_item_data": {"deal_id": participant["deal_id"], "title": store["deal"].records[participant["deal_id"]]["title"]},
            "person": shown | links,
            "added_by_user_id": related.user(participant["creator_user_id"]),
            "related_item_type": "deal",
            "related_item_id": participant["deal_id"],
        }


def _render_event(event: Record) -> dict[str, Any]:
    return {
        "actor_user_id": event["actor_user_id"],
        "person_id": event["member_id"],
        "action": event["action"],
        "time": v1_time(event["time"]),
    }


def routes(account: Account) -> list[Route]:
    """Return the operations on participants."""
    participants = Participants(account)
    base = "/v1/deals/{id}/participants"
    return [
        Route("GET", base, 1, 10, participants.list_all),
        Route("POST", base, 1, 10, participants.create),
        Route("DELETE", base + "/{deal_participant_id}", 1, 6, participants.delete),
        Route("GET", "/v1/deals/{id}/participantsChangelog", 1, 10, participants.changelog),
    ]
