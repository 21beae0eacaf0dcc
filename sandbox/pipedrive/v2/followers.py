"""Followers: users who follow deals, persons, organizations and products. Their id in paths is that of the user."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.memberships import events, followed, followers_of, leave
from sandbox.pipedrive.account.schema import Problems, check_object
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import ApiError, not_found
from sandbox.pipedrive.gateway.routes import Handler, Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v2.listing import ListQuery, ListRules, page, parse_query
from sandbox.pipedrive.v2.parents import PLURALS, live_parent

_PAGES = ListRules((), paging=("limit", "cursor"))


class Followers:
    """`/{deals,persons,organizations,products}/{id}/followers`."""

    def __init__(self, account: Account, kind: str) -> None:
        self.account = account
        self.kind = kind

    def list_all(self, call: Call) -> Result:
        """Answer who follows a record."""
        return self._list(call, live_parent(self.account, self.kind, call)["id"])

    def list_of_user(self, call: Call) -> Result:
        """Answer who follows a user."""
        user = self.account.store["user"].get(call.id("User"))
        if user is None:
            raise ApiError(404, "User not found or not accessible.")
        return self._list(call, user["id"])

    def _list(self, call: Call, record_id: int) -> Result:
        query = parse_query(call.query, _PAGES)
        query.filters["followed"] = followed(self.kind, record_id)
        found, cursor = page(self.account.store["follower"], query, lambda follower: not follower["is_deleted"])
        return success([_render(follower) for follower in found], additional_data={"next_cursor": cursor})

    def create(self, call: Call) -> Result:
        """Add a follower."""
        record = live_parent(self.account, self.kind, call)
        problems = Problems()
        values = check_object(call.json(), {"user_id": self.account.owner}, ("user_id",), problems)
        problems.raise_if_any()
        return success(_render(follow(self.account, self.kind, record["id"], values["user_id"])), 201)

    def delete(self, call: Call) -> Result:
        """Remove a follower."""
        record = live_parent(self.account, self.kind, call)
        user_id = call.id("Follower", 1)
        for follower in followers_of(self.account, self.kind, record["id"]):
            if follower["user_id"] == user_id:
                leave(self.account, "follower", follower, call.user["id"])
                return success({"user_id": user_id})
        raise not_found("Follower")

    def changelog(self, call: Call) -> Result:
        """Answer who began and ceased to follow a record, oldest first (order assumed)."""
        record = live_parent(self.account, self.kind, call)
        query = parse_query(call.query, _PAGES)
        history = events(self.account.store["follower"].find("followed", followed(self.kind, record["id"])), "user_id")
        shown, cursor = part_of(history, query)
        return success([_render_event(event) for event in shown], additional_data={"next_cursor": cursor})


def part_of(history: list[Record], query: ListQuery) -> tuple[list[Record], str | None]:
    """Return one page of a history that only grows at its end, and the cursor of the next."""
    start = query.cursor.id if query.cursor is not None else 0
    end = start + query.limit
    return history[start:end], query.encode({"id": end}) if end < len(history) else None


def follow(account: Account, kind: str, record_id: int, user_id: int) -> Record:
    """Let a user follow a record.

    Raises:
        ApiError: 400 when the user does already (documented, text assumed).
    """
    if any(follower["user_id"] == user_id for follower in followers_of(account, kind, record_id)):
        raise ApiError(400, f"User {user_id} is already following this {kind}")
    follower = account.new_record("follower", followed=followed(kind, record_id), user_id=user_id, creator_user_id=account.actor.user_id)
    account.store.put("follower", follower)
    return follower


def _render(follower: Record) -> dict[str, Any]:
    return {"user_id": follower["user_id"], "add_time": follower["add_time"]}


def _render_event(event: Record) -> dict[str, Any]:
    return {
        "action": event["action"],
        "actor_user_id": event["actor_user_id"],
        "follower_user_id": event["member_id"],
        "time": event["time"],
    }


def routes(account: Account) -> list[Route]:
    """Return the operations on followers."""
    users: Handler = Followers(account, "user").list_of_user
    found = [Route("GET", "/api/v2/users/{id}/followers", 2, 10, users)]
    for kind, plural in PLURALS.items():
        followers = Followers(account, kind)
        base = f"/api/v2/{plural}/{{id}}/followers"
        found += [
            Route("GET", base, 2, 10, followers.list_all),
            Route("POST", base, 2, 5, followers.create),
            Route("GET", base + "/changelog", 2, 10, followers.changelog),
            Route("DELETE", base + "/{follower_id}", 2, 3, followers.delete),
        ]
    return found
