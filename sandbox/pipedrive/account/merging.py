"""Merging of two records of one kind: what moves to the one that stays, and whose values win.

Documented: the record that stays keeps its values, its empty fields take those of the other, organizations unite what can be
united, and everything linked moves over. Assumed: only lists of labels and options are united, a zero is not empty, and
what says how a record came to its state (name parts, closing times, archive) never moves.
"""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.deal_value import discounts_of, follow_lines, lines_of
from sandbox.pipedrive.store.store import Record

MERGEABLE = ("deal", "person", "organization")
_LINKS: dict[str, dict[str, tuple[str, ...]]] = {
    "deal": {
        "deal_product": ("deal_id",), "discount": ("deal_id",), "installment": ("deal_id",), "participant": ("deal_id",),
        "activity": ("deal_id",), "note": ("deal_id",), "file": ("deal_id",), "call_log": ("deal_id",),
    },
    "person": {
        "deal": ("person_id",), "participant": ("person_id",), "lead": ("person_id",), "activity": ("person_id",), "note": ("person_id",),
        "file": ("person_id",), "call_log": ("person_id",), "picture": ("person_id",),
    },
    "organization": {
        "person": ("org_id",), "deal": ("org_id",), "lead": ("organization_id",), "activity": ("org_id",), "note": ("org_id",),
        "file": ("org_id",), "call_log": ("org_id",), "organization_relation": ("rel_owner_org_id", "rel_linked_org_id"),
    },
}  # fmt: skip
"""For each kind that can be merged: the kinds that point to it, and by which columns."""
_OWN = frozenset({
    "id", "add_time", "update_time", "is_deleted", "merged_into", "custom_fields", "name", "first_name", "last_name", "title", "status", "won_time",
    "lost_time", "close_time", "lost_reason", "is_archived", "archive_time",
})  # fmt: skip
"""Values that never move."""
_ALIKE: dict[str, tuple[str, ...]] = {
    "participant": ("deal_id", "person_id"),
    "organization_relation": ("type", "rel_owner_org_id", "rel_linked_org_id"),
    "picture": ("person_id",),
}
"""Columns of which the linked records of a kind may have each combination once; the one that moves gives way."""


class MergeError(Exception):
    """Two records cannot be merged; the message says why."""


def merge(account: Account, kind: str, survivor_id: int, merged_id: int) -> Record:
    """Merge one record into another and return the survivor.

    The merged record is stored first, deleted and with `merged_into`, then what was linked to it, then the survivor.

    Args:
        account: The account that has both.
        kind: One of `MERGEABLE`.
        survivor_id: The record that stays; its values win.
        merged_id: The record that ends.

    Raises:
        MergeError: When they are the same record, or one of them is unknown or deleted.
    """
    if survivor_id == merged_id:
        raise MergeError(f"{'An' if kind == 'organization' else 'A'} {kind} can not be merged with itself")
    survivor, merged = account.live(kind, survivor_id), account.live(kind, merged_id)
    if survivor is None or merged is None:
        raise MergeError(f"{kind.capitalize()} {merged_id if merged is None else survivor_id} not found")
    now = account.now()
    is_value_moved = kind == "deal" and bool(lines_of(account, merged_id) or discounts_of(account, merged_id))
    _put(account, kind, {**merged, "is_deleted": True, "merged_into": survivor_id, "update_time": now})
    for linked, columns in _LINKS[kind].items():
        for column in columns:
            for record in _pointing(account, linked, column, merged_id):
                _move(account, linked, {**record, column: survivor_id, "update_time": now})
    _move_followers(account, kind, survivor_id, merged_id)
    if kind == "person":
        _replace_attendance(account, survivor_id, merged_id)
    survivor = {**_united(account, kind, survivor, merged), "update_time": now}
    _put(account, kind, survivor)
    if kind == "deal":
        _let_take_part(account, survivor, merged["person_id"])
    if is_value_moved and lines_of(account, survivor_id):
        follow_lines(account, survivor_id)
    return account.store[kind].records[survivor_id]


def merged_into(account: Account, kind: str, record: Record) -> Record:
    """Return what became of a record by merges, itself when it was not merged."""
    while (successor := account.store[kind].get(record.get("merged_into") or 0)) is not None:
        record = successor
    return record


