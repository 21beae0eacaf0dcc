"""Properties that a source keeps in rows of their own: a form's question in each row, and the answer beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.empty import is_empty
from services.transformer.paths import follow
from services.transformer.snapshot.envelope import Envelope
from services.transformer.transforms.texts import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.context import Context
    from services.transformer.links import Links
    from services.transformer.mapping.entities import EntityMapping, PropertyRows
    from services.transformer.paths import Getter

_SEPARATORS: Final = re.compile(r"\s*[;|]\s*|,\s+")


def row_properties(rule: EntityMapping, links: Links, context: Context) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Find the properties a record has in rows, as (keys, value, custom field type or nothing). The first key is the link, the second the name."""
    for rows in rule.property_rows:
        for name, (value, kind) in _values(rows, links, context).items():
            yield (rows.link, name), value, kind


def row_getter(rule: EntityMapping, links: Links, keys: tuple[str, ...]) -> Getter | None:
    """Make a function that reads one of them; None when the keys name no such property."""
    rows = next((one for one in rule.property_rows if one.link == keys[0]), None)
    if rows is None or len(keys) != 2:  # noqa: PLR2004 - link and name
        return None
    name = keys[1]

    def read(context: Context) -> Any:
        found = _values(rows, links, context).get(name)
        return None if found is None else found[0]

    return read


def check_rows(rule: EntityMapping, links: Links) -> None:
    """Raise MappingError for rows whose link is not there."""
    for rows in rule.property_rows:
        if rows.link not in links or not links.is_many(rows.link):
            raise MappingError(f"property_rows: `{rows.link}` is no link to many")


def _values(rows: PropertyRows, links: Links, context: Context) -> dict[str, tuple[Any, str]]:
    """Answer the values by name. Read once for each record, because every property of it asks for them."""
    key = ("property_rows", rows.link, context.envelope.source_key)
    if key not in context.memo:
        context.memo[key] = _read(rows, follow(links, rows.link, context.envelope, context))
    values: dict[str, tuple[Any, str]] = context.memo[key]
    return values


def _read(rows: PropertyRows, found: Any) -> dict[str, tuple[Any, str]]:
    envelopes = [one for one in found or [] if isinstance(one, Envelope)]
    if rows.order_by is not None:
        order_by = rows.order_by
        envelopes.sort(key=lambda one: str(one.data.get(order_by) or ""))
    types = {word.casefold().strip(): kind for word, kind in rows.types.items()}
    values: dict[str, tuple[Any, str]] = {}
    for one in envelopes:
        name, value = one.data.get(rows.name), one.data.get(rows.value)
        if is_empty(name) or is_empty(value):
            continue
        kind = types.get(str(one.data.get(rows.type) or "").casefold().strip(), "") if rows.type else ""
        values[" ".join(str(name).split())] = (_options(value) if kind == "set" else value, kind)
    return values


def _options(value: Any) -> Any:
    """Take the options of a cell apart."""
    return [part for part in _SEPARATORS.split(text(value) or "") if part] if isinstance(value, str) else value
