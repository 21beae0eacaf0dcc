"""A bundle for any layout: every table with awkward rows, every file in its place. What a new bundle source is checked with from its first day."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.bundles.writer import BundleWriter
from services.extractor.connectors.bundle.layout import CellType, Column, EntityLayout, Layout, build_layout

ROWS = 7

_CELLS: Mapping[CellType, str] = {
    CellType.INTEGER: "12",
    CellType.NUMBER: "12.5",
    CellType.MONEY: "$1,250.75",
    CellType.PERCENT: "60%",
    CellType.BOOLEAN: "Yes",
    CellType.DATE: "2025-03-14",
    CellType.TIME: "2:05 PM",
    CellType.DATETIME: "2025-03-14T10:00:00+00:00",
    CellType.LIST: "",
}


def write_bundle(folder: Path, default: Mapping[str, Any], texts: tuple[str, ...], *, rows: int = ROWS, without: int = -1) -> Path:
    """Write a bundle with `rows` rows in every table; row `without` is left out of the tables that hold no files."""
    layout = build_layout([("default", default)])
    writer = BundleWriter(folder, manifest={"time_zone": "Europe/Madrid", "date_format": "d/M/yyyy"})
    for entity in layout.entities.values():
        heads = {name: column.heads[0] for name, column in entity.columns.items()}
        numbers = [number for number in range(rows) if entity.is_files or number != without]
        cells = [cells_of(entity, number, texts) for number in numbers]
        writer.table(entity.source_name, [{heads[name]: text for name, text in row.items()} for row in cells], heads=list(heads.values()))
        if entity.file is not None:
            for row, number in zip(cells, numbers, strict=True):
                writer.raw(path_of(entity, row), f"file {number}".encode())
    return writer.finish()


def ids_of(default: Mapping[str, Any], *, rows: int = ROWS) -> dict[str, set[str] | int]:
    """Answer the ids by entity; of rows without an id of their own how many there are."""
    layout: Layout = build_layout([("default", default)])
    return {
        name: {"/".join(cells_of(entity, number, ("",))[column] for column in entity.id) for number in range(rows)} if entity.id else rows
        for name, entity in layout.entities.items()
    }


def cells_of(entity: EntityLayout, number: int, texts: tuple[str, ...]) -> dict[str, str]:
    """Answer one row: ids that are unique, paths that lead to a file, and awkward texts elsewhere."""
    row = {name: _cell(column, number, texts) for name, column in entity.columns.items()}
    row |= {rule.column: "" for rule in (entity.deleted_when, entity.archived_when) if rule is not None}
    row |= {name: str(number + 1) for name in entity.id}
    rule = entity.file
    if rule is not None:
        row |= dict.fromkeys(rule.placeholders, f"{number + 1}")
        if rule.kind_column:
            row[rule.kind_column] = next(iter(rule.kinds), "Thing")
        if rule.id_column:
            row[rule.id_column] = str(number + 1)
        if rule.name:
            row[rule.name] = f"file {number}.txt"
        if rule.path:
            row[rule.path] = f"attachments/{entity.source_name.rpartition('/')[2]}/{number}.txt"
    return row


def path_of(entity: EntityLayout, row: Mapping[str, str]) -> str:
    """Answer where the file of a row lies."""
    rule = entity.file
    assert rule is not None
    return row[rule.path] if rule.path else str(rule.folder).format_map(row)


def _cell(column: Column, number: int, texts: tuple[str, ...]) -> str:
    if column.type is CellType.ID or column.refers_to:
        return str(number + 1)
    if column.type is CellType.TEXT:
        return texts[number % len(texts)]
    return _CELLS[column.type]
