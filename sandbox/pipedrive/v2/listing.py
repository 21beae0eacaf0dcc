"""Lists of version 2: query checks, filters, order, and keyset cursors that stay valid while records come and go."""

import base64
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson

from sandbox.pipedrive.account.schema import BAD_TIME, Problems, not_a, not_allowed, parse_time
from sandbox.pipedrive.store.store import Record, Table

LIMIT_DEFAULT = 100
LIMIT_MAX = 500
IDS_MAX = 100
PROJECTION_MAX = 15
DIGITS_MAX = 18
"""Longest integer read from a query."""
_NUMERIC = frozenset({"id", "order_nr", "deal_id"})


@dataclass(frozen=True, slots=True)
class ListRules:
    """Query parameters a list knows beside `limit`, `cursor`, `sort_by` and `sort_direction`."""

    sorts: tuple[str, ...] = ("id", "update_time", "add_time")
    filters: dict[str, type] = field(default_factory=dict)
    """Quick filters that are columns, with their type: int, bool or str."""
    extras: tuple[str, ...] = ()
    """Others, among the keys of `_READERS`."""
    includes: tuple[str, ...] = ()
    """Names `include_fields` knows."""
    paging: tuple[str, ...] = ("limit", "cursor", "sort_by", "sort_direction")
    """Which of the paging parameters it knows."""
    beside_filter: tuple[str, ...] = ()
    """Quick filters that count beside a saved filter; it overrides the others."""


@dataclass(slots=True)
class Cursor:
    """A position: the sort value and id of the last record given."""

    value: Any
    id: int


@dataclass(slots=True)
class ListQuery:
    """A checked query."""

    limit: int = LIMIT_DEFAULT
    cursor: Cursor | None = None
    sort_by: str = "id"
    is_descending: bool = False
    ids: list[int] | None = None
    since: str | None = None
    until: str | None = None
    filters: dict[str, Any] = field(default_factory=dict)
    projection: list[str] | None = None
    includes: list[str] = field(default_factory=list)
    has_option_labels: bool = False
    has_labels: bool = False
    statuses: list[str] | None = None
    deal_id: int | None = None
    filter_id: int | None = None
    condition: Callable[[Record], bool] | None = None
    """What the saved filter asks of a record; set by who knows the filters."""

    def encode(self, record: Record) -> str:
        """Return the cursor after a record."""
        value = {
            "field": self.sort_by,
            "fieldValue": record[self.sort_by],
            "sortDirection": "desc" if self.is_descending else "asc",
            "id": record["id"],
        }
        return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


def parse_query(query: dict[str, str], rules: ListRules) -> ListQuery:
    """Check a list's query.

    Raises:
        ApiError: 400 naming every unknown or wrong parameter.
    """
    parsed = ListQuery()
    problems = Problems()
    for name, text in query.items():
        reader = _READERS.get(name) if name in rules.paging or name in rules.extras else None
        if reader is not None:
            reader(parsed, text, name, problems, rules)
        elif name in rules.filters:
            parsed.filters[name] = _filter(text, rules.filters[name], name, problems)
        elif name != "api_token":
            problems.add(name, not_allowed(name))
    problems.raise_if_any()
    if "cursor" in query:
        parsed.cursor = _decode(query["cursor"], parsed)
    if parsed.filter_id is not None:
        _override(parsed, rules)
    return parsed


def _override(query: ListQuery, rules: ListRules) -> None:
    """Let a saved filter override ids and quick filters; the status counts beside it (official)."""
    query.ids = query.deal_id = None
    query.filters = {name: value for name, value in query.filters.items() if name in rules.beside_filter}


def _decode(text: str, query: ListQuery) -> Cursor:
    try:
        value = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        cursor = Cursor(value["fieldValue"], value["id"])
        fits = value["field"] == query.sort_by and (value["sortDirection"] == "desc") == query.is_descending and type(cursor.id) is int
        fits = fits and (cursor.value is None or type(cursor.value) is (int if query.sort_by in _NUMERIC else str))
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        problems = Problems()
        problems.add("cursor", "The cursor is not valid for this request")
        problems.raise_if_any()
    return cursor


def page(table: Table, query: ListQuery, accept: Callable[[Record], bool]) -> tuple[list[Record], str | None]:
    """Return the records of one page and the cursor of the next, None at the end."""
    chosen = (record for record in _candidates(table, query) if accept(record) and _passes(record, query))
    found = list(islice(chosen, query.limit + 1)) if query.sort_by == "id" else _smallest(chosen, query)
    if len(found) <= query.limit:
        return found, None
    return found[: query.limit], query.encode(found[query.limit - 1])


