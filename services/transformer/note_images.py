r"""Images inside notes: each `<img>` whose file moves gets the address the file has in Pipedrive.

That address is known only when the file is there, so the note is made after the files, and its text holds references in place of addresses until the
loader knows them: `{"$text": ["<img src=\"https://.../files/", {"$ref": "file:..."}, "/download\">"]}`. That Pipedrive shows a file under this
address inside a note is assumed; the file itself hangs on the note's record in any case.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from services.transformer.paths import follow
from services.transformer.snapshot.envelope import Envelope
from services.transformer.transforms.texts import text
from transload.v1 import records_pb2

if TYPE_CHECKING:
    from services.transformer.context import Context
    from services.transformer.links import Links
    from services.transformer.mapping.rules import ImageRule

_IMAGE: Final = re.compile(r"(<img\b[^>]*?\bsrc\s*=\s*)([\"'])(.*?)\2", re.IGNORECASE | re.DOTALL)
_PLACE: Final = "https://image.invalid/"
_PLACED: Final = re.compile(re.escape(_PLACE) + r"([^\"'<>\s]+)")


def place_images(written: Any, rule: ImageRule, links: Links, context: Context) -> str | None:
    """Put a mark in place of each image's address whose file is there. The n-th image is the file whose record says so."""
    body = text(written)
    found = follow(links, rule.of, context.envelope, context)
    files = {one.data.get(rule.number): one for one in found if isinstance(one, Envelope) and not (one.data.get("file") or {}).get("problem")}
    if body is None or not files:
        return body
    number = 0

    def mark(match: re.Match[str]) -> str:
        nonlocal number
        number += 1
        one = files.get(number)
        return match[0] if one is None else f'{match[1]}"{_PLACE}{quote(f"file:{one.source_key}", safe="")}"'

    return _IMAGE.sub(mark, body)


def with_references(content: str, context: Context, base_url: str) -> Any:
    """Answer a note's text with references in place of the marks; a text without marks is answered as it is."""
    parts: list[Any] = []
    end = 0
    for match in _PLACED.finditer(content):
        key = unquote(html.unescape(match[1]))
        parts += [content[end : match.start()] + f"{base_url}/api/v1/files/", {"$ref": key}, "/download"]
        end = match.end()
        if key not in context.references:
            context.references[key] = records_pb2.Reference(key=key, missing_policy=records_pb2.MISSING_POLICY_DROP)
    return {"$text": [*parts, content[end:]]} if parts else content
