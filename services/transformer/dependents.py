"""Which records look up a given record when they are mapped: after a change they are mapped again (delta runs, L-11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.transformer.links import OWN_ID, Links, Place
from services.transformer.mapping.links import LinkRule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.transformer.plan import MappingPlan
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup

_CHANGED: Final = "changed"


def lookup_phases(plan: MappingPlan) -> dict[str, set[int]]:
    """Answer by entity the phases in which records of any entity look its records up."""
    found: dict[str, set[int]] = {}
    for one in plan.entities.values():
        for hops in one.used.hops:
            for _, link in hops:
                for entity in led_to(plan, link):
                    found.setdefault(entity, set()).update(int(phase) for phase in one.phases)
    return found


def led_to(plan: MappingPlan, link: str) -> list[str]:
    """Answer the kinds of record a link leads to."""
    rule = plan.links.rules[link]
    names = rule.many if rule.many is not None else rule.entity
    if names is None:
        return list(plan.mapping.entities)
    return [names] if isinstance(names, str) else list(names)


class Dependents:
    """Walks the links a plan's rules follow backwards. May name a record too many, never one too few."""

    def __init__(self, plan: MappingPlan) -> None:
        self._plan = plan
        self._links = plan.links

    def find(self, changed: Envelope, lookup: Lookup, phase_entities: Iterable[str]) -> list[Envelope]:
        """Answer the records of `phase_entities` whose mapping looks up `changed`, ordered by entity and id."""
        found: dict[tuple[str, str], Envelope] = {}
        for entity in phase_entities:
            plan = self._plan.entities.get(entity)
            for hops in plan.used.hops if plan else ():
                for last in range(len(hops)):
                    for one in self._walk_back(entity, hops[: last + 1], changed, lookup):
                        if (one.entity, one.id) != (changed.entity, changed.id):
                            found[one.entity, one.id] = one
        return [found[key] for key in sorted(found)]

    def _walk_back(self, entity: str, hops: tuple[tuple[tuple[str, ...], str], ...], changed: Envelope, lookup: Lookup) -> list[Envelope]:
        level = [changed]
        for position in range(len(hops) - 1, -1, -1):
            keys, link = hops[position]
            sources = [entity] if position == 0 else led_to(self._plan, hops[position - 1][1])
            level = [one for node in level for one in self._back(self._links.rules[link], keys, sources, node, lookup)]
            if not level:
                break
        return level

    def _back(self, rule: LinkRule, keys: tuple[str, ...], sources: list[str], node: Envelope, lookup: Lookup) -> list[Envelope]:
        """Answer the records of `sources` from which `rule` leads to `node`."""
        if rule.chain is not None:
            turned = LinkRule(chain="down" if rule.chain == "up" else "up", id=rule.id, path=rule.path, entity=rule.entity)
            chained = Links({_CHANGED: turned}, self._plan.mapping.collections).follow(_CHANGED, node, lookup)
            return [one for one in chained if one.entity in sources]
        if rule.many is not None:
            parent_id = node.data.get(_names(rule.by)[0])
            if node.entity not in ([rule.many] if isinstance(rule.many, str) else rule.many) or parent_id is None:
                return []
            parents = (lookup.get(*self._links.survivor(rule, Place(source, str(parent_id)), lookup)) for source in sources)
            return [one for one in parents if one is not None]
        allowed = None if rule.entity is None else [rule.entity] if isinstance(rule.entity, str) else rule.entity
        if allowed is not None and node.entity not in allowed:
            return []
        if rule.by is not None:
            return [one for source in sources for one in self._back_by_value(rule, keys, source, node, lookup)]
        name = ".".join((*keys, str(rule.id)))
        return [one for source_id in self._links.merged(rule, node, lookup) for one in lookup.children(sources, name, source_id)]

    @staticmethod
    def _back_by_value(rule: LinkRule, keys: tuple[str, ...], source: str, node: Envelope, lookup: Lookup) -> Iterable[Envelope]:
        if keys:  # values inside objects are not looked for: all of them may be meant
            return lookup.iterate(source)
        values = (node.id if field == OWN_ID else node.data.get(field) for field in _names(rule.by))
        return [one for value in values if value is not None for one in lookup.find(source, str(rule.id), str(value))]


def _names(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value
