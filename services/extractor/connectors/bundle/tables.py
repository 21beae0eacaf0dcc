"""The rows of a table, whatever it is written in: text with delimiters, or a workbook's first sheet.

Text is streamed. Of a workbook python-calamine takes the first sheet into memory at once; above `SHEET_BYTES_MAX` it is streamed with openpyxl,
which is much slower. Either way the shared texts of a workbook are in memory.
"""

from __future__ import annotations

import csv
import datetime as dt
import shutil
import tempfile
import zipfile
import zlib
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, Any, Final, Literal

from openpyxl import load_workbook as openpyxl_workbook
from python_calamine import CalamineError, CalamineWorkbook

from services.extractor.connectors.bundle.cells import TypedCell
from services.extractor.connectors.bundle.locate import WORKBOOK_SUFFIXES
from services.extractor.connectors.bundle.text import lines_of, open_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.extractor.connectors.bundle.container import Container
    from services.extractor.connectors.bundle.profile import PartFacts

CELL_CHARACTERS_MAX: Final = 16 * 1024 * 1024
"""Longest cell; what is longer comes of a quotation mark that is never closed."""
SHEET_BYTES_MAX: Final = 256 * 1024 * 1024
"""Unpacked size of a sheet above which it is streamed."""
WORKBOOK_BYTES_MAX: Final = 4 * 1024**3
"""Most that a workbook may unpack to."""
WORKBOOK_RATIO_MAX: Final = 250
"""Most that a workbook may unpack to, in times of its packed size."""
_MEMORY_BYTES: Final = 32 * 1024 * 1024

UNREADABLE: Final = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What reading a file that is damaged raises."""
BROKEN: Final = (csv.Error, UnicodeError, *UNREADABLE)
"""What reading the rows of a table raises; `as_broken` says it for people."""

csv.field_size_limit(CELL_CHARACTERS_MAX)


class BrokenTableError(Exception):
    """A table cannot be read on from a row; the message says what is wrong with it."""

    def __init__(self, message: str, row: int, option: str = "") -> None:
        super().__init__(message)
        self.row = row
        self.option = option


def is_workbook(path: str) -> bool:
    """Say whether a file is one of a spreadsheet program."""
    return path.lower().endswith(tuple(WORKBOOK_SUFFIXES))


@contextmanager
def open_rows(container: Container, part: PartFacts) -> Iterator[Iterator[Sequence[str]]]:
    """Open a file of a table as rows of cells, the heads first; empty lines come as empty rows.

    The iterator raises `BROKEN` at a row that cannot be read.
    """
    with container.open(part.path) as stream:
        if part.text is None:
            with workbook_rows(stream, part.path) as rows:
                yield rows
            return
        with open_text(stream, part.text) as text:
            yield text_rows(lines_of(text, part.text), part)


def text_rows(lines: Iterator[str], part: PartFacts) -> Iterator[Sequence[str]]:
    """Split lines into rows of cells."""
    quoting: Literal[0, 3] = csv.QUOTE_NONE if part.quotes == "none" else csv.QUOTE_MINIMAL
    return csv.reader(lines, delimiter=part.delimiter, strict=part.quotes == "strict", quoting=quoting)


def as_broken(error: Exception, row: int) -> BrokenTableError:
    """Answer why a table cannot be read on after a row."""
    if isinstance(error, csv.Error):
        return BrokenTableError(f"quotation marks do not fit together after row {row} ({error})", row + 1, "quotes")
    if isinstance(error, UnicodeError):
        problem = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        return BrokenTableError(f"bytes after row {row} are none of the encoding ({problem})", row + 1, "encoding")
    return BrokenTableError(f"the file breaks off after row {row} ({type(error).__name__}): copy the bundle again", row + 1)


@contextmanager
def workbook_rows(stream: IO[bytes], path: str) -> Iterator[Iterator[Sequence[str]]]:
    """Read a workbook's first sheet. A cell's text says what the cell holds; that it was typed is kept in its class."""
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as seekable:
        try:
            shutil.copyfileobj(stream, seekable)
        except UNREADABLE as error:
            raise BrokenTableError(f"{path} cannot be unpacked ({type(error).__name__}): copy the bundle again", 0) from error
        seekable.seek(0)
        sheet_bytes = _sheet_bytes(seekable)
        seekable.seek(0)
        if sheet_bytes > SHEET_BYTES_MAX:
            with closing(openpyxl_workbook(seekable, read_only=True, data_only=True)) as book:
                yield (tuple(cell_text(cell) for cell in row) for row in book.worksheets[0].iter_rows(values_only=True))
            return
        try:
            with CalamineWorkbook.from_filelike(seekable) as workbook:
                sheet = workbook.get_sheet_by_index(0)
                # Rows above the first cell with content are part of the sheet, and count.
                yield (tuple(map(cell_text, row)) for row in sheet.to_python(skip_empty_area=False))
        except (CalamineError, OSError) as error:
            raise BrokenTableError(f"{path} is not a workbook that can be read ({error}): save it anew, without a password", 0) from error


def _sheet_bytes(file: IO[bytes]) -> int:
    """Answer the unpacked size of a workbook's largest part, and refuse one that is a bomb; 0 for the old format, which is not packed."""
    if not zipfile.is_zipfile(file):
        return 0
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
    packed = sum(info.compress_size for info in infos)
    unpacked = sum(info.file_size for info in infos)
    if unpacked > WORKBOOK_BYTES_MAX or (unpacked > _MEMORY_BYTES and unpacked > WORKBOOK_RATIO_MAX * max(1, packed)):
        raise BrokenTableError(f"the workbook would unpack to {unpacked:,} bytes from {packed:,}: deliver the table as CSV", 0)
    return max((info.file_size for info in infos if "worksheets/" in info.filename), default=0)


def cell_text(value: Any) -> str:
    """Answer a workbook's cell as text: whole numbers without a fraction, dates and times in ISO form. Errors and empty cells are empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return TypedCell("TRUE" if value else "FALSE")
    if isinstance(value, float):
        return TypedCell(str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value))  # noqa: PLR2004 - exact digits
    if isinstance(value, dt.datetime):
        moment = value.replace(microsecond=0)
        return TypedCell(moment.date().isoformat() if moment.time() == dt.time() else moment.isoformat())
    if isinstance(value, dt.date | dt.time):
        return TypedCell(value.isoformat())
    if isinstance(value, dt.timedelta):
        seconds = round(value.total_seconds())
        return TypedCell(f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}")
    return TypedCell(value)
