"""Queries: built from describe, never longer than an address may be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote_plus

_ORDER_BYTES = 600
"""Room for conditions, order and the address itself."""


@dataclass(frozen=True, slots=True)
class Key:
    """Where a row stands in the order of reading: by the time of its last change, then by id."""

    stamp: str
    row_id: str


def quoted(value: str) -> str:
    """Write a text as a literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def time_literal(moment: datetime | str) -> str:
    """Write a point in time, ours or the org's own writing, as a literal."""
    found = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return found.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{found.microsecond // 1000:03d}Z"


def after(key: Key | None, stamp: str) -> str:
    """Write the condition of all rows after a key; empty without one."""
    if key is None:
        return ""
    if not stamp:
        return f"Id > {quoted(key.row_id)}"
    moment = time_literal(key.stamp)
    return f"({stamp} > {moment} OR ({stamp} = {moment} AND Id > {quoted(key.row_id)}))"


def up_to(key: Key, stamp: str) -> str:
    """Write the condition of all rows up to a key, itself included."""
    if not stamp:
        return f"Id <= {quoted(key.row_id)}"
    moment = time_literal(key.stamp)
    return f"({stamp} < {moment} OR ({stamp} = {moment} AND Id <= {quoted(key.row_id)}))"


def id_in(name: str, row_ids: Iterable[str]) -> str:
    """Write the condition that a field holds one of these ids."""
    return f"{name} IN ({','.join(quoted(one) for one in row_ids)})"


def select(columns: Sequence[str], name: str, conditions: Iterable[str] = (), *, order: Sequence[str] = ()) -> str:
    """Write a query; empty conditions are left out."""
    where = " AND ".join(one for one in conditions if one)
    parts = ["SELECT", ",".join(columns), "FROM", name, *(["WHERE", where] if where else []), *(["ORDER BY", ",".join(order)] if order else [])]
    return " ".join(parts)


def split_columns(columns: Sequence[str], keys: Sequence[str], *, address_bytes: int, extra: str = "") -> list[list[str]]:
    """Share columns out so that no query is longer than an address may be; each part begins with `keys`, by which rows find together."""
    room = address_bytes - _ORDER_BYTES - len(quote_plus(",".join(keys) + extra))
    parts: list[list[str]] = [[]]
    used = 0
    for column in columns:
        if column in keys:
            continue
        size = len(quote_plus("," + column))
        if used + size > room and parts[-1]:
            parts.append([])
            used = 0
        parts[-1].append(column)
        used += size
    return [[*keys, *part] for part in parts]
