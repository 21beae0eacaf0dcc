"""The change log of deals, persons and organizations: one record of the kind `change` for each value that an update replaced.

Fields stand under the keys version 1 uses. Parts of composite values are changes of their own (`<key>_currency`), as version 1 shows them.
A new record has no changes: what it began with is in the record itself. That a merge, a delete or a recomputed value is logged like
any update is assumed.
"""

from collections.abc import Iterator
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.store import Record

LOGGED = frozenset({"deal", "person", "organization"})
"""Kinds whose changes are kept."""
_SILENT = frozenset({"id", "update_time", "stage_change_time", "last_update_user_id", "merged_into", "first_won_time", "is_marketing_settled"})
_KEYS = {"label_ids": "label", "emails": "email", "phones": "phone"}

Change = tuple[str, Any, Any]
"""Key in version 1, value before, value after."""


class ChangeLog:
    """Observes the store and keeps what updates replaced."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def observe(self, kind: str, before: Record | None, after: Record) -> None:
        """Note the changes of one update; new records cost nothing."""
        if before is None or kind not in LOGGED:
            return
        account = self._account
        store, actor, now = account.store, account.actor, account.now()
        changed = changed_key(kind, after["id"])
        for key, old, new in differences(kind, before, after):
            store.put(
                "change",
                {
                    "id": store["change"].next_id(),
                    "changed": changed,
                    "field": key,
                    "old": old,
                    "new": new,
                    "user_id": actor.user_id,
                    "source": actor.source,
                    "add_time": now,
                    "is_deleted": False,
                },
            )


def changed_key(kind: str, record_id: int) -> str:
    """Return the text under which the changes of a record are found, such as `deal/12`."""
    return f"{kind}/{record_id}"


def differences(kind: str, before: Record, after: Record) -> Iterator[Change]:
    """Yield what an update replaced."""
    for name, new in after.items():
        old: Any = before.get(name)
        if old == new or name in _SILENT:
            continue
        if name == "custom_fields":
            for code in {**old, **new}:
                yield from _parts(code, old.get(code), new.get(code))
        elif name == "is_deleted":
            yield _deletion(kind, before, after)
        else:
            yield from _parts(_key(kind, name), old, new)


def _key(kind: str, name: str) -> str:
    if name == "owner_id" and kind == "deal":
        return "user_id"
    return _KEYS.get(name, name)


def _parts(key: str, old: Any, new: Any) -> Iterator[Change]:
    """Yield the changed parts of a composite value, or a plain value as a whole. `value` is the part without a name of its own."""
    if not isinstance(old, dict) and not isinstance(new, dict):
        if old != new:
            yield key, old, new
        return
    was, becomes = (value if isinstance(value, dict) else {"value": value} for value in (old, new))
    for part in {**becomes, **was}:
        if was.get(part) != becomes.get(part):
            yield key if part == "value" else f"{key}_{part}", was.get(part), becomes.get(part)


def _deletion(kind: str, before: Record, after: Record) -> Change:
    if kind == "deal":
        was, is_now = ("deleted" if deal["is_deleted"] else deal["status"] for deal in (before, after))
        return "status", was, is_now
    return "active_flag", not before["is_deleted"], not after["is_deleted"]
