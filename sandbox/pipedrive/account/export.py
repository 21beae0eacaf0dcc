"""The visible state of the account in one canonical form, so that two states can be compared byte for byte.

Left out: deleted records, deleted fields and their values, and what the server keeps to itself (change times, counters).
Texts that were emptied read the same as texts that were never set.
"""

import hashlib
from typing import Any

import orjson

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.kinds import KINDS
from sandbox.pipedrive.store.store import Record

_BOOKKEEPING = frozenset({
    "update_time", "is_deleted", "stage_change_time", "marked_as_done_time", "last_update_user_id", "creator_user_id", "is_custom_field", "tokens",
    "first_won_time", "is_marketing_settled",
})  # fmt: skip


_PARTS: dict[str, tuple[str, ...]] = {
    "deal_product": ("deal",), "discount": ("deal",), "installment": ("deal",), "participant": ("deal", "person"), "picture": ("person",),
    "product_variation": ("product",), "product_image": ("product",),
}  # fmt: skip
"""Kinds whose records are parts of others, in the columns named after these."""


def export_state(account: Account) -> tuple[bytes, str]:
    """Return the canonical JSON of the state and its SHA-256."""
    state: dict[str, Any] = {"company": account.store.meta["company"]}
    for name, kind in KINDS.items():
        if kind.is_exported:
            state[kind.plural] = [_visible(account, name, record) for record in account.store[name] if _is_visible(account, name, record)]
    content = orjson.dumps(state, option=orjson.OPT_SORT_KEYS)
    return content, hashlib.sha256(content).hexdigest()


def _is_visible(account: Account, kind: str, record: Record) -> bool:
    if kind == "activity_type" and not record["active_flag"]:
        return False
    if any(account.live(whole, record[f"{whole}_id"]) is None for whole in _PARTS.get(kind, ())):
        return False  # a part goes to the trash with what it is a part of
    if kind == "follower" and not _is_followable(account, record["followed"]):
        return False
    return not record["is_deleted"]


def _is_followable(account: Account, followed: str) -> bool:
    kind, _, record_id = followed.partition("/")
    return account.exists(kind, int(record_id))


def _visible(account: Account, kind: str, record: Record) -> Record:
    shown = {name: _canonical(value) for name, value in record.items() if name not in _BOOKKEEPING}
    if "custom_fields" in shown:
        live = account.fields.custom[kind]
        shown["custom_fields"] = {code: value for code, value in shown["custom_fields"].items() if code in live and value is not None}
    return {name: value for name, value in shown.items() if value is not None and value != ""}


def _canonical(value: Any) -> Any:
    """Write whole decimals as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _canonical(item) for name, item in value.items()}
    return [_canonical(item) for item in value] if isinstance(value, list) else value
