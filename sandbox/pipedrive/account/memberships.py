"""Who joined and left a record over time: followers (users) and participants (persons) are kept and told of in one way."""

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.store import Record


def followed(kind: str, record_id: int) -> str:
    """Return how a follower names what is followed, `deal/12`."""
    return f"{kind}/{record_id}"


def followers_of(account: Account, kind: str, record_id: int) -> list[Record]:
    """Return the live followers of a record by ascending id."""
    found = account.store["follower"].find("followed", followed(kind, record_id))
    return [follower for follower in found if not follower["is_deleted"]]


def participants_of(account: Account, deal_id: int) -> list[Record]:
    """Return the participants of a deal by ascending id, without its main person and those whose person is deleted."""
    found = [participant for participant in account.store["participant"].find("deal_id", deal_id) if not participant["is_deleted"]]
    return [participant for participant in found if account.live("person", participant["person_id"]) is not None]


def people_of(account: Account, deal: Record) -> list[int]:
    """Return the ids of all persons of a deal: its main person, then the participants; deleted persons are left out."""
    named = [deal["person_id"], *(participant["person_id"] for participant in participants_of(account, deal["id"]))]
    return [person_id for person_id in dict.fromkeys(named) if account.live("person", person_id) is not None]


def leave(account: Account, kind: str, membership: Record, user_id: int) -> None:
    """Mark a follower or participant as gone, by a user."""
    account.store.put(kind, {**membership, "is_deleted": True, "last_update_user_id": user_id, "update_time": account.now()})


def events(memberships: list[Record], member: str) -> list[Record]:
    """Return what happened, oldest first: `action`, `actor_user_id`, `member_id` and `time` of each joining and leaving.

    Args:
        memberships: Followers or participants of one record, deleted ones included.
        member: The column with the member's id.
    """
    found: list[tuple[str, int, Record]] = []
    for item in memberships:
        for action, actor, time in (
            ("added", item["creator_user_id"], item["add_time"]),
            ("deleted", item.get("last_update_user_id"), item["update_time"]),
        ):
            if action == "added" or item["is_deleted"]:
                event = {"action": action, "actor_user_id": actor, "member_id": item[member], "time": time}
                found.append((time, item["id"], event))
    return [event for _, _, event in sorted(found, key=lambda entry: entry[:2])]
