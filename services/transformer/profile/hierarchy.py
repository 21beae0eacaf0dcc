"""How long the chains of records are that descend from one another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from services.transformer.links import Links

if TYPE_CHECKING:
    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Snapshot


def hierarchy(mapping: MappingModel, index: Snapshot) -> list[dict[str, Any]]:
    """Answer how long the chains of records are that descend from one another: depth 1 has no predecessor."""
    rows = []
    links = Links(mapping.links, mapping.collections, mapping.value_maps)
    seen: set[tuple[str, ...]] = set()
    for name, rule in mapping.links.items():
        if rule.chain != "up" or rule.id is None:
            continue
        entities = tuple([rule.entity] if isinstance(rule.entity, str) else rule.entity or ())
        if (rule.id, *entities) in seen:
            continue
        seen.add((rule.id, *entities))
        depths: Counter[int] = Counter()
        examples: dict[int, str] = {}
        for entity in entities:
            for envelope in index.iterate(entity):
                if not envelope.is_deleted:
                    depth = _depth(links, name, envelope, index)
                    depths[depth] += 1
                    examples.setdefault(depth, envelope.source_key)
        rows += [{"link": rule.id, "depth": depth, "records": count, "example": examples[depth]} for depth, count in sorted(depths.items())]
    return rows


def _depth(links: Links, name: str, envelope: Envelope, index: Snapshot) -> int:
    visited = {envelope.source_key}
    current = envelope
    # A chain that bites its own tail ends where it meets itself.
    while (place := links.locate(name, current, index)) is not None:
        parent = index.get(place.entity, place.source_id)
        if parent is None or parent.is_deleted or parent.source_key in visited:
            break
        visited.add(parent.source_key)
        current = parent
    return len(visited)
