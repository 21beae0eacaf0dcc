"""The sample (L-08): few records that show every kind of record, state, picklist value and problem, and everything those refer to.

The choice depends on the snapshot and the mapping alone: the same two give the same sample. What is kept in memory grows with the number of
different values, not with the number of records.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.common.keys import RecordKey
from services.transformer.context import Context, LeaveOut, RecordProblem
from services.transformer.plan import MappingPlan
from services.transformer.profile.shapes import Shapes
from services.transformer.rules.skipping import skip_reason
from services.transformer.transforms.problem import ValueProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.plan import EntityPlan, TargetPlan
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Snapshot

SIZE_DEFAULT: Final = 150
SIZE_MIN: Final = 1
SIZE_MAX: Final = 500
"""Covering stops here; closing under relations may add a few more."""
CANDIDATES_MAX: Final = 4
"""Records remembered for each thing to show: enough to find one that shows several at once."""
_MISSED_SHOWN: Final = 20
_SCHEMA: Final = "schema"

Feature = tuple[str, str, str]
"""Kind of thing to show, entity, and the value in words."""

_KINDS: Final = {
    "entity": "kinds of record",
    "target": "kinds of mapped record",
    "state": "states",
    "value": "picklist values",
    "reason": "reasons for leaving out or asking",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """A chosen sample.

    Attributes:
        source_keys: records as `{entity}/{id}`, by the mapping's order of entities, then id.
        coverage: in words, what the sample shows and what it could not.
    """

    source_keys: list[str]
    coverage: list[str]


def select_sample(index: Snapshot, mapping: MappingModel, size: int = 0) -> Selection:
    """Choose about `size` records (0: the default of 150; at most 500), closed under the references their mapping makes.

    Raises:
        MappingError: the mapping cannot be used.
    """
    size = min(max(size or SIZE_DEFAULT, SIZE_MIN), SIZE_MAX)
    present = set(index.entities())
    entities = [name for name, rule in mapping.entities.items() if rule.use == "move" and name in present]
    plan = MappingPlan(mapping)
    features = Features(mapping, plan, index, _picklists(index, entities))
    candidates = _candidates(index, entities, features)
    closure = _Closure(plan, index)
    missed = _cover(candidates, closure)
    _fill(index, mapping, entities, closure, size)
    return Selection(_ordered(closure.chosen, mapping), _coverage(candidates, missed, closure, features.records))


def _picklists(index: Snapshot, entities: list[str]) -> Mapping[str, tuple[tuple[str, ...], ...]]:
    """Find the fields of each entity whose values are few and come again."""
    found: dict[str, tuple[tuple[str, ...], ...]] = {}
    for entity in entities:
        shapes = Shapes()
        for envelope in index.iterate(entity):
            shapes.take(envelope)
        fields = shapes.rows().get(entity, {})
        found[entity] = tuple(tuple(name.split(".")) for name, row in fields.items() if "values" in row and "[]" not in name)
    return found


class Features:
    """Says what a record would show."""

    _STATES: Final = ("document-state-id", "status", "state")

    def __init__(self, mapping: MappingModel, plan: MappingPlan, index: Snapshot, picklists: Mapping[str, tuple[tuple[str, ...], ...]]) -> None:
        self._mapping = mapping
        self._plan = plan
        self._index = index
        self._picklists = picklists
        self.records: Counter[str] = Counter()

    def of(self, envelope: Envelope) -> set[Feature]:
        """Answer everything one record shows."""
        entity = envelope.entity
        self.records[entity] += 1
        skipped = skip_reason(self._mapping, envelope)
        if skipped is not None:
            return {("reason", entity, skipped[0])}
        found: set[Feature] = {("entity", entity, "")}
        for name in self._STATES:
            value = envelope.data.get(name)
            if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
                found.add(("state", entity, str(value)))
        for path in self._picklists.get(entity, ()):
            value = _at(envelope.data, path)
            if isinstance(value, (str, bool)) and value != "":
                found.add(("value", entity, f"{'.'.join(path)} = {value}"))
        for target in self._plan.entities[entity].targets:
            found |= self._shown_by(target, envelope)
        return found

    def _shown_by(self, target: TargetPlan, envelope: Envelope) -> set[Feature]:
        found: set[Feature] = set()
        for context in _contexts(target, envelope, self._index):
            try:
                if target.when is not None and not target.when(context):
                    continue
                stop = next((stop for stop in target.stops if stop.test(context)), None)
                if stop is not None:
                    found.add(("reason", envelope.entity, stop.reason))
                    continue
                for one in target.fields:
                    if one.can_stop:
                        one.rule.value(context)
            except (RecordProblem, ValueProblem, LeaveOut) as problem:
                found.add(("reason", envelope.entity, problem.reason))
            else:
                found.add(("target", envelope.entity, target.target))
        return found


def _at(data: object, path: tuple[str, ...]) -> object:
    for name in path:
        if not isinstance(data, dict):
            return None
        data = data.get(name)
    return data


def _contexts(target: TargetPlan, envelope: Envelope, index: Snapshot) -> Iterator[Context]:
    if target.for_each is None:
        yield Context(envelope=envelope, lookup=index)
        return
    try:
        elements = target.elements(Context(envelope=envelope, lookup=index))
    except ValueProblem:
        return
    for element in elements:
        yield Context(envelope=envelope, lookup=index, element=element)


def _candidates(index: Snapshot, entities: list[str], features: Features) -> dict[str, set[Feature]]:
    """Answer the first few records of each feature with all they show."""
    count: Counter[Feature] = Counter()
    candidates: dict[str, set[Feature]] = {}
    for entity in entities:
        for envelope in index.iterate(entity):
            shown = features.of(envelope)
            if any(count[feature] < CANDIDATES_MAX for feature in shown):
                candidates[envelope.source_key] = shown
                count.update(shown)
    return candidates


def _cover(candidates: Mapping[str, set[Feature]], closure: _Closure) -> set[Feature]:
    """Choose greedily until everything is shown or the sample is full; answers what is not shown."""
    missing = set().union(*candidates.values()) if candidates else set()
    rest = dict(candidates)
    for source_key in closure.chosen:
        missing -= rest.pop(source_key, set())
    while missing and len(closure.chosen) < SIZE_MAX:
        # Of equals the first in reading order wins, so that the choice is the same every time.
        best = max(rest, key=lambda source_key: len(rest[source_key] & missing))
        missing -= rest.pop(best)
        for added in closure.add(best):
            missing -= rest.pop(added, set())
    return missing


class _Closure:
    """The chosen records with everything their mapped records refer to."""

    def __init__(self, plan: MappingPlan, index: Snapshot) -> None:
        self._plan = plan
        self._index = index
        # A dict keeps the order of choosing.
        self.chosen: dict[str, None] = {}

    def add(self, source_key: str) -> list[str]:
        """Choose a record; answers all that were chosen with it."""
        added: list[str] = []
        waiting = [source_key]
        while waiting:
            one = waiting.pop()
            if one in self.chosen:
                continue
            entity, _, source_id = one.partition("/")
            envelope = self._index.get(entity, source_id)
            if envelope is None:
                continue
            self.chosen[one] = None
            added.append(one)
            waiting.extend(sorted(self._references(envelope), reverse=True))
        return added

    def _source_keys(self, key: str) -> list[str]:
        """Answer the source record of a key; where an id that holds a slash leaves several possible, all of them, so that none is missing."""
        parsed = RecordKey.parse(key)
        if parsed.source_entity == _SCHEMA:
            return []
        return [f"{parsed.source_entity}/{one}" for one in parsed.source_ids() if self._index.get(parsed.source_entity, one) is not None]

    def _references(self, envelope: Envelope) -> set[str]:
        plan: EntityPlan | None = self._plan.entities.get(envelope.entity)
        found: set[str] = set()
        if plan is None or skip_reason(self._plan.mapping, envelope) is not None:
            return found
        for target in plan.targets:
            for context in _contexts(target, envelope, self._index):
                try:
                    if target.when is not None and not target.when(context):
                        continue
                except ValueProblem:
                    continue
                for one in target.fields:
                    try:
                        one.rule.value(context)
                    except (RecordProblem, ValueProblem, LeaveOut):
                        continue
                found.update(source_key for key in context.references for source_key in self._source_keys(key))
        return found - {envelope.source_key}


def _fill(index: Snapshot, mapping: MappingModel, entities: list[str], closure: _Closure, size: int) -> None:
    """Fill up to the wanted size, taking one record of each entity in turn."""
    turns = [iter(index.iterate(entity)) for entity in entities]
    while turns and len(closure.chosen) < size:
        for turn in list(turns):
            if len(closure.chosen) >= size:
                return
            envelope = next(
                (one for one in turn if one.source_key not in closure.chosen and skip_reason(mapping, one) is None),
                None,
            )
            if envelope is None:
                turns.remove(turn)
            else:
                closure.add(envelope.source_key)


def _ordered(chosen: Mapping[str, None], mapping: MappingModel) -> list[str]:
    rank = {name: number for number, name in enumerate(mapping.entities)}

    def order(source_key: str) -> tuple[int, int, str]:
        entity, _, source_id = source_key.partition("/")
        return rank.get(entity, len(rank)), int(source_id) if source_id.isdecimal() else 0, source_id

    return sorted(chosen, key=order)


def _coverage(candidates: Mapping[str, set[Feature]], missed: set[Feature], closure: _Closure, records: Counter[str]) -> list[str]:
    wanted = set().union(*candidates.values()) if candidates else set()
    chosen = Counter(source_key.partition("/")[0] for source_key in closure.chosen)
    lines = [f"{len(closure.chosen)} of {records.total()} records, with everything they refer to"]
    lines += [f"{entity}: {chosen[entity]} of {count} records" for entity, count in records.items()]
    for kind, words in _KINDS.items():
        of_kind = {feature for feature in wanted if feature[0] == kind}
        not_shown = sorted(of_kind & missed)
        line = f"{words}: {len(of_kind) - len(not_shown)} of {len(of_kind)}"
        if not_shown:
            names = ", ".join(f"{entity} {value}".strip() for _, entity, value in not_shown[:_MISSED_SHOWN])
            line += f"; not shown: {names}" + (", ..." if len(not_shown) > _MISSED_SHOWN else "")
        lines.append(line)
    return lines
