"""Merging two deals, persons or organizations, which only version 1 can."""

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.merging import MergeError, merge
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.v1.common import body_of, integer_of
from sandbox.pipedrive.v1.objects import trimmed
from sandbox.pipedrive.v1.rendering import Rendering
from sandbox.pipedrive.v2.parents import live_parent
from sandbox.pipedrive.v2.resource import can_see

_PATHS = {"deal": "deals", "person": "persons", "organization": "organizations"}


class Merge:
    """`/{deals,persons,organizations}/{id}/merge`. The record of the path ends, that of `merge_with_id` stays."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._rendering = Rendering(account)

    def of(self, kind: str) -> Handler:
        """Return the handler of one kind."""

        def handler(call: Call) -> Result:
            merged = live_parent(self.account, kind, call)
            survivor_id = integer_of(body_of(call).get("merge_with_id"), "merge_with_id")
            if survivor_id is None:
                raise bad_request("merge_with_id must be given.")
            other = self.account.live(kind, survivor_id)
            if other is None or not can_see(call.user, other):
                raise bad_request(f"{kind.capitalize()} {survivor_id} not found")
            try:
                survivor = merge(self.account, kind, survivor_id, merged["id"])
            except MergeError as error:
                raise bad_request(str(error)) from error
            if kind == "organization":
                return success({"id": survivor_id})
            return success(trimmed(self._rendering.render(kind, survivor)) | {"merge_what_id": merged["id"]})

        return handler


def routes(account: Account) -> list[Route]:
    """Return the operations that merge."""
    merging = Merge(account)
    return [Route("PUT", f"/v1/{plural}/{{id}}/merge", 1, 40, merging.of(kind)) for kind, plural in _PATHS.items()]
