"""Notes for people: HTML from headings, facts, tables and texts. Every text is escaped, so that it shows as it was written (X-08)."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import nh3

from services.transformer.transforms import html_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TEXT_PIECE_CHARACTERS: Final = 8_000


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
    pieces = tuple(f"<li><b>{html.escape(label, quote=False)}:</b> {html_text(value)}</li>" for label, value in pairs)
    return Fragment(pieces, opening=f"{_titled(title)}<ul>", closing="</ul>")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Fragment | None:
    """A table; None without rows."""
    pieces = tuple("<tr>" + "".join(f"<td>{html_text(cell) or ''}</td>" for cell in row) + "</tr>" for row in rows)
    if not pieces:
        return None
    head = "".join(f"<th>{html.escape(column, quote=False)}</th>" for column in columns)
    return Fragment(pieces, opening=f"{_titled(title)}<table><thead><tr>{head}</tr></thead><tbody>", closing="</tbody></table>")


def paragraph(text: str, title: str = "") -> Fragment:
    """A text with its line breaks."""
    cuts = range(0, len(text), _TEXT_PIECE_CHARACTERS)
    return Fragment(tuple(html_text(text[cut : cut + _TEXT_PIECE_CHARACTERS]) or "" for cut in cuts), opening=f"{_titled(title)}<p>", closing="</p>")


def _titled(title: str) -> str:
    return f"<h4>{html.escape(title, quote=False)}</h4>" if title else ""


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
    return [nh3.clean(one) for one in packed]


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