def _candidates(table: Table, query: ListQuery) -> Iterable[Record]:
    """Yield records in order of id, from the cursor on where that is the order asked for."""
    by_id = query.sort_by == "id"
    start = query.cursor.id if query.cursor is not None and by_id else None
    records: Iterable[Record] | None = None
    if query.ids is not None:
        records = [record for record_id in sorted(set(query.ids)) if (record := table.get(record_id)) is not None]
    else:
        for column, value in query.filters.items():
            if table.is_indexed(column):
                records = table.find(column, value)
                break
    if records is None:
        if by_id and query.is_descending:
            return table.before(start if start is not None else 1 << 62)
        return table.after(start or 0)
    kept = [record for record in records if start is None or (record["id"] < start if query.is_descending else record["id"] > start)]
    return reversed(kept) if by_id and query.is_descending else kept


def _passes(record: Record, query: ListQuery) -> bool:
    if query.since is not None and record["update_time"] < query.since:
        return False
    if query.until is not None and record["update_time"] >= query.until:
        return False
    if query.condition is not None and not query.condition(record):
        return False
    return all(record[column] == value for column, value in query.filters.items())


def _smallest(records: Iterable[Record], query: ListQuery) -> list[Record]:
    """Return the first `limit + 1` records in the order asked for, after the cursor."""
    column = query.sort_by

    def key(record: Record) -> tuple[Any, int]:
        return (_sortable(record[column]), record["id"])

    cursor = query.cursor
    if query.is_descending:
        if cursor is not None:
            after = (_sortable(cursor.value), cursor.id)
            records = (record for record in records if key(record) < after)
        return heapq.nlargest(query.limit + 1, records, key=key)
    if cursor is not None:
        after = (_sortable(cursor.value), cursor.id)
        records = (record for record in records if key(record) > after)
    return heapq.nsmallest(query.limit + 1, records, key=key)


def _sortable(value: Any) -> tuple[int, Any]:
    """Order nulls before everything else."""
    return (0, 0) if value is None else (1, value)


def integer_text(text: str, name: str, problems: Problems) -> int:
    """Read an integer from a query value."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
        problems.add(name, not_a("integer"))
        return 0
    return int(text)


def boolean_text(text: str, name: str, problems: Problems) -> bool:
    """Read `true` or `false` from a query value."""
    if text not in {"true", "false"}:
        problems.add(name, not_a("boolean"))
    return text == "true"


def _filter(text: str, kind: type, name: str, problems: Problems) -> Any:
    if kind is int:
        return integer_text(text, name, problems)
    return boolean_text(text, name, problems) if kind is bool else text


def _limit(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.limit = integer_text(text, name, problems)
    if not 1 <= parsed.limit <= LIMIT_MAX:  # what a larger limit does is not established; 400 is assumed
        problems.add(name, f"The value must be between 1 and {LIMIT_MAX}")


def _cursor(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    """The cursor is read once order and direction are known."""
    del parsed, text, name, problems, rules


def _sort_by(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    parsed.sort_by = text
    if text not in rules.sorts:
        problems.add(name, f"The value must be one of: {', '.join(rules.sorts)}")


def _direction(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.is_descending = text == "desc"
    if text not in {"asc", "desc"}:
        problems.add(name, "The value must be one of: asc, desc")


def _ids(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.ids = [integer_text(part.strip(), name, problems) for part in text.split(",")]
    if len(parsed.ids) > IDS_MAX:
        problems.add(name, f"This collection should contain {IDS_MAX} elements or less.")


def _time(text: str, name: str, problems: Problems) -> str | None:
    stored = parse_time(text)
    if stored is None:
        problems.add(name, BAD_TIME)
    return stored


def _since(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.since = _time(text, name, problems)


def _until(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.until = _time(text, name, problems)


def _projection(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.projection = [code.strip() for code in text.split(",") if code.strip()]
    if len(parsed.projection) > PROJECTION_MAX:
        problems.add(name, f"This collection should contain {PROJECTION_MAX} elements or less.")


def _includes(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    parsed.includes = [part.strip() for part in text.split(",") if part.strip()]
    if any(part not in rules.includes for part in parsed.includes):
        problems.add("", f"{name} is not allowed")


def _option_labels(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.has_option_labels = boolean_text(text, name, problems)


def _labels(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.has_labels = boolean_text(text, name, problems)


def _status(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.statuses = [part.strip() for part in text.split(",")]
    if any(part not in {"open", "won", "lost", "deleted"} for part in parsed.statuses):
        problems.add(name, "The value must be one of: open, won, lost, deleted")


def _deal_id(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.deal_id = integer_text(text, name, problems)


def _filter_id(parsed: ListQuery, text: str, name: str, problems: Problems, rules: ListRules) -> None:
    del rules
    parsed.filter_id = integer_text(text, name, problems)


_READERS: dict[str, Callable[[ListQuery, str, str, Problems, ListRules], None]] = {
    "limit": _limit,
    "cursor": _cursor,
    "sort_by": _sort_by,
    "sort_direction": _direction,
    "ids": _ids,
    "updated_since": _since,
    "updated_until": _until,
    "custom_fields": _projection,
    "include_fields": _includes,
    "include_option_labels": _option_labels,
    "include_labels": _labels,
    "status": _status,
    "deal_id": _deal_id,
    "filter_id": _filter_id,
}
