"""Labels of leads, which only version 1 has. Unlike those of other records they have text ids and a list of their own."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, milliseconds
from sandbox.pipedrive.v1.lead_values import one_of, required, title

COLORS = ("blue", "brown", "dark-gray", "gray", "green", "orange", "pink", "purple", "red", "yellow")
DEFAULTS = (("Hot", "red"), ("Warm", "yellow"), ("Cold", "blue"))
"""What a new account has (official)."""
_CHECKS = {"name": title, "color": one_of(*COLORS)}


class LeadLabels:
    """`/leadLabels`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the list of labels; it has no pages."""
        del call
        return success([render(label) for label in self.account.store["lead_label"] if not label["is_deleted"]])

    def create(self, call: Call) -> Result:
        """Create a label."""
        values = _values(body_of(call))
        for name in _CHECKS:
            if name not in values:
                raise bad_request(required(name))
        return success(render(add_label(self.account, values["name"], values["color"])))

    def update(self, call: Call) -> Result:
        """Change a label."""
        label = {**self._find(call), **_values(body_of(call)), "update_time": self.account.now()}
        self.account.store.put("lead_label", label)
        return success(render(label))

    def delete(self, call: Call) -> Result:
        """Delete a label and take it off the leads that have it (assumed)."""
        label, account = self._find(call), self.account
        account.store.put("lead_label", {**label, "is_deleted": True, "update_time": account.now()})
        for lead in account.store["lead"]:
            if label["uuid"] in lead["label_ids"]:
                account.store.put("lead", {**lead, "label_ids": [item for item in lead["label_ids"] if item != label["uuid"]]})
        return success({"id": label["uuid"]})

    def _find(self, call: Call) -> Record:
        found = self.account.store["lead_label"].find("uuid", call.params[0].lower())
        if not found or found[0]["is_deleted"]:
            raise ApiError(404, "requested lead label not found", info="Object was not found.")
        return found[0]


def add_label(account: Account, name: str, color: str) -> Record:
    """Store a new label and return it."""
    label = account.new_record("lead_label", uuid=account.new_uuid(), name=name, color=color)
    account.store.put("lead_label", label)
    return label


def render(label: Record) -> dict[str, Any]:
    """Return a label as the API shows it."""
    return {
        "id": label["uuid"],
        "name": label["name"],
        "color": label["color"],
        "add_time": milliseconds(label["add_time"]),
        "update_time": milliseconds(label["update_time"]),
    }


def _values(body: dict[str, Any]) -> dict[str, Any]:
    return {name: check(body[name], name) for name, check in _CHECKS.items() if name in body}


def routes(account: Account) -> list[Route]:
    """Return the operations on labels of leads."""
    labels = LeadLabels(account)
    return [
        Route("GET", "/v1/leadLabels", 1, 10, labels.list_all),
        Route("POST", "/v1/leadLabels", 1, 10, labels.create),
        Route("PATCH", "/v1/leadLabels/{id}", 1, 10, labels.update),
        Route("DELETE", "/v1/leadLabels/{id}", 1, 6, labels.delete),
    ]
