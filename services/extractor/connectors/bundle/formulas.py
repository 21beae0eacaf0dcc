"""Formulas in the cells of a workbook's first sheet: where they stand, what they say, and whether the program that wrote them stored a result.

A formula is never calculated. What its program stored as the result is the cell's value; where nothing is stored the formula itself is, as text.
The old binary formats always store a result. Sheets are streamed.
"""

from __future__ import annotations

import enum
import itertools
import posixpath
import re
import zipfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final
from xml.parsers.expat import ParserCreate

from openpyxl.formula.translate import Translator
from openpyxl.utils.cell import column_index_from_string, get_column_letter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from xml.parsers.expat import XMLParserType

WORKBOOK_PART: Final = "xl/workbook.xml"
_RELATIONS_PART: Final = "xl/_rels/workbook.xml.rels"
_CHUNK_BYTES: Final = 1024 * 1024
_FORMULA: Final = re.compile(rb"<(?:\w+:)?f[\s/>]")
_TAG_BYTES_MAX: Final = 64
"""A tag that is cut in two by the end of a chunk is found in the next one, which begins with so much of the last."""
_REFERENCE: Final = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")
_ROWS_MAX: Final = 1_048_576
_STORED_TEXT: Final = frozenset({"str", "inlineStr"})
"""Types of cells whose stored result may be empty."""


class Result(enum.Enum):
    """What is stored beside a formula."""

    VALUE = "value"
    NOTHING = "nothing"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Formula:
    """One cell that is calculated."""

    place: int
    """Of the column, from 0."""
    text: str
    """With the equals sign in front; empty where another cell says it and a result is stored."""
    result: Result


def formulas_of(file: IO[bytes]) -> Iterator[tuple[int, list[Formula]]]:
    """Yield the rows of a workbook's first sheet that have formulas, from 1, in order; nothing for what is no XLSX or XLSM.

    Raises:
        ValueError: The XML cannot be read.
        zipfile.BadZipFile: The workbook is damaged.
    """
    file.seek(0)
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        part = _first_sheet(archive)
        if part and _has_formulas(archive, part):
            with archive.open(part) as stream:
                yield from _Sheet().rows(stream)


def filled(rows: Iterable[Sequence[str]], formulas: Iterator[tuple[int, list[Formula]]]) -> Iterator[Sequence[str]]:
    """Put the text of formulas without a result into the rows of their sheet, from its first one on; empty rows come where only formulas stand."""
    number = 0
    row, found = next(formulas, (0, []))
    for number, cells in enumerate(rows, start=1):
        if number != row:
            yield cells
            continue
        yield _with_texts(cells, found)
        row, found = next(formulas, (0, []))
    while row:
        yield from itertools.repeat((), row - number - 1)
        yield _with_texts((), found)
        number = row
        row, found = next(formulas, (0, []))


def _with_texts(cells: Sequence[str], found: Sequence[Formula]) -> Sequence[str]:
    texts = {one.place: one.text for one in found if one.result is Result.NOTHING}
    if not texts:
        return cells
    result = [*cells, *itertools.repeat("", max(texts) + 1 - len(cells))]
    for place, text in texts.items():
        result[place] = text
    return tuple(result)


def _has_formulas(archive: zipfile.ZipFile, part: str) -> bool:
    with archive.open(part) as stream:
        rest = b""
        while chunk := stream.read(_CHUNK_BYTES):
            if _FORMULA.search(rest + chunk):
                return True
            rest = chunk[-_TAG_BYTES_MAX:]
    return False


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """Answer the part that holds the first sheet; empty where there is none."""
    names = {name.lower(): name for name in archive.namelist()}
    if WORKBOOK_PART not in names or _RELATIONS_PART not in names:
        return ""
    sheets = [one for tag, one in _tags(archive, names[WORKBOOK_PART]) if tag == "sheet"]
    relation = next((value for name, value in sheets[0].items() if _plain(name) == "id"), "") if sheets else ""
    relations = [one for tag, one in _tags(archive, names[_RELATIONS_PART]) if tag == "Relationship"]
    target = next((one.get("Target", "") for one in relations if one.get("Id") == relation), "")
    return names.get(posixpath.normpath(posixpath.join("/xl", target)).lstrip("/").lower(), "") if target else ""


