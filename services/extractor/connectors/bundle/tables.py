"""The rows of a table, whatever it is written in: text with delimiters, which is streamed, or a workbook's first sheet."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal

from services.extractor.connectors.bundle.locate import WORKBOOK_SUFFIXES
from services.extractor.connectors.bundle.text import lines_of, open_text
from services.extractor.connectors.bundle.workbooks import UNREADABLE, BrokenTableError, workbook_formulas, workbook_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.extractor.connectors.bundle.container import Container
    from services.extractor.connectors.bundle.formulas import Formula
    from services.extractor.connectors.bundle.profile import PartFacts

CELL_CHARACTERS_MAX: Final = 16 * 1024 * 1024
"""Longest cell; what is longer comes of a quotation mark that is never closed."""
BROKEN: Final = (csv.Error, UnicodeError, *UNREADABLE)
"""What reading the rows of a table raises; `as_broken` says it for people."""

csv.field_size_limit(CELL_CHARACTERS_MAX)


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


def read_formulas(container: Container, part: PartFacts) -> Iterator[tuple[int, list[Formula]]]:
    """Yield the rows of a table that have calculated cells, from 1; text has none, whatever its cells begin with.

    Raises:
        BrokenTableError: The workbook cannot be read.
    """
    if part.text is None:
        with container.open(part.path) as stream:
            yield from workbook_formulas(stream, part.path)


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
