"""Links: how to get from one source record to others, by an id, by a value, along a chain of ancestors, or back from those that point here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.transformer.empty import is_empty
from services.transformer.snapshot.envelope import Envelope
from services.transformer.snapshot.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias

    from services.transformer.mapping.links import LinkRule
    from services.transformer.snapshot.lookup import Lookup

    Locate: TypeAlias = "Callable[[Mapping[str, Any]], Place | None]"

_CHAIN_STEPS_MAX: Final = 64
OWN_ID: Final = "@id"
"""Among the fields a link goes by: the other record's id."""
_ANY: Final = "*"


class Place(NamedTuple):
    """Where a link leads: a record that may or may not be in the snapshot."""

    entity: str
    source_id: str


class Links:
    """The links of a mapping, ready to be followed."""

    def __init__(
        self, rules: Mapping[str, LinkRule], collections: Mapping[str, str], value_maps: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        self.rules = rules
        self._collections = collections
        maps = value_maps or {}
        self._decisions = {
            rule.decided: {plain(str(key)): str(entry) for key, entry in maps.get(rule.decided, {}).items() if not is_empty(entry)}
            for rule in rules.values()
            if rule.decided
        }
        self._locate = {name: self._locator(rule) for name, rule in rules.items()}

    def __contains__(self, name: object) -> bool:
        return name in self.rules

    def is_many(self, name: str) -> bool:
        """Say whether a link leads to a list."""
        rule = self.rules[name]
        return (rule.many is not None or rule.chain is not None) and rule.pick is None and rule.level is None

    def locate(self, name: str, node: Envelope | Mapping[str, Any], lookup: Lookup | None = None) -> Place | None:
        """Answer where a link by id leads, whether or not the record is there. None when it is empty or leads to another kind of record.

        Of a list of ids the link's `pick` says which one counts; without it none does. Links that go by a value need `lookup`.
        """
        rule = self.rules[name]
        place = self._located(name, rule, node, lookup)
        return self.survivor(rule, place, lookup) if place is not None and lookup is not None else place

    def _located(self, name: str, rule: LinkRule, node: Envelope | Mapping[str, Any], lookup: Lookup | None) -> Place | None:
        if rule.decided is None:
            return self._as_written(name, rule, node, lookup)
        if (decided := self._decided(rule, node)) is not None:
            return decided
        place = self._as_written(name, rule, node, lookup)
        if rule.id is None:
            # Nobody has decided yet: what refers to it waits, and a person may let it go without.
            return self._otherwise(rule) or Place(_names(rule.entity)[0], f"undecided ({rule.decided})")
        is_there = place is not None and (lookup is None or lookup.get(*place) is not None)
        return place if is_there else self._otherwise(rule) or place

    def _as_written(self, name: str, rule: LinkRule, node: Envelope | Mapping[str, Any], lookup: Lookup | None) -> Place | None:
        data = node.data if isinstance(node, Envelope) else node
        if rule.id is None:
            return None
        if isinstance(ids := data.get(rule.id), list):
            if rule.pick is None or not ids:
                return None
            data = {**data, rule.id: ids[0] if rule.pick == "first" else ids[-1]}
        place = self._locate[name](data)
        if place is None or rule.by is None or lookup is None:
            return place
        # A value nobody has is named as it is, unless that is the id of some other record.
        found = self._by_value(rule, place, lookup)
        if found is not None:
            return Place(found.entity, found.id)
        return place if lookup.get(*place) is None else None

    def _decided(self, rule: LinkRule, node: Envelope | Mapping[str, Any]) -> Place | None:
        """Answer where a person says that this record, or what is written in it, leads."""
        table = self._decisions.get(rule.decided or "")
        if not table:
            return None
        data = node.data if isinstance(node, Envelope) else node
        written = data.get(rule.id) if rule.id else None
        keys = [node.source_key] if isinstance(node, Envelope) else []
        keys += [str(written)] if isinstance(written, (str, int)) and not isinstance(written, bool) else []
        found = next((table[key] for one in keys if (key := plain(one)) in table and key != _ANY), None)
        return None if found is None else Place(_names(rule.entity)[0], found)

    def _otherwise(self, rule: LinkRule) -> Place | None:
        """Answer where a person says that everything leads that otherwise leads nowhere."""
        found = self._decisions.get(rule.decided or "", {}).get(_ANY)
        return None if found is None else Place(_names(rule.entity)[0], found)

    @staticmethod
    def _by_value(rule: LinkRule, place: Place, lookup: Lookup) -> Envelope | None:
        """Answer the one record whose field holds the value that `place` has instead of an id; None when none or several do."""
        for loosely in (False, True) if rule.loosely else (False,):
            for field in _names(rule.by):
                if field == OWN_ID:
                    one = lookup.get(place.entity, place.source_id)
                    found = [] if one is None else [one]
                else:
                    found = lookup.find(place.entity, field, place.source_id, loosely=loosely)
                if len(found) == 1:
                    return found[0]
        return None

    @staticmethod
    def survivor(rule: LinkRule, place: Place, lookup: Lookup) -> Place:
        """Answer the record that stays of one that was merged into another; any other place as it is."""
        if rule.merged_into is None:
            return place
        passed = {place}
        while (one := lookup.get(*place)) is not None and one.is_deleted and not is_empty(stays := one.data.get(rule.merged_into)):
            place = Place(place.entity, str(stays))
            if place in passed:
                break
            passed.add(place)
        return place

    def merged(self, rule: LinkRule, node: Envelope, lookup: Lookup) -> list[str]:
        """Answer the ids of a record and of those that were merged into it."""
        ids = [node.id]
        for one in ids if rule.merged_into else ():
            merged = lookup.children([node.entity], str(rule.merged_into), one)
            ids += [child.id for child in merged if child.is_deleted and child.id not in ids]
        return ids

    def _at(self, rule: LinkRule, place: Place, lookup: Lookup) -> Envelope | None:
        if rule.by is not None:
            return self._by_value(rule, place, lookup)
        return lookup.get(*self.survivor(rule, place, lookup))

    def places(self, name: str, node: Envelope, lookup: Lookup) -> list[Place]:
        """Answer where a link by id leads; a field that holds a list of ids, or of objects with an id, leads to each of them."""
        rule = self.rules[name]
        ids = node.data.get(rule.id) if rule.id else None
        if not isinstance(ids, list):
            place = self.locate(name, node, lookup)
            return [place] if place is not None else []
        source_ids = [element.get("id") if isinstance(element, dict) else element for element in ids]
        named = [Place(entity, str(one)) for one in source_ids if not is_empty(one) for entity in _names(rule.entity)[:1]]
        places = [self.survivor(rule, place, lookup) for place in named]
        if rule.by is None:
            return places
        return [place if (one := self._by_value(rule, place, lookup)) is None else Place(one.entity, one.id) for place in places]

    def _address(self, rule: LinkRule, data: Mapping[str, Any]) -> tuple[str, str] | None:
        """Answer collection and id of the address in a link's field, None without a readable one."""
        address = data.get(rule.path) if rule.path else None
        if not isinstance(address, str):
            return None
        parts = address.rsplit("/", 2)
        return (parts[-2], parts[-1]) if len(parts) > 1 and parts[-1] else None

    def _locator(self, rule: LinkRule) -> Locate:
        """Make a function that says where a record's own fields lead: most links are one field with the id of one kind of record."""
        allowed, own_id = _names(rule.entity), rule.id
        only = allowed[0] if len(allowed) == 1 else None
        if rule.path is None and rule.kind is None and own_id is not None and only:
            return lambda data: _place(only, data.get(own_id))

        def locate(data: Mapping[str, Any]) -> Place | None:
            source_id = data.get(own_id) if own_id else None
            found = self._address(rule, data)
            named = data.get(rule.kind) if rule.kind else None
            entity = named if isinstance(named, str) and named else self._collections.get(found[0]) if found else None
            if entity is None:
                # Without an address only the rule says what kind of record it is; several kinds would be a guess.
                if found is not None or only is None:
                    return None
                entity = only
            elif allowed and entity not in allowed:
                return None
            return _place(entity, found[1] if found and is_empty(source_id) else source_id)

        return locate

    def follow(self, name: str, node: Any, lookup: Lookup) -> Any:
        """Answer the record, or for a link to many the list of records, a link leads to from a record or an object in it."""
        rule = self.rules[name]
        if isinstance(node, list):
            found = (self.follow(name, element, lookup) for element in node)
            return [one for each in found if each is not None for one in (each if isinstance(each, list) else [each])]
        if rule.chain is not None and isinstance(node, Envelope):
            return _picked(rule, self._chain(name, rule, node, lookup))
        if rule.many is not None and isinstance(node, Envelope):
            return _picked(rule, self._back(rule, node, lookup))
        data = node.data if isinstance(node, Envelope) else node
        if (rule.id is None and rule.decided is None) or not hasattr(data, "get"):
            return None
        if rule.id is not None and isinstance(ids := data.get(rule.id), list):
            return _picked(rule, self._each(rule, ids, lookup))
        if rule.decided is None:
            place = self._locate[name](data)
            return None if place is None else self._at(rule, place, lookup)
        place = self.locate(name, node, lookup)
        return None if place is None else lookup.get(*place)

    def _each(self, rule: LinkRule, ids: list[Any], lookup: Lookup) -> list[Envelope]:
        """Answer the records of a list of ids, or of objects with an id."""
        source_ids = (element.get("id") if isinstance(element, dict) else element for element in ids)
        places = (Place(entity, str(source_id)) for source_id in source_ids if source_id is not None for entity in _names(rule.entity))
        return [found for place in places if (found := self._at(rule, place, lookup)) is not None]

    def _back(self, rule: LinkRule, node: Envelope, lookup: Lookup) -> list[Envelope]:
        ids = self.merged(rule, node, lookup)
        children = [child for one in ids for child in lookup.children(_names(rule.many), _names(rule.by)[0], one)]
        return [child for child in children if not child.is_deleted and self._points_to(rule, child, node)]

    def _points_to(self, rule: LinkRule, child: Envelope, node: Envelope) -> bool:
        """Check the kind of record a child's address names: ids are unique within one collection only."""
        found = self._address(rule, child.data)
        return found is None or self._collections.get(found[0]) == node.entity

    def _chain(self, name: str, rule: LinkRule, node: Envelope, lookup: Lookup) -> list[Envelope]:
        chain = self.ancestors(name, node, lookup)[0] if rule.chain == "up" else self._descendants(rule, node, lookup)
        if rule.level is not None:
            # The chain begins at the nearest, levels are counted from the root.
            return chain[-rule.level :][:1] if len(chain) >= rule.level else []
        return [one for one in chain if rule.only is None or one.entity in rule.only]

    def ancestors(self, name: str, node: Envelope, lookup: Lookup) -> tuple[list[Envelope], bool]:
        """Answer the ancestors, nearest first, and whether they go round in a circle.

        The records of a circle count as roots, so that everything below them has the same ancestors from wherever it is looked at.
        """
        path = [node]
        places = {(node.entity, node.id): 0}
        rule, locate = self.rules[name], self._locate[name]
        while (parent := self._up(rule, locate(path[-1].data), lookup)) is not None:
            first = places.get((parent.entity, parent.id))
            if first is not None:
                return path[1 : first + 1], True
            places[parent.entity, parent.id] = len(path)
            path.append(parent)
        return path[1:], False

    def _up(self, rule: LinkRule, place: Place | None, lookup: Lookup) -> Envelope | None:
        parent = self._at(rule, place, lookup) if place else None
        return parent if parent is not None and not parent.is_deleted else None

    def _descendants(self, rule: LinkRule, node: Envelope, lookup: Lookup) -> list[Envelope]:
        seen = {(node.entity, node.id)}
        level, chain = [node], []
        for _ in range(_CHAIN_STEPS_MAX):
            following = []
            for one in level:
                for other in self._down(rule, one, lookup):
                    if (other.entity, other.id) not in seen:
                        seen.add((other.entity, other.id))
                        following.append(other)
            if not following:
                break
            chain.extend(following)
            level = following
        return chain

    def _down(self, rule: LinkRule, node: Envelope, lookup: Lookup) -> Iterable[Envelope]:
        children = lookup.children(_names(rule.entity), str(rule.id), node.id)
        return [child for child in children if not child.is_deleted and self._points_to(rule, child, node)]


def _names(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def _place(entity: str, source_id: Any) -> Place | None:
    """Answer the place of an id as a record holds it; None for what is no id."""
    if type(source_id) is str:  # nearly always
        return Place(entity, source_id) if source_id and not source_id.isspace() else None
    return None if is_empty(source_id) or isinstance(source_id, (bool, list, dict)) else Place(entity, str(source_id))


def _is_one_of(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_is_one_of(value, one) for one in wanted)
    if wanted is None:
        return is_empty(value)
    if isinstance(value, str) and isinstance(wanted, str):
        return value.casefold().strip() == wanted.casefold().strip()
    return bool(value == wanted)


def _picked(rule: LinkRule, found: list[Envelope]) -> Any:
    if rule.where:
        found = [one for one in found if all(_is_one_of(one.data.get(name), value) for name, value in rule.where.items())]
    if rule.order_by is not None:
        order_by = rule.order_by
        found = sorted(found, key=lambda one: str(one.data.get(order_by) or ""))
    if rule.level is not None:
        return found[0] if found else None
    if rule.pick is None:
        return found
    return (found[0] if rule.pick == "first" else found[-1]) if found else None
