"""Texts in cells of an XLSX file: any text goes in and comes out as it was, and none is ever a formula."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any, Final

CELL_CHARACTERS_MAX: Final = 32_000
"""A cell takes 32,767 characters; escapes make a text longer."""
KEY_COLUMN: Final = "Row"
"""Heading of the first column, which holds the keys of rows."""
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A text that begins so is a formula to some spreadsheet; the last four are the wide signs of East Asian keyboards."""
LISTS_SHEET: Final = "_lists"
ABOUT_SHEET: Final = "Read me"

# What XML cannot hold, line ends that XML would change, and what already looks like an escape (ECMA-376, 22.4.2.4).
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
_ESCAPED: Final = re.compile("_x([0-9A-Fa-f]{4})_")


def escaped(text: str) -> str:
    """Write what a cell cannot hold as `_xHHHH_`, which spreadsheets show as the character itself."""
    return _UNSAFE.sub(lambda found: f"_x{ord(found.group()):04X}_", text)


def unescaped(text: str) -> str:
    """Take `_xHHHH_` back."""
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


def text_of(value: Any) -> str:
    """Answer what stands in a cell as text: a number as people write it, a day as `2026-03-02`, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return unescaped(value) if isinstance(value, str) else str(value)


def fits(value: Any) -> bool:
    """Say whether a value has room in a cell."""
    return not isinstance(value, str) or len(escaped(value)) <= CELL_CHARACTERS_MAX


def same(left: str, right: str) -> bool:
    """Compare two texts of cells; spreadsheets write line ends in their own way."""
    return left == right or left.replace("\r\n", "\n").replace("\r", "\n") == right.replace("\r\n", "\n").replace("\r", "\n")
