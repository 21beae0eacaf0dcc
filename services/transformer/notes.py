"""Notes for people: HTML from headings, facts, tables and texts. Every text is escaped, so that it shows as it was written (X-08)."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import nh3

from services.transformer.transforms.markup import html_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TEXT_PIECE_CHARACTERS: Final = 8_000
_WORDS_KEPT: Final = 1024
"""Labels, titles and heads of tables remembered as HTML: those of the mapping, and the names of the properties a tenant added."""
_OWN_TAGS: Final = (
    *(f"<{end}{name}>" for name in ("li", "b", "td", "tr", "h3", "h4", "ul", "p", "th", "table", "tbody", "thead") for end in ("", "/")),
    "<br>",
)
_OWN_ENTITIES: Final = ("&amp;", "&lt;", "&gt;")
_WRITTEN_DIFFERENTLY: Final = ("\r", "\x00", "\xa0", "\ufeff")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a note: pieces that may be spread over several notes, each time between the same opening and closing."""

    pieces: tuple[str, ...]
    opening: str = ""
    closing: str = ""


def heading(text: str) -> Fragment:
    """A heading."""
    return Fragment((f"<h3>{html.escape(text, quote=False)}</h3>",))


def facts(pairs: Sequence[tuple[str, str]], title: str = "") -> Fragment | None:
    """A list of labels and values; None without any."""
    if not pairs:
        return None
    pieces = tuple(f"{_fact(label)}{html_text(value)}</li>" for label, value in pairs)
    return Fragment(pieces, opening=f"{_titled(title)}<ul>", closing="</ul>")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Fragment | None:
    """A table; None without rows."""
    pieces = tuple("<tr>" + "".join(f"<td>{html_text(cell) or ''}</td>" for cell in row) + "</tr>" for row in rows)
    if not pieces:
        return None
    return Fragment(pieces, opening=_titled(title) + _table_head(tuple(columns)), closing="</tbody></table>")


def paragraph(text: str, title: str = "") -> Fragment:
    """A text with its line breaks."""
    cuts = range(0, len(text), _TEXT_PIECE_CHARACTERS)
    return Fragment(tuple(html_text(text[cut : cut + _TEXT_PIECE_CHARACTERS]) or "" for cut in cuts), opening=f"{_titled(title)}<p>", closing="</p>")


@lru_cache(maxsize=_WORDS_KEPT)
def _titled(title: str) -> str:
    return f"<h4>{html.escape(title, quote=False)}</h4>" if title else ""


@lru_cache(maxsize=_WORDS_KEPT)
def _fact(label: str) -> str:
    return f"<li><b>{html.escape(label, quote=False)}:</b> "


@lru_cache(maxsize=_WORDS_KEPT)
def _table_head(columns: tuple[str, ...]) -> str:
    return f"<table><thead><tr>{''.join(f'<th>{html.escape(column, quote=False)}</th>' for column in columns)}</tr></thead><tbody>"


def pack(fragments: Iterable[Fragment], bytes_max: int) -> list[str]:
    """Fill notes of at most `bytes_max` bytes in order; what does not fit goes on in the next one. Sanitised; empty without fragments."""
    packed: list[str] = []
    current: list[str] = []
    size = 0
    for fragment in fragments:
        frame = _size(fragment.opening) + _size(fragment.closing)
        is_open = False
        for piece in fragment.pieces:
            needed = _size(piece) + (0 if is_open else frame)
            if current and size + needed > bytes_max:
                if is_open:
                    current.append(fragment.closing)
                packed.append("".join(current))
                current, size, is_open = [], 0, False
                needed = _size(piece) + frame
            if not is_open:
                current.append(fragment.opening)
                is_open = True
            current.append(piece)
            size += needed
        if is_open:
            current.append(fragment.closing)
    if current:
        packed.append("".join(current))
    return [one if is_clean(one) else nh3.clean(one) for one in packed]


def is_clean(written: str) -> bool:
    """Say whether cleaning would give HTML made of fragments back as it is.

    That is so when all its markup is that of fragments, which has no attributes and is always closed, and no character is one that cleaning writes
    differently. Looking for that is much faster than cleaning.
    """
    if any(one in written for one in _WRITTEN_DIFFERENTLY) or not is_encodable(written):
        return False
    tags = written.count("<")
    if tags != written.count(">"):
        return False
    for tag in _OWN_TAGS:
        if tags == 0:
            break
        tags -= written.count(tag)
    return tags == 0 and written.count("&") == sum(written.count(entity) for entity in _OWN_ENTITIES)


def is_encodable(written: str) -> bool:
    """Say whether a text can be written as UTF-8, which one with halves of characters cannot."""
    if written.isascii():
        return True
    try:
        written.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
