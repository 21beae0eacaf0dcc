"""Comments on notes, which only version 1 has. Their ids are UUIDs; their HTML is sanitised like a note's."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.sanitise import clean_html
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, milliseconds, paged
from sandbox.pipedrive.v1.users import COMPANY_ID


class Comments:
    """`/notes/{id}/comments`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def list_all(self, call: Call) -> Result:
        """Answer the comments of a note, oldest first (assumed)."""
        comments = self.account.store["comment"].find("note_id", self._note(call)["id"])
        return paged(call, (comment for comment in comments if not comment["is_deleted"]), _render, ())

    def get(self, call: Call) -> Result:
        """Answer a request for one comment."""
        return success(_render(self._find(call)))

    def create(self, call: Call) -> Result:
        """Comment on a note; the caller is the author."""
        note, content = self._note(call), _content(call)
        comment = self.account.new_record(
            "comment", uuid=self.account.new_uuid(), note_id=note["id"], content=content, user_id=call.user["id"], updater_id=call.user["id"]
        )
        self.account.store.put("comment", comment)
        return success(_render(comment))

    def update(self, call: Call) -> Result:
        """Replace the text of a comment."""
        comment = self._find(call)
        changed = {**comment, "content": _content(call), "updater_id": call.user["id"], "update_time": self.account.now()}
        self.account.store.put("comment", changed)
        return success(_render(changed))

    def delete(self, call: Call) -> Result:
        """Delete a comment."""
        comment = self._find(call)
        self.account.store.put("comment", {**comment, "is_deleted": True, "update_time": self.account.now()})
        return success(data=True)

    def _note(self, call: Call) -> Record:
        note = self.account.live("note", call.id("Note"))
        if note is None:
            raise not_found("Note")
        return note

    def _find(self, call: Call) -> Record:
        note = self._note(call)
        for comment in self.account.store["comment"].find("uuid", call.params[1].lower()):
            if comment["note_id"] == note["id"] and not comment["is_deleted"]:
                return comment
        raise not_found("Comment")


def _content(call: Call) -> str:
    content = body_of(call).get("content")
    if type(content) is not str or not content.strip():
        raise bad_request("Content must be given.")
    return clean_html(content)


def _render(comment: Record) -> dict[str, Any]:
    return {
        "uuid": comment["uuid"],
        "active_flag": not comment["is_deleted"],
        "add_time": milliseconds(comment["add_time"]),
        "update_time": milliseconds(comment["update_time"]),
        "content": comment["content"],
        "object_id": str(comment["note_id"]),
        "object_type": "note",
        "user_id": comment["user_id"],
        "updater_id": comment["updater_id"],
        "company_id": COMPANY_ID,
    }


def routes(account: Account) -> list[Route]:
    """Return the operations on comments."""
    comments = Comments(account)
    base = "/v1/notes/{id}/comments"
    return [
        Route("GET", base, 1, 20, comments.list_all),
        Route("POST", base, 1, 10, comments.create),
        Route("GET", base + "/{commentId}", 1, 2, comments.get),
        Route("PUT", base + "/{commentId}", 1, 10, comments.update),
        Route("DELETE", base + "/{commentId}", 1, 6, comments.delete),
    ]
