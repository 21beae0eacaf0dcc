"""Writes the workbook: one sheet for each part of the mapping, cells that may be edited in colour, with lists of what they allow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.properties import PageSetupProperties

from transload.workbook.cells import ABOUT_SHEET, FORMULA_STARTS, KEY_COLUMN, LISTS_SHEET, escaped, fits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from openpyxl.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

TOO_LONG: Final = "(too long for a cell: see the mapping itself)"
_EDITABLE: Final = PatternFill("solid", fgColor="FFF4CC")
_HEADING: Final = PatternFill("solid", fgColor="1F3A5F")
_HEADING_FONT: Final = Font(bold=True, color="FFFFFF")
_QUIET: Final = Font(color="808080")
_WRAPPED: Final = Alignment(vertical="top", wrap_text=True)
_LINE_POINTS: Final = 15.0
_LINES_MAX: Final = 8
_INLINE_LIST_MAX: Final = 250
"""A list inside a cell's rule may have 255 characters; longer ones stand on a hidden sheet."""
_HOW: Final = (
    "How to fill it in",
    "Yellow cells may be edited; everything else is for reading. Many of them offer a list of what is allowed.",
    "Begin with the sheet Questions: it says what has to be decided and on which sheet.",
    "Sort and filter as you like, but keep the hidden first column (Row) and the headings, and add no rows or columns.",
    "Write values, not formulas.",
    "Then: transload mapping import-workbook FILE --dry-run shows what would change and what cannot be; without --dry-run it is stored.",
    "Nothing moves before the mapping is confirmed: transload mapping confirm",
)


def write_workbook(path: Path, workbook: Mapping[str, Any], about: Mapping[str, str]) -> None:
    """Write a workbook as the ledger describes it.

    Args:
        path: the file.
        workbook: the description.
        about: what stands on the first sheet: migration, version and digest of the mapping, time.

    Raises:
        OSError: the file cannot be written.
    """
    book = Workbook()
    first = book.active
    assert first is not None  # noqa: S101 - a new workbook has a sheet
    first.title = ABOUT_SHEET
    _write_about(first, workbook, about)
    lists = _Lists(book)
    for sheet in workbook["sheets"]:
        _write_sheet(book.create_sheet(sheet["name"]), sheet, lists)
    lists.close()
    book.save(path)


def _write_about(sheet: Worksheet, workbook: Mapping[str, Any], about: Mapping[str, str]) -> None:
    put(sheet.cell(1, 1), workbook.get("title") or "Mapping workbook").font = Font(bold=True, size=14)
    row = 3
    for name, value in about.items():
        put(sheet.cell(row, 1), name).font = _QUIET
        put(sheet.cell(row, 2), value)
        row += 1
    row += 1
    put(sheet.cell(row, 1), _HOW[0]).font = Font(bold=True)
    for line in _HOW[1:]:
        row += 1
        put(sheet.cell(row, 1), line).alignment = Alignment(wrap_text=False)
    row += 2
    put(sheet.cell(row, 1), "Sheets").font = Font(bold=True)
    for one in workbook["sheets"]:
        row += 1
        link = put(sheet.cell(row, 1), one["name"])
        link.hyperlink = f"#'{one['name']}'!A1"
        put(sheet.cell(row, 2), f"{one['about']} {len(one['rows']):,} rows.")
    sheet.column_dimensions["A"].width = 24
    sheet.column_dimensions["B"].width = 90
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)


