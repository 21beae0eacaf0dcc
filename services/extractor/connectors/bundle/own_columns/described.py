"""What the bundle itself says of the tenant's own columns: a table with one row for each, and the type in it.

Without a description they stay text: what a cell of an unknown column means is never guessed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from services.extractor.connectors.bundle.layout import CellType, plain
from services.extractor.connectors.bundle.rows import RowReader
from services.extractor.connectors.bundle.workbooks import BrokenTableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.extractor.connectors.bundle.bundle import Bundle
    from services.extractor.connectors.bundle.layout import PropertyTypes
    from services.extractor.connectors.bundle.profile import TableFacts

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")

TypesByEntity = dict[str, dict[str, CellType]]


def read_types(bundle: Bundle, facts: TableFacts) -> TypesByEntity:
    """Read what the table of descriptions says, by entity and label. A table that cannot be read says nothing; its own findings tell why."""
    rule = bundle.layout.property_types
    found: TypesByEntity = {}
    if rule is None or facts.entity != rule.entity or facts.stop:
        return found
    entities = {plain(word): entity for entity, words in rule.entities.items() for word in words}
    types = {plain(word): kind for word, kind in rule.types.items()}
    layout = bundle.layout.entities[facts.entity]
    for part in facts.parts:
        try:
            rows = bundle.rows(part)
            heads = bundle.heads(facts.entity, next(rows)[1])
            reader = RowReader(layout, heads, facts, formats=bundle.formats, zone=None, currency="")
            for _, cells in rows:
                _take(rule, reader.data(cells), entities, types, found)
        except BrokenTableError:
            return {}
    return found


def _take(rule: PropertyTypes, data: Mapping[str, object], entities: Mapping[str, str], types: Mapping[str, CellType], found: TypesByEntity) -> None:
    entity = entities.get(plain(str(data.get(rule.of, ""))))
    kind = types.get(plain(str(data.get(rule.type, ""))))
    label = _PLACEHOLDER.sub(lambda match: str(data.get(match[1], "")), rule.label).strip()
    if entity and label and kind is not None:
        found.setdefault(entity, {})[label] = kind