def _tags(archive: zipfile.ZipFile, part: str) -> list[tuple[str, Mapping[str, str]]]:
    found: list[tuple[str, Mapping[str, str]]] = []
    parser = _parser()
    parser.StartElementHandler = lambda name, attributes: found.append((_plain(name), attributes))
    with archive.open(part) as stream:
        parser.ParseFile(stream)
    return found


def _parser() -> XMLParserType:
    """Make a parser that refuses what could grow without end: no workbook has a document type."""
    parser = ParserCreate()
    parser.buffer_text = True

    def refuse(*_: object) -> None:
        raise ValueError("the workbook's XML declares a document type")

    parser.StartDoctypeDeclHandler = refuse
    return parser


def _plain(name: str) -> str:
    return name.rpartition(":")[2]


@dataclass(slots=True)
class _Cell:
    place: int
    type: str
    has_formula: bool = False
    has_value: bool = False
    group: str = ""
    """Of a formula that several cells share: its number."""
    formula: list[str] = field(default_factory=list)
    value: list[str] = field(default_factory=list)

    @property
    def result(self) -> Result:
        """What is stored."""
        if self.type == "e":
            return Result.ERROR
        is_stored = self.has_value and (self.type in _STORED_TEXT or "".join(self.value).strip())
        return Result.VALUE if is_stored else Result.NOTHING


class _Sheet:
    """Takes a sheet's XML and keeps its formulas until they are asked for."""

    def __init__(self) -> None:
        self._row = 0
        self._place = -1
        self._cell: _Cell | None = None
        self._text: list[str] | None = None
        self._shared: dict[str, tuple[str, str]] = {}
        """Formula and cell it stands in, by its number."""
        self._row_formulas: list[Formula] = []
        self._done: list[tuple[int, list[Formula]]] = []

    def rows(self, stream: IO[bytes]) -> Iterator[tuple[int, list[Formula]]]:
        """Yield rows as soon as they are read."""
        parser = _parser()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take
        while chunk := stream.read(_CHUNK_BYTES):
            parser.Parse(chunk)
            yield from self._done
            self._done = []
        parser.Parse(b"", True)  # noqa: FBT003 - the library takes no name
        yield from self._done

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag = _plain(name)
        if tag == "row":
            row = int(attributes.get("r", self._row + 1))
            if not self._row < row <= _ROWS_MAX:
                raise ValueError(f"row {row} stands after row {self._row}")
            self._row, self._place, self._row_formulas = row, -1, []
        elif tag == "c":
            self._place = _place(attributes["r"]) if "r" in attributes else self._place + 1
            self._cell = _Cell(self._place, attributes.get("t", ""))
        elif self._cell is not None and tag == "f":
            self._cell.has_formula = True
            self._cell.group = attributes.get("si", "") if attributes.get("t") == "shared" else ""
            self._text = self._cell.formula
        elif self._cell is not None and tag in {"v", "is"}:
            self._cell.has_value = True
            self._text = self._cell.value

    def _end(self, name: str) -> None:
        tag = _plain(name)
        if tag == "row" and self._row_formulas:
            self._done.append((self._row, self._row_formulas))
        elif tag == "c" and self._cell is not None:
            if self._cell.has_formula:
                self._row_formulas.append(self._formula(self._cell))
            self._cell = None
        elif tag in {"f", "v", "is"}:
            self._text = None

    def _take(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _formula(self, cell: _Cell) -> Formula:
        text, result = "".join(cell.formula).strip(), cell.result
        if cell.group and text:
            self._shared[cell.group] = (text, _name(cell.place, self._row))
        elif cell.group in self._shared and result is Result.NOTHING:
            shared, origin = self._shared[cell.group]
            return Formula(cell.place, _moved(f"={shared}", origin, _name(cell.place, self._row)), result)
        # A formula without words is kept as the sign that one is there: the cell is not empty.
        return Formula(cell.place, f"={text}" if text or result is Result.NOTHING else "", result)


def _moved(formula: str, origin: str, target: str) -> str:
    """Answer a shared formula as it is meant in another cell; as it is written where it cannot be taken apart."""
    try:
        return str(Translator(formula, origin=origin).translate_formula(target))
    except (ValueError, LookupError, TypeError):
        return formula


def _place(reference: str) -> int:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise ValueError(f"{reference[:20]!r} is no cell")
    return column_index_from_string(match[1]) - 1


def _name(place: int, row: int) -> str:
    return f"{get_column_letter(place + 1)}{row}"