def _write_sheet(sheet: Worksheet, content: Mapping[str, Any], lists: _Lists) -> None:
    columns = content["columns"]
    for position, (name, about, width) in enumerate(
        [(KEY_COLUMN, "Keeps the row's place. Leave it as it is.", 6), *((one["name"], one["about"], one["width"]) for one in columns)], start=1
    ):
        cell = put(sheet.cell(1, position), name)
        cell.fill, cell.font, cell.alignment = _HEADING, _HEADING_FONT, _WRAPPED
        if about:
            cell.comment = Comment(about, "Transload")
        sheet.column_dimensions[get_column_letter(position)].width = width
    # The keys are for the import; a person need not see them.
    sheet.column_dimensions["A"].hidden = True
    editable = {one["name"] for one in columns if one["is_editable"]}
    for number, row in enumerate(content["rows"], start=2):
        put(sheet.cell(number, 1), row["key"]).font = _QUIET
        for position, (column, value) in enumerate(zip(columns, row["cells"], strict=True), start=2):
            name = column["name"]
            may_edit = name in row["edits"] and name in editable and fits(value)
            cell = put(sheet.cell(number, position), value if fits(value) else TOO_LONG, is_text=may_edit)
            cell.alignment = _WRAPPED
            if may_edit:
                cell.fill = _EDITABLE
                lists.offer(sheet, cell, row["edits"][name])
        sheet.row_dimensions[number].height = _height(columns, row["cells"])
    sheet.freeze_panes = "B2"
    if content["rows"]:
        sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns) + 1)}{len(content['rows']) + 1}"
    # Printed on paper: landscape, as wide as the page, headings on each.
    sheet.page_setup.orientation = "landscape"
    sheet.page_setup.fitToHeight = 0
    sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    sheet.print_title_rows = "1:1"


def _height(columns: Sequence[Mapping[str, Any]], cells: Sequence[Any]) -> float:
    """Answer a height in points that shows the wrapped texts of a row; spreadsheets differ in whether they find it themselves."""
    lines = 1
    for column, value in zip(columns, cells, strict=True):
        if isinstance(value, str):
            lines = max(lines, sum(1 + len(line) // max(1, int(column["width"] * 1.1)) for line in value.split("\n")))
    return _LINE_POINTS * min(lines, _LINES_MAX)


def put(cell: Cell | Any, value: Any, *, is_text: bool = False) -> Cell | Any:
    """Write a value. A text is never a formula, whatever it begins with, and stays a text when a person edits the cell."""
    if value is None:
        if is_text:
            cell.number_format = "@"
        return cell
    if not isinstance(value, str):
        cell.value = value
        return cell
    written = escaped(value)
    cell.value = written or None
    if written:
        cell.data_type = "s"
    if is_text or value.startswith(FORMULA_STARTS):
        cell.number_format = "@"
        cell.quotePrefix = value.startswith(FORMULA_STARTS)
    return cell


class _Lists:
    """Lists of allowed values: short ones in the rule itself, long ones on a hidden sheet."""

    def __init__(self, book: Workbook) -> None:
        self._book = book
        self._sheet: Worksheet | None = None
        self._known: dict[tuple[str, ...], str] = {}
        self._rules: dict[tuple[str, tuple[str, ...]], DataValidation] = {}

    def offer(self, sheet: Worksheet, cell: Cell, allowed: Sequence[str]) -> None:
        """Offer a list in a cell; another value is refused by the import, not by the spreadsheet, which would not say why."""
        values = tuple(value for value in allowed if value and fits(value))
        if not values:
            return
        rule = self._rules.get((sheet.title, values))
        if rule is None:
            rule = DataValidation(type="list", formula1=self._formula(values), allow_blank=True, showErrorMessage=False)
            self._rules[sheet.title, values] = rule
            sheet.add_data_validation(rule)
        rule.add(cell)

    def _formula(self, values: tuple[str, ...]) -> str:
        inline = ",".join(values)
        if len(inline) <= _INLINE_LIST_MAX and not any(set(value) & set(",\"'\n\r") or escaped(value) != value for value in values):
            return f'"{inline}"'
        if values not in self._known:
            if self._sheet is None:
                self._sheet = self._book.create_sheet(LISTS_SHEET)
            column = len(self._known) + 1
            for number, value in enumerate(values, start=1):
                put(self._sheet.cell(number, column), value, is_text=True)
            letter = get_column_letter(column)
            self._known[values] = f"'{LISTS_SHEET}'!${letter}$1:${letter}${len(values)}"
        return self._known[values]

    def close(self) -> None:
        """Hide the sheet with the lists."""
        if self._sheet is not None:
            self._sheet.sheet_state = "hidden"
