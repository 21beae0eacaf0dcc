"""Sheets, columns and rows of the workbook, and what editing a cell means.

A cell that may be edited is text; empty means no value. Every row has a key that stays the same as long as what it stands for is there, so that
an edited workbook finds its way back without positions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from services.transformer.workbook.layer import Layer

Cell: TypeAlias = str | int | float | None

SHOWN_CHARACTERS_MAX: Final = 1000
"""Longest text shown in a cell; cells that can be edited are never cut."""


class Refused(Exception):  # noqa: N818 - what becomes of an edit, not a failure of the program
    """An edit that cannot be made.

    Attributes:
        message: what is wrong, for the person who filled the cell.
        allowed: the values that would be taken, empty where there are too many to name.
    """

    def __init__(self, message: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.allowed = tuple(allowed)


@dataclass(frozen=True, slots=True)
class Edit:
    """How a cell is edited.

    Attributes:
        apply: writes a new value into the overrides.
        path: where it stands in the mapping, for the diff and to find the cell of a finding.
        allowed: values it takes; empty: anything that can be read.
    """

    apply: Callable[[Layer, str], None]
    path: str
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `about` says in a sentence what stands there, and what may be written."""

    name: str
    about: str = ""
    width: int = 20
    is_editable: bool = False


@dataclass(slots=True)
class Row:
    """One row: the values by column, and the edits of those that may be edited."""

    key: str
    cells: dict[str, Cell]
    edits: dict[str, Edit] = field(default_factory=dict)


@dataclass(slots=True)
class Sheet:
    """One sheet."""

    name: str
    about: str
    columns: tuple[Column, ...]
    rows: list[Row] = field(default_factory=list)

    def as_data(self) -> dict[str, Any]:
        """Answer the sheet as JSON values: cells in the order of columns, `None` for none; edits by column with what they allow."""
        return {
            "name": self.name,
            "about": self.about,
            "columns": [{"name": one.name, "about": one.about, "width": one.width, "is_editable": one.is_editable} for one in self.columns],
            "rows": [
                {
                    "key": row.key,
                    "cells": [_shown(row.cells.get(one.name), is_whole=one.name in row.edits) for one in self.columns],
                    "edits": {name: list(edit.allowed) for name, edit in row.edits.items()},
                }
                for row in self.rows
            ],
        }


def _shown(value: Cell, *, is_whole: bool) -> Cell:
    if isinstance(value, str) and not is_whole and len(value) > SHOWN_CHARACTERS_MAX:
        return f"{value[:SHOWN_CHARACTERS_MAX]}…"
    return value


def choice(value: str, allowed: Sequence[str], *, may_be_empty: bool = False) -> str:
    """Answer which of the allowed values a person wrote; letters' case and blanks around do not count.

    Raises:
        Refused: none of them.
    """
    written = value.strip().casefold()
    found = next((one for one in allowed if one.casefold() == written), None)
    if found is not None:
        return found
    if not written and may_be_empty:
        return ""
    what = "must not be empty" if not written else f"{value.strip()!r} is not allowed here"
    raise Refused(what, allowed)


def edits_of(sheets: Mapping[str, Sheet]) -> dict[tuple[str, str, str], Edit]:
    """Answer all edits by sheet, row key and column."""
    return {(sheet.name, row.key, column): edit for sheet in sheets.values() for row in sheet.rows for column, edit in row.edits.items()}
