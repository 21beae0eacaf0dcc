"""Records under the names the mapping calls their fields by.

Where a source's field names differ from account to account, the mapping has names of its own, and `names` says what each stands for. Records are
shown to the rules under those names; what has no name there keeps the source's own, so that nothing is hidden.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from services.transformer.guessing import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.name_rules import Meaning, NameProposal
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup

SCORE_MIN: Final = 0.55
"""Below this a field is not proposed for a meaning."""
_GIVEN: Final = 1.0
_KNOWN_FIELD: Final = 0.95
_SAME_LABEL: Final = 0.9
_SAME_NAME: Final = 0.85
_LABEL_HOLDS: Final = 0.6
_ONLY_LINK: Final = 0.7
_AFFIXES: Final = re.compile(r"^[A-Za-z0-9]+__(?=\w+__)|__[a-z]+$")
_WORD_BORDER: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[\W_]+")


class View(Protocol):
    """A snapshot as the worker and the reports read it."""

    @property
    def migration_id(self) -> str:
        """The migration."""

    @property
    def sequence(self) -> int:
        """The last page of it that is seen."""

    def get(self, entity: str, source_id: str) -> Envelope | None:
        """Answer a record."""

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        """Answer the records that point to a record."""

    def find(self, entity: str, field_name: str, value: str, *, loosely: bool = False) -> list[Envelope]:
        """Answer the records of an entity that hold a value in a field."""

    def iterate(self, entity: str) -> Iterator[Envelope]:
        """Go through the records of an entity."""

    def entities(self) -> list[str]:
        """Answer the entities with pages."""

    def count(self, entity: str) -> int:
        """Answer how many records there are."""

    def current(self, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """Answer those of a page's records that no later page replaced."""

    def reading(self) -> AbstractContextManager[None]:
        """Make one transaction of the look-ups inside."""


class Names:
    """The names of a mapping, ready to be laid over records."""

    def __init__(self, mapping: MappingModel) -> None:
        self._mapped = {entity: {name.field: meaning for meaning, name in names.items()} for entity, names in mapping.names.items() if names}
        self._raw = {entity: {meaning: name.field for meaning, name in names.items()} for entity, names in mapping.names.items()}

    def __bool__(self) -> bool:
        return bool(self._mapped)

    def apply(self, envelope: Envelope) -> Envelope:
        """Answer a record under the mapping's names; one without names is answered as it is."""
        names = self._mapped.get(envelope.entity)
        if names is None:
            return envelope
        return replace(envelope, data={names.get(name, name): value for name, value in envelope.data.items()})

    def field(self, entity: str, name: str) -> str:
        """Answer what a name, or the first part of one with points, stands for in an entity's raw records."""
        first, dot, rest = name.partition(".")
        return f"{self._raw.get(entity, {}).get(first, first)}{dot}{rest}"


class NamedView:
    """A view of a snapshot in which every record is under the mapping's names."""

    def __init__(self, view: View, names: Names) -> None:
        self._view = view
        self._names = names

    @property
    def migration_id(self) -> str:
        """The migration."""
        return self._view.migration_id

    @property
    def sequence(self) -> int:
        """The last page of it that is seen."""
        return self._view.sequence

    def get(self, entity: str, source_id: str) -> Envelope | None:
        """Answer a record."""
        found = self._view.get(entity, source_id)
        return None if found is None else self._names.apply(found)

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        """Answer the records that point to a record, by entity: each has a field name of its own."""
        entities = [entity] if isinstance(entity, str) else sorted(set(entity))
        return [self._names.apply(child) for name in entities for child in self._view.children(name, self._names.field(name, field_name), parent_id)]

    def find(self, entity: str, field_name: str, value: str, *, loosely: bool = False) -> list[Envelope]:
        """Answer the records of an entity that hold a value in a field."""
        return [self._names.apply(one) for one in self._view.find(entity, self._names.field(entity, field_name), value, loosely=loosely)]

    def iterate(self, entity: str) -> Iterator[Envelope]:
        """Go through the records of an entity."""
        return map(self._names.apply, self._view.iterate(entity))

    def entities(self) -> list[str]:
        """Answer the entities with pages."""
        return self._view.entities()

    def count(self, entity: str) -> int:
        """Answer how many records there are."""
        return self._view.count(entity)

    def current(self, envelopes: Sequence[Envelope]) -> list[Envelope]:
        """Answer those of a page's records that no later page replaced."""
        return self._view.current(envelopes)

    def reading(self) -> AbstractContextManager[None]:
        """Make one transaction of the look-ups inside."""
        return self._view.reading()


