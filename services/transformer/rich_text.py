"""Plain text of what old programs keep as RTF or HTML in their notes."""

from __future__ import annotations

import html
import re
from typing import Final

import nh3
from striprtf.striprtf import rtf_to_text

from services.transformer.transforms.texts import text, whole_text

_RTF: Final = "{\\rtf"
_MARKUP: Final = re.compile(
    r"</?(?:html|head|body|p|br|div|span|font|b|i|u|em|strong|table|tr|td|th|ul|ol|li|h[1-6]|a|img|script|style)\b[^<>]*>", re.IGNORECASE
)
_BREAKS: Final = re.compile(r"<(?:br\s*/?|/p|/div|/tr|/li|/h[1-6])\s*>", re.IGNORECASE)
_EMPTY_LINES: Final = re.compile(r"\n{3,}")


def rich_text(value: object) -> str | None:
    """Take the formatting of RTF and HTML away: line breaks stay, scripts go. A text that is neither stays as it is, `3 < 5` included."""
    written = text(value)
    if written is None:
        return None
    if written.lstrip().startswith(_RTF):
        return _of_rtf(written.lstrip()) or None
    if not _MARKUP.search(written):
        return written
    return _of_html(written) or None


def _of_rtf(written: str) -> str:
    """Read RTF; what only looks like it stays as it is."""
    try:
        found = str(rtf_to_text(written, errors="replace"))  # type: ignore[no-untyped-call]
        # RTF writes characters beyond the first 65,536 as two halves, which belong together; a half alone gets a mark.
        return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "").strip()
    except Exception:  # noqa: BLE001 - the parser promises nothing about broken RTF, and a note must not hold a record back
        return written


def _of_html(written: str) -> str:
    first, *rest = _BREAKS.split(whole_text(written))
    broken = "\n".join([first.rstrip(), *(part.strip() for part in rest[:-1]), *(part.lstrip() for part in rest[-1:])]) if rest else first
    bare = html.unescape(nh3.clean(broken, tags=set(), clean_content_tags={"script", "style"}))
    return _EMPTY_LINES.sub("\n\n", bare).strip()
