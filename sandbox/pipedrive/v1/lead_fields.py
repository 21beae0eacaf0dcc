"""Fields of leads and of notes, which can only be read. Leads have the custom fields of deals and some of their built-in ones."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import paged
from sandbox.pipedrive.v1.fields import FieldDefinitionsOfVersion1

_OF_DEALS_ALONE = frozenset({"pipeline_id", "stage_id", "status", "probability", "won_time", "lost_time", "close_time", "lost_reason"})
_KEYS = {"org_id": "organization_id"}
_YES_NO = [{"id": 1, "label": "Yes"}, {"id": 0, "label": "No"}]
_NOTE_FIELDS: tuple[tuple[str, str, str], ...] = (
    ("content", "Content", "text"),
    ("add_time", "Add time", "date"),
    ("update_time", "Update time", "date"),
    ("user_id", "Author", "user"),
    ("deal_id", "Deal", "double"),
    ("lead_id", "Lead", "varchar"),
    ("person_id", "Person", "people"),
    ("org_id", "Organization", "org"),
    ("pinned_to_deal_flag", "Note is pinned to deal", "enum"),
    ("pinned_to_lead_flag", "Note is pinned to lead", "enum"),
    ("pinned_to_organization_flag", "Note is pinned to organization", "enum"),
    ("pinned_to_person_flag", "Note is pinned to person", "enum"),
)
"""Key, name and type. The first and the pin of deals are in the official example, the others formed like them (assumed)."""


class LeadFields:
    """`/leadFields` and `/noteFields`."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._of_deals = FieldDefinitionsOfVersion1(account, "deal")

    def list_of_leads(self, call: Call) -> Result:
        """Answer the list of fields leads have."""
        known = self.account.fields.by_code["lead"].values()
        return paged(call, [field for field in known if field["field_code"] not in _OF_DEALS_ALONE], self._render, ("id",))

    def _render(self, field: Record) -> dict[str, Any]:
        """Return a deal's field under the key that leads use."""
        return self._of_deals.render(field) | {"key": _KEYS.get(field["field_code"], field["field_code"])}

    def list_of_notes(self, call: Call) -> Result:
        """Answer the list of fields notes have."""
        del call
        shown = [_note_field(number, *field) for number, field in enumerate(_NOTE_FIELDS, 1)]
        paging = {"start": 0, "limit": len(shown), "more_items_in_collection": False}
        return success(shown, additional_data={"pagination": paging})


def _note_field(number: int, key: str, name: str, kind: str) -> dict[str, Any]:
    shown = {
        "id": number,
        "key": key,
        "name": name,
        "field_type": kind,
        "active_flag": True,
        "edit_flag": key.endswith("_flag"),
        "bulk_edit_allowed": True,
        "mandatory_flag": key == "content",
    }
    return shown | {"options": _YES_NO} if kind == "enum" else shown


def routes(account: Account) -> list[Route]:
    """Return the lists of fields."""
    fields = LeadFields(account)
    return [
        Route("GET", "/v1/leadFields", 1, 20, fields.list_of_leads),
        Route("GET", "/v1/noteFields", 1, 20, fields.list_of_notes),
    ]
