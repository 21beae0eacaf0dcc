"""The rows of a workbook's first sheet as texts that say what the cells hold.

python-calamine takes the sheet into memory at once; one that unpacks to more than `SHEET_BYTES_MAX` is streamed with openpyxl, which is much slower.
Either way the shared texts of a workbook are in memory.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import zipfile
import zlib
from contextlib import closing, contextmanager
from typing import IO, TYPE_CHECKING, Any, Final
from xml.parsers.expat import ExpatError

from openpyxl import load_workbook as openpyxl_workbook
from python_calamine import CalamineError, CalamineWorkbook

from services.extractor.connectors.bundle.cells import TypedCell
from services.extractor.connectors.bundle.formulas import Formula, filled, formulas_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHEET_BYTES_MAX: Final = 256 * 1024 * 1024
"""Unpacked size of a sheet above which it is streamed: in memory it takes about twice as much, streamed about eight times as long."""
WORKBOOK_BYTES_MAX: Final = 4 * 1024**3
"""Most that a workbook may unpack to."""
WORKBOOK_RATIO_MAX: Final = 250
"""Most that a workbook may unpack to, in times of its packed size."""
_MEMORY_BYTES: Final = 32 * 1024 * 1024

UNREADABLE: Final = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)
"""What reading a file that is damaged raises."""


class BrokenTableError(Exception):
    """A table cannot be read on from a row; the message says what is wrong with it."""

    def __init__(self, message: str, row: int, option: str = "") -> None:
        super().__init__(message)
        self.row = row
        self.option = option


@contextmanager
def workbook_rows(stream: IO[bytes], path: str) -> Iterator[Iterator[Sequence[str]]]:
    """Read a workbook's first sheet. A cell's text says what the cell holds; that it was typed is kept in its class.

    Raises:
        BrokenTableError: It cannot be read.
    """
    with _seekable(stream, path) as file:
        sheet_bytes = _sheet_bytes(file)
        file.seek(0)
        formulas = _formulas(file, path)
        if sheet_bytes > SHEET_BYTES_MAX:
            with closing(openpyxl_workbook(file, read_only=True, data_only=True)) as book:
                rows = (tuple(map(_streamed_text, row)) for row in book.worksheets[0].iter_rows())
                yield filled(rows, formulas)
            return
        try:
            with CalamineWorkbook.from_filelike(file) as workbook:
                sheet = workbook.get_sheet_by_index(0)
                # Rows above the first cell with content are part of the sheet, and come; columns before it do not, and would move all heads.
                before = ("",) * (sheet.start[1] if sheet.start else 0)
                yield filled(((*before, *map(cell_text, row)) for row in sheet.iter_rows()), formulas)
        except (CalamineError, OSError) as error:
            raise BrokenTableError(f"{path} is not a workbook that can be read ({error}): save it anew, without a password", 0) from error


def workbook_formulas(stream: IO[bytes], path: str) -> Iterator[tuple[int, list[Formula]]]:
    """Yield the rows of a workbook's first sheet that have formulas, from 1.

    Raises:
        BrokenTableError: It cannot be read.
    """
    with _seekable(stream, path) as file:
        yield from _formulas(file, path)


def _formulas(file: IO[bytes], path: str) -> Iterator[tuple[int, list[Formula]]]:
    try:
        yield from formulas_of(file)
    except (ValueError, ExpatError, *UNREADABLE) as error:
        raise BrokenTableError(f"the formulas of {path} cannot be read ({error}): save it anew", 0) from error


@contextmanager
def _seekable(stream: IO[bytes], path: str) -> Iterator[IO[bytes]]:
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as file:
        try:
            shutil.copyfileobj(stream, file)
        except UNREADABLE as error:
            raise BrokenTableError(f"{path} cannot be unpacked ({type(error).__name__}): copy the bundle again", 0) from error
        file.seek(0)
        yield file


def _streamed_text(cell: Any) -> str:
    # openpyxl says what an error is; calamine leaves it empty, and so does this.
    return "" if cell.data_type == "e" else cell_text(cell.value)


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