def _put(account: Account, kind: str, record: Record) -> None:
    if kind == "deal":
        account.put_deal(record)
    else:
        account.store.put(kind, record)


def _pointing(account: Account, kind: str, column: str, target: int) -> list[Record]:
    """Return the live records of a kind that point to a record."""
    table = account.store[kind]
    found = table.find(column, target) if table.is_indexed(column) else [record for record in table if record.get(column) == target]
    return [record for record in found if not record["is_deleted"]]


def _move(account: Account, kind: str, record: Record) -> None:
    """Store a record that points to the survivor now; it is deleted where the survivor has the like of it already."""
    if kind == "activity":
        record = _with_participants(record)
    if kind == "organization_relation" and record["rel_owner_org_id"] == record["rel_linked_org_id"]:
        record["is_deleted"] = True
    elif kind in _ALIKE:
        columns = _ALIKE[kind]
        others = _pointing(account, kind, columns[-1], record[columns[-1]])
        record["is_deleted"] = any(other["id"] != record["id"] and all(other[name] == record[name] for name in columns) for other in others)
    _put(account, kind, record)


def _move_followers(account: Account, kind: str, survivor_id: int, merged_id: int) -> None:
    table, now = account.store["follower"], account.now()
    following = {follower["user_id"] for follower in table.find("followed", f"{kind}/{survivor_id}") if not follower["is_deleted"]}
    for follower in table.find("followed", f"{kind}/{merged_id}"):
        if not follower["is_deleted"]:
            is_double = follower["user_id"] in following
            account.store.put("follower", {**follower, "followed": f"{kind}/{survivor_id}", "is_deleted": is_double, "update_time": now})


def _with_participants(activity: Record) -> Record:
    """Return an activity whose primary participant is the person it points to."""
    participants = [{**entry, "person_id": activity["person_id"]} if entry["primary"] else entry for entry in activity["participants"]]
    return {**activity, "participants": _once(participants)}


def _replace_attendance(account: Account, survivor_id: int, merged_id: int) -> None:
    """Put the survivor in the place of the merged person in activities in which that one was not the primary participant."""
    for activity in account.store["activity"]:
        if activity["is_deleted"] or all(entry["person_id"] != merged_id for entry in activity["participants"]):
            continue
        participants = [{**entry, "person_id": survivor_id} if entry["person_id"] == merged_id else entry for entry in activity["participants"]]
        account.store.put("activity", {**activity, "participants": _once(participants), "update_time": account.now()})


def _once(participants: list[Record]) -> list[Record]:
    """Keep each person once, the primary one as such."""
    ordered = sorted(participants, key=lambda entry: not entry["primary"])
    kept = {entry["person_id"]: entry for entry in reversed(ordered)}
    return [kept.pop(entry["person_id"]) for entry in participants if entry["person_id"] in kept]


def _united(account: Account, kind: str, survivor: Record, merged: Record) -> Record:
    """Return the survivor with its empty values filled from the merged record."""
    is_united = kind == "organization"
    values = {name: _value(survivor.get(name), value, is_united=is_united) for name, value in merged.items() if name not in _OWN}
    live = account.fields.custom[kind]
    custom = {
        code: _value(survivor["custom_fields"].get(code), value, is_united=is_united)
        for code, value in merged["custom_fields"].items()
        if code in live
    }
    return {**survivor, **values, "custom_fields": {**survivor["custom_fields"], **custom}}


def _value(own: Any, other: Any, *, is_united: bool) -> Any:
    if own is None or own in ("", []):
        return other
    if is_united and isinstance(own, list) and isinstance(other, list):
        return [*own, *(item for item in other if item not in own)]
    return own


def _let_take_part(account: Account, deal: Record, person_id: int | None) -> None:
    """Make the merged deal's person a participant, since it was one of that deal."""
    if person_id is None or person_id == deal["person_id"] or not account.exists("person", person_id):
        return
    if all(participant["person_id"] != person_id for participant in _pointing(account, "participant", "deal_id", deal["id"])):
        participant = account.new_record("participant", deal_id=deal["id"], person_id=person_id, creator_user_id=account.actor.user_id)
        account.store.put("participant", participant)
