"""Rows to records: the cells of a row as the values of its columns."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.extractor.connectors.bundle import cells as reading
from services.extractor.connectors.bundle.dates import DateReader, zone_of
from services.extractor.connectors.bundle.layout import OTHER_COLUMNS, PROPERTIES, CellType
from services.extractor.connectors.bundle.own_columns.proved import own_reader
from services.extractor.connectors.bundle.own_columns.typed import extended, own_label, with_own
from services.extractor.connectors.bundle.profile import ColumnFacts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from services.extractor.connectors.bundle.heads import Heads
    from services.extractor.connectors.bundle.layout import Column, EntityLayout, Formats, RowCondition
    from services.extractor.connectors.bundle.profile import TableFacts

BEYOND: Final = "cells beyond the heads"
CURRENCY: Final = "currency"
_NOTHING: Final[tuple[object, ...]] = ("", [])


class RowReader:
    """Makes the data of rows of one file of a table."""

    def __init__(self, layout: EntityLayout, heads: Heads, facts: TableFacts, *, formats: Formats, zone: ZoneInfo | None, currency: str) -> None:
        types = {one.label: one.type for one in facts.own_types}
        layout, heads = extended(layout, types), with_own(heads, types)
        self._dates: list[DateReader] = []
        self._own: list[tuple[int, str, Callable[[str], Any]]] = []
        """Typed columns of the tenant's own fields."""
        self._zoned: list[tuple[int, str, int, DateReader]] = []
        self._plan: list[tuple[int, str, Callable[[str], Any] | None]] = []
        for name, place in heads.known.items():
            column = layout.columns[name]
            column_facts = facts.columns.get(name) or ColumnFacts()
            reader = self._reader(column, column_facts, formats, zone)
            if label := own_label(name):
                self._own.append((place, label, reader or str))
            elif column.type is CellType.DATETIME and column.zone_column and column.zone_column in heads.known:
                self._zoned.append((place, name, heads.known[column.zone_column], self._dates[-1]))
            else:
                self._plan.append((place, name, reader))
        readers = {name: own_reader(one, formats, zone) for name, one in facts.own.items()}
        self._properties = tuple((label, place, readers.get(f"{PROPERTIES}.{label}", str)) for label, place in heads.properties.items())
        self._others = tuple((head, place, readers.get(f"{OTHER_COLUMNS}.{head}", str)) for head, place in heads.others.items())
        self._width = heads.width
        self._ids = tuple(heads.known.get(name, -1) for name in layout.id) if not facts.uses_row_ids else ()
        has_money = any(layout.columns[name].type is CellType.MONEY for name in heads.known)
        self._currency = currency if has_money else ""

    @property
    def moved_count(self) -> int:
        """Times that a change of the clocks leaves out or repeats."""
        return sum(one.moved_count for one in self._dates)

    def data(self, row: Sequence[str]) -> dict[str, Any]:
        """Answer a row's values; what is empty is not there."""
        values: dict[str, Any] = {}
        width = len(row)
        for place, name, read in self._plan:
            if place >= width:
                continue
            cell = row[place]
            if not (text := cell.strip()):
                continue
            if read is None:
                values[name] = text
                continue
            # A typed cell of a workbook has no blanks around it, and must keep its class.
            value = read(cell if cell == text else text)
            if value not in _NOTHING:
                values[name] = value
        for place, name, zone_place, dates in self._zoned:
            if place < width and (text := row[place].strip()):
                zone = zone_of(row[zone_place]) if zone_place < width and row[zone_place].strip() else None
                if value := dates.read_moment(row[place] if row[place] == text else text, zone):
                    values[name] = str(value)
        if own := self._own_values(row):
            values[PROPERTIES] = own
        others = self._texts(row, self._others) if self._others else {}
        if width > self._width and (beyond := [cell.strip() for cell in row[self._width :] if cell.strip()]):
            others[BEYOND] = " | ".join(beyond)
        if others:
            values[OTHER_COLUMNS] = others
        if self._currency and CURRENCY not in values:
            values[CURRENCY] = self._currency
        return values

    def _own_values(self, row: Sequence[str]) -> dict[str, Any]:
        own: dict[str, Any] = dict(self._texts(row, self._properties)) if self._properties else {}
        for place, label, read in self._own:
            if place < len(row) and (text := row[place].strip()) and (value := read(row[place] if row[place] == text else text)) not in _NOTHING:
                own[label] = value
        return own

    def source_id(self, row: Sequence[str]) -> str:
        """Answer the id its cells make; empty where it has none: the row is then known by what it holds."""
        width = len(row)
        if len(self._ids) == 1:
            place = self._ids[0]
            return row[place].strip() if 0 <= place < width else ""
        parts = [row[place].strip() if 0 <= place < width else "" for place in self._ids]
        return "/".join(parts) if all(parts) else ""

    @staticmethod
    def _texts(row: Sequence[str], places: Sequence[tuple[str, int, Callable[[str], Any]]]) -> dict[str, Any]:
        width = len(row)
        found = {label: read(text) for label, place, read in places if place < width and (text := row[place].strip())}
        return {label: str(value) if isinstance(value, str) else value for label, value in found.items() if value not in _NOTHING}

    def _reader(self, column: Column, facts: ColumnFacts, formats: Formats, zone: ZoneInfo | None) -> Callable[[str], Any] | None:
        match column.type:
            case CellType.TEXT | CellType.ID:
                return None
            case CellType.INTEGER:
                return reading.integer_reader(facts.decimal)
            case CellType.NUMBER | CellType.MONEY:
                return reading.number_reader(facts.decimal)
            case CellType.PERCENT:
                return reading.percent_reader(facts.decimal, is_share=facts.is_share)
            case CellType.BOOLEAN:
                return reading.read_boolean
            case CellType.TIME:
                return reading.read_time
            case CellType.LIST:
                return reading.list_reader(column.separator)
            case _:
                dates = DateReader(facts.date_order, window=formats.two_digit_years, empty=frozenset(formats.empty_dates), zone=zone)
                self._dates.append(dates)
                return dates.read_date if column.type is CellType.DATE else dates.read_moment


def holds(condition: RowCondition | None, data: Mapping[str, Any]) -> bool:
    """Say whether a row's value is one of those named."""
    return condition is not None and _word(data.get(condition.column)) in {_word(value) for value in condition.one_of}


def _word(value: Any) -> str:
    return str(value).strip().casefold()


def row_id(data: Mapping[str, Any]) -> str:
    """Answer an id for a row that has none of its own: the same for the same content."""
    return f"row-{content_hash(data)}"


def content_hash(data: Mapping[str, Any]) -> str:
    """Answer what changes when anything in a row does."""
    return hashlib.blake2b(orjson.dumps(data, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
