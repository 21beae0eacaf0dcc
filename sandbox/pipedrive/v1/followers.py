"""Followers in version 1: the same as in version 2, but a follower's id in paths is its own."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.memberships import followers_of, leave
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import body_of, integer_of, paged
from sandbox.pipedrive.v2.followers import follow
from sandbox.pipedrive.v2.parents import PLURALS, live_parent

_COLUMNS = {"deal": "deal_id", "person": "person_id", "organization": "org_id", "product": "product_id"}


class Followers:
    """`/{deals,persons,organizations,products}/{id}/followers`."""

    def __init__(self, account: Account, kind: str) -> None:
        self.account = account
        self.kind = kind

    def list_all(self, call: Call) -> Result:
        """Answer who follows a record."""
        record = live_parent(self.account, self.kind, call)
        return paged(call, followers_of(self.account, self.kind, record["id"]), lambda item: self._render(item, record["id"]), ("id",))

    def create(self, call: Call) -> Result:
        """Add a follower; of products the answer is 201, else 200, as documented."""
        record = live_parent(self.account, self.kind, call)
        user_id = integer_of(body_of(call).get("user_id"), "user_id")
        if user_id is None:
            raise bad_request("user_id must be given.")
        if not self.account.exists("user", user_id):
            raise bad_request(f"User {user_id} not found or not active")
        follower = follow(self.account, self.kind, record["id"], user_id)
        return success(self._render(follower, record["id"]), 201 if self.kind == "product" else 200)

    def delete(self, call: Call) -> Result:
        """Remove a follower."""
        record = live_parent(self.account, self.kind, call)
        follower_id = call.id("Follower", 1)
        for follower in followers_of(self.account, self.kind, record["id"]):
            if follower["id"] == follower_id:
                leave(self.account, "follower", follower, call.user["id"])
                return success({"id": follower_id})
        raise not_found("Follower")

    def list_of_user(self, call: Call) -> Result:
        """Answer the ids of those who follow a user."""
        user = self.account.store["user"].get(call.id("User"))
        if user is None:
            raise ApiError(404, "User not found or not accessible.")
        return success([follower["user_id"] for follower in followers_of(self.account, self.kind, user["id"])])

    def _render(self, follower: Record, record_id: int) -> dict[str, Any]:
        return {
            "user_id": follower["user_id"],
            "id": follower["id"],
            _COLUMNS[self.kind]: record_id,
            "add_time": v1_time(follower["add_time"]),
        }


def routes(account: Account) -> list[Route]:
    """Return the operations on followers."""
    found = [Route("GET", "/v1/users/{id}/followers", 1, 20, Followers(account, "user").list_of_user)]
    for kind, plural in PLURALS.items():
        followers = Followers(account, kind)
        base = f"/v1/{plural}/{{id}}/followers"
        found += [
            Route("GET", base, 1, 20, followers.list_all),
            Route("POST", base, 1, 10, followers.create),
            Route("DELETE", base + "/{follower_id}", 1, 6, followers.delete),
        ]
    return found
