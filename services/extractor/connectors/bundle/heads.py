"""Which cell of a row is which column: heads matched with a layout."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from services.extractor.connectors.bundle.layout import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.extractor.connectors.bundle.layout import EntityLayout, Layout

HEAD_CHARACTERS_MAX: Final = 200
"""Longest head that is kept of a column nobody knows."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of one file, matched."""

    known: Mapping[str, int]
    """Place of each column of the layout that is there."""
    properties: Mapping[str, int]
    """Place of the tenant's own fields, by label."""
    others: Mapping[str, int]
    """Place of columns that nobody knows, by head; a head that comes again has a number behind it."""
    width: int
    texts: Mapping[str, str]
    """The heads as they are written, by column of the layout."""
    repeated: Sequence[str] = ()
    """Heads that come more than once."""
    second: Sequence[str] = ()
    """Heads of columns that another head gives already."""
    missing: Sequence[str] = ()
    """Columns of the layout that are not there."""

    def with_own(self, names: Mapping[str, str]) -> Heads:
        """Answer the heads with some of the tenant's own fields as known columns; `names` has their column by label."""
        own = {names[label]: place for label, place in self.properties.items() if label in names}
        if not own:
            return self
        texts = {**self.texts, **{names[label]: label for label in self.properties if label in names}}
        others = {label: place for label, place in self.properties.items() if label not in names}
        return replace(self, known={**self.known, **own}, properties=others, texts=texts)

    def required_missing(self, entity: EntityLayout) -> list[str]:
        """Answer the usual heads of columns without which the table cannot be read, less those of the id."""
        return [entity.columns[name].heads[0] for name in self.missing if entity.columns[name].is_required and name not in entity.id]

    def id_missing(self, entity: EntityLayout) -> list[str]:
        """Answer the usual heads of missing columns that make the id."""
        return [entity.columns[name].heads[0] for name in self.missing if name in entity.id]


@dataclass(slots=True)
class _Matching:
    known: dict[str, int] = field(default_factory=dict)
    properties: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)


def match_heads(cells: Sequence[str], layout: Layout, entity: EntityLayout) -> Heads:
    """Match a row of heads. Of two cells with heads of the same column the one whose head stands first in the layout counts."""
    heads = [cell.replace("\ufeff", "").strip() for cell in cells]
    while heads and not heads[-1]:
        heads.pop()
    names = {plain(head): (name, rank) for name, column in reversed(entity.columns.items()) for rank, head in enumerate(column.heads)}
    patterns = [_pattern(one) for one in layout.property_heads]
    unread = set(map(plain, entity.unread_heads))
    result = _Matching()
    ranks: dict[str, tuple[int, int]] = {}
    seen: set[str] = set()
    for place, head in enumerate(heads):
        word = plain(head)
        if word in unread:
            continue
        if word in seen and word:
            result.repeated.append(head)
        seen.add(word)
        name, rank = names.get(word, ("", 0))
        if name and (name not in ranks or rank < ranks[name][0]):
            if name in ranks:
                _add_other(result, heads[ranks[name][1]], ranks[name][1])
                result.second.append(heads[ranks[name][1]])
            ranks[name] = (rank, place)
            result.known[name], result.texts[name] = place, head
            continue
        if name and word not in map(plain, result.repeated):
            result.second.append(head)
        label = next((match[1].strip() for pattern in patterns if (match := pattern.fullmatch(head))), "")
        if label and not name:
            _add(result.properties, label, place)
        else:
            _add_other(result, head, place)
    missing = [name for name in entity.columns if name not in result.known]
    return Heads(
        result.known, result.properties, result.others, len(heads), result.texts, list(dict.fromkeys(result.repeated)), result.second, missing
    )


def score(cells: Sequence[str], entity: EntityLayout) -> tuple[int, int]:
    """Say how well cells would do as heads: columns recognised, then cells."""
    known = {plain(head) for column in entity.columns.values() for head in column.heads}
    return sum(plain(cell) in known for cell in cells), len(cells)


def _add_other(result: _Matching, head: str, place: int) -> None:
    _add(result.others, head[:HEAD_CHARACTERS_MAX] or f"column {place + 1}", place)


def _add(target: dict[str, int], label: str, place: int) -> None:
    name, number = label, 1
    while name in target:
        number += 1
        name = f"{label} ({number})"
    target[name] = place


def _pattern(template: str) -> re.Pattern[str]:
    before, _, after = template.partition("{label}")
    blank = r"\s*"
    words = [blank.join(re.escape(word) for word in part.split()) for part in (before, after)]
    return re.compile(rf"\s*{words[0]}{blank}(.+?){blank}{words[1]}\s*", re.IGNORECASE | re.DOTALL)
