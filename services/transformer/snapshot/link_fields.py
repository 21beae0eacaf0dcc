"""Which fields of a raw record lead to other records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_LINK_FIELD = re.compile(r"(?:[-_]id|Id)$")
_LINK_LIST = re.compile(r"(?:[-_]ids|Ids)$")
_CHILD_ID = "id"


def link_values(data: Mapping[str, Any], references: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Find the references a raw record holds, as (field, id).

    A field among `references` is one, and a field whose name ends in `-id`, `_id` or `Id`. So is a list of numbers, of objects with an `id`, or of
    texts under a name that ends in `-ids`, `_ids` or `Ids` (field = the list's name), and a reference field inside the objects of a list
    (field = `{list}.{field}`).
    """
    seen: set[tuple[str, str]] = set()
    for name, value in data.items():
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            if value != "" and (name in references or _LINK_FIELD.search(name)):
                seen.add((name, str(value)))
        elif isinstance(value, list):
            for element in value:
                seen.update(_list_links(name, element))
    yield from sorted(seen)


def _list_links(name: str, element: object) -> Iterator[tuple[str, str]]:
    if isinstance(element, int) and not isinstance(element, bool):
        yield name, str(element)
    elif isinstance(element, str):
        if element and _LINK_LIST.search(name):
            yield name, element
    elif isinstance(element, dict):
        for inner, value in element.items():
            if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                if inner == _CHILD_ID:
                    yield name, str(value)
                elif _LINK_FIELD.search(inner):
                    yield f"{name}.{inner}", str(value)
