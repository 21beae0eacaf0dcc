"""Transforms of HTML: plain text made into it, foreign HTML cleaned."""

from __future__ import annotations

import html
import re
from typing import Final

import nh3

from services.transformer.transforms.texts import text, whole_text


def html_text(value: object) -> str | None:
    """Make HTML that shows a plain text as it is: markup is escaped, line breaks stay."""
    written = text(value)
    if written is None or not _NOT_HTML_TEXT.search(written):  # most values are a word or a number
        return written
    return html.escape(written, quote=False).replace("\r\n", "\n").replace("\r", "\n").replace("\n", "<br>")


_NOT_HTML_TEXT: Final = re.compile(r"[&<>\r\n]")
_CHANGED_BY_CLEANING: Final = ("<", "&", ">", "\r", "\x00", "\xa0", "\ufeff")
"""Characters without which cleaning HTML gives back the text it was given: a test tries every character there is."""
_TAGS: Final = {
    *("a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "li", "ol", "p", "pre", "s", "span"),
    *("strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u", "ul"),
}
_URL_SCHEMES: Final = {"http", "https", "mailto", "tel"}


def html_sanitise(value: object) -> str | None:
    """Take everything out of HTML that could run or that notes do not keep: scripts, event attributes, styles, frames."""
    written = text(value)
    if written is None:
        return None
    whole = whole_text(written)
    return whole if is_bare(whole) else nh3.clean(whole, tags=_TAGS, url_schemes=_URL_SCHEMES) or None


def is_bare(whole: str) -> bool:
    """Say whether a text has no markup at all, nor a character that cleaning would write differently."""
    return not any(one in whole for one in _CHANGED_BY_CLEANING)
