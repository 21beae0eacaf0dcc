"""Lists of records: parameters checked strictly, then filtered, sorted and cut to a page."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from sandbox.stel_order.schema import MODIFIED, ChangedSince, Collection
from sandbox.stel_order.store import Row, Store, parse_stamp

LIMIT_DEFAULT = 100
LIMIT_MAX = 500
_PAGING = frozenset({"limit", "start", "offset", "sort", "APIKEY"})


class BadParameterError(Exception):
    """A parameter that the interface does not take; answered with 400 and E000003."""


def page(store: Store, collection: Collection, query: Mapping[str, str]) -> list[Row]:
    """Return the rows of one page. The parameter `offset` is ignored without a word, as the real interface does.

    Raises:
        BadParameterError: For everything else that is not allowed on this collection.
    """
    _refuse_unknown(collection, query)
    limit = _whole(query, "limit", LIMIT_DEFAULT, least=1, most=LIMIT_MAX)
    start = _whole(query, "start", 0, least=1)
    rows = _sorted(_filtered(store, collection, query), collection, query.get("sort"))
    return list(islice(rows, start, start + limit))


def _refuse_unknown(collection: Collection, query: Mapping[str, str]) -> None:
    known = _PAGING | collection.equality | {MODIFIED}
    if collection.has_date_range:
        known |= {"start-date", "end-date"}
    for name in query:
        if name not in known:
            raise BadParameterError(f"unknown parameter {name}")


def _whole(query: Mapping[str, str], name: str, default: int, *, least: int, most: int | None = None) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        raise BadParameterError(f"{name} is out of range")
    return int(text)


def _filtered(store: Store, collection: Collection, query: Mapping[str, str]) -> Iterator[Row]:
    rows = store.rows(collection.name)
    if MODIFIED in query:
        if collection.changed_since is ChangedSince.REFUSED:
            raise BadParameterError(f"{MODIFIED} cannot be used here")
        since = _stamp(query[MODIFIED])
        if collection.changed_since is ChangedSince.HONOURED:
            return _narrowed((row for row in rows if row.modified >= since), collection, query)
    return _narrowed((row for row in rows if not row.is_deleted), collection, query)


def _narrowed(rows: Iterable[Row], collection: Collection, query: Mapping[str, str]) -> Iterator[Row]:
    tests: list[Callable[[Mapping[str, Any]], bool]] = [_equality(name, query[name]) for name in sorted(collection.equality) if name in query]
    date_field = "start-date" if collection.name == "events" else "date"
    if "start-date" in query:
        first = _stamp(query["start-date"])
        tests.append(lambda record: _date_of(record, date_field) >= first)
    if "end-date" in query:
        last = _stamp(query["end-date"])
        tests.append(lambda record: _date_of(record, date_field) <= last)
    if not tests:
        return iter(rows)
    return (row for row in rows if all(test(record) for record in (row.record(),) for test in tests))


def _equality(name: str, wanted: str) -> Callable[[Mapping[str, Any]], bool]:
    values = set(wanted[3:].split(",")) if name == "full-reference" and wanted.startswith("in:") else {wanted}
    return lambda record: _text(record.get(name)) in values


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _date_of(record: Mapping[str, Any], name: str) -> float:
    try:
        return parse_stamp(str(record.get(name))).timestamp()
    except ValueError:
        return float("-inf")


def _stamp(text: str) -> float:
    try:
        return parse_stamp(text).timestamp()
    except ValueError as error:
        raise BadParameterError("a date must look like 2026-01-01T00:00:00+0000") from error


def _sorted(rows: Iterator[Row], collection: Collection, sort: str | None) -> Iterator[Row]:
    if sort is None:
        return rows
    name, _, direction = sort.partition(":")
    if name not in collection.sortable or direction not in {"asc", "desc"}:
        raise BadParameterError("sort must be <field>:asc or <field>:desc with a field that can be sorted by")
    is_descending = direction == "desc"
    if name == MODIFIED:
        return iter(sorted(rows, key=lambda row: row.modified, reverse=is_descending))
    return iter(sorted(rows, key=lambda row: str(row.record().get(name) or ""), reverse=is_descending))
