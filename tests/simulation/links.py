"""Which source records hang on which: by the paths they hold."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_PATH: Final = re.compile(r"app/([A-Za-z]+)/(-?\d+)$")


def collections_of(truth: dict[str, Any]) -> dict[str, str]:
    """Answer the collection of each source entity: `work_order` stands for `workOrders`."""
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower().removesuffix("s"): name for name in truth["collections"]}


def _links(truth: dict[str, Any]) -> Iterable[tuple[tuple[str, int], tuple[str, int]]]:
    """Yield each source record with each one its paths name, lines' included."""
    for name, records in truth["collections"].items():
        for record in records:
            for text in _texts(record):
                if match := _PATH.search(text):
                    yield (name, record["id"]), (match[1], int(match[2]))


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _closure(begin: set[tuple[str, int]], links: dict[tuple[str, int], set[tuple[str, int]]]) -> set[tuple[str, int]]:
    reached, waiting = set(begin), list(begin)
    while waiting:
        for one in links.get(waiting.pop(), set()) - reached:
            reached.add(one)
            waiting.append(one)
    return reached


def dependants(truth: dict[str, Any], begin: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Answer records that hang on these, however far."""
    links: dict[tuple[str, int], set[tuple[str, int]]] = defaultdict(set)
    for child, parent in _links(truth):
        links[parent].add(child)
    return _closure(begin, links)


def carriers(truth: dict[str, Any], begin: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """Answer these records and those they hang on directly."""
    return begin | {parent for child, parent in _links(truth) if child in begin}