def named(view: View, mapping: MappingModel) -> View:
    """Lay a mapping's names over a view; without names it is the view itself."""
    names = Names(mapping)
    return NamedView(view, names) if names else view


# Proposing


def propose_names(rule: NameProposal, view: Lookup) -> dict[str, Any]:
    """Answer by kind of record what each meaning stands for, with score and reason; meanings without a field are left out."""
    fields: dict[str, list[Mapping[str, Any]]] = {}
    for one in view.iterate(rule.entity):
        if not one.is_deleted:
            fields.setdefault(str(one.data.get(rule.of) or ""), []).append(one.data)
    return {entity: found for entity, meanings in rule.meanings.items() if (found := _best(rule, meanings, fields.get(entity, [])))}


def played_by(rule: NameProposal, view: Lookup) -> dict[str, str]:
    """Answer by kind of record what the source calls it, so that people see what they confirm."""
    found: dict[str, dict[str, None]] = {}
    for one in view.iterate(rule.entity) if rule.object is not None else ():
        if not one.is_deleted and (name := str(one.data.get(str(rule.object)) or "")):
            found.setdefault(str(one.data.get(rule.of) or ""), {})[name] = None
    return {entity: ", ".join(names) for entity, names in found.items()}


def _best(rule: NameProposal, meanings: Mapping[str, Meaning], fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give every meaning its best field, the surest pairs first; no field is given twice."""
    pairs = []
    for place, (name, meaning) in enumerate(meanings.items()):
        for field in fields:
            score, reason = _score(rule, name, meaning, field, fields)
            if score >= SCORE_MIN:
                pairs.append((-score, place, str(field.get(rule.name)), name, reason))
    found: dict[str, Any] = {}
    taken: set[str] = set()
    for score, _, field_name, name, reason in sorted(pairs):
        if name not in found and field_name not in taken:
            taken.add(field_name)
            found[name] = {"field": field_name, "score": round(-score, 2), "reason": reason}
    return {name: found[name] for name in meanings if name in found}


def _score(rule: NameProposal, name: str, meaning: Meaning, field: Mapping[str, Any], fields: Iterable[Mapping[str, Any]]) -> tuple[float, str]:
    own_name, label, kind = (str(field.get(key) or "") for key in (rule.name, rule.label, rule.type))
    if rule.meaning is not None and field.get(rule.meaning) == name:
        return _GIVEN, "named by a person"
    if own_name in meaning.fields:
        return _KNOWN_FIELD - meaning.fields.index(own_name) * 0.01, f"{own_name} is known to hold it"
    leads_to = set(field.get(rule.leads_to) or [])
    if (meaning.types and kind not in meaning.types) or (meaning.leads_to and not leads_to & set(meaning.leads_to)):
        return 0.0, ""
    best = (0.0, "")
    if meaning.leads_to:
        rivals = sum(1 for one in fields if set(one.get(rule.leads_to) or []) & set(meaning.leads_to))
        if rivals == 1:
            best = (_ONLY_LINK, f"the only field that leads to {' or '.join(meaning.leads_to)}")
    words, stem = _words(label), _words(_AFFIXES.sub("", _AFFIXES.sub("", own_name)))
    for place, wanted in enumerate(meaning.labels):
        less, word = place * 0.005, _words(wanted)
        for score, holds, reason in (
            (_SAME_LABEL, words == word, f"its label is {label!r}"),
            (_SAME_NAME, stem == word, f"its name is {own_name}"),
            (_LABEL_HOLDS, f" {word} " in f" {words} ", f"its label {label!r} holds {wanted!r}"),
        ):
            if holds and score - less > best[0]:
                best = (score - less, reason)
    return best


def _words(text: str) -> str:
    return plain(" ".join(part for part in _WORD_BORDER.split(text) if part))
