"""One pass over a snapshot for the workbook: every source field with its samples and how often it is filled, values no value map has, owners."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.transformer.context import Context, LeaveOut, RecordProblem
from services.transformer.empty import is_empty
from services.transformer.exports import masked
from services.transformer.guessing import Observed
from services.transformer.plan import MappingPlan, field_rules
from services.transformer.profile.owners import Owners
from services.transformer.rules.skipping import skip_reason
from services.transformer.target import CUSTOM_FIELD_ENTITIES
from services.transformer.texts import plain_text
from services.transformer.transforms.problem import ValueProblem
from services.transformer.transforms.texts import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from services.transformer.context import Context as ContextType
    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.paths import Getter
    from services.transformer.rules.compiled import CompiledRule
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Snapshot

SAMPLES: Final = 3
SAMPLE_CHARACTERS_MAX: Final = 60
RULE_RECORDS_MAX: Final = 500
"""Records of an entity on which its rules are tried for samples and fill rates; from there on every n-th one counts less."""
OBSERVED_MAX: Final = 2000
"""Values of a field from which the type of a new custom field is guessed; reading them as dates is what costs most."""
FIELDS_MAX: Final = 2000
"""Most source fields of one entity that are told apart; more are records of their own, not fields."""
UNMAPPED_MAX: Final = 200
PROGRESS_RECORDS: Final = 500
_DEPTH_MAX: Final = 4


@dataclass(slots=True)
class Seen:
    """What was seen of one source field or rule."""

    records: int = 0
    filled: int = 0
    samples: dict[str, None] = field(default_factory=dict)
    observed: Observed | None = None

    def take(self, value: Any, *, key: str = "") -> None:
        """Look at one record's value."""
        self.records += 1
        if is_empty(value):
            return
        self.filled += 1
        if self.observed is not None and self.observed.count < OBSERVED_MAX:
            _observe(self.observed, value)
        if len(self.samples) < SAMPLES and (written := plain_text(masked(value, key))):
            short = written if len(written) <= SAMPLE_CHARACTERS_MAX else f"{written[:SAMPLE_CHARACTERS_MAX]}…"
            self.samples[short] = None

    @property
    def rate(self) -> float | None:
        """How many records have a value, 0 to 1; None where there is no record."""
        return round(self.filled / self.records, 4) if self.records else None


def _observe(observed: Observed, value: Any) -> None:
    try:
        observed.see(value)
    except ValueProblem:
        observed.kinds["object"] += 1
        observed.count += 1


RuleKey = tuple[str, int, str, bool]
"""Entity, position of the target, field, whether it is a custom field."""


class Survey:
    """What the records of a snapshot show of a mapping's fields, rules, value maps and owners."""

    def __init__(self, mapping: MappingModel, view: Snapshot, progress: Callable[[int], None] | None = None) -> None:
        self.mapping = mapping
        self.plan = MappingPlan(mapping)
        self.records: Counter[str] = Counter()
        self.archived: Counter[str] = Counter()
        self.deleted: Counter[str] = Counter()
        self.moving: Counter[str] = Counter()
        self.fields: defaultdict[str, dict[tuple[str, ...], Seen]] = defaultdict(dict)
        self.rules: dict[RuleKey, Seen] = {}
        self.unmapped: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.owners = Owners(mapping, view)
        done = 0
        for entity in [*mapping.entities, *(name for name in view.entities() if name not in mapping.entities)]:
            readers, lookups = self._readers(entity), list(self._unmapped_readers(entity))
            for envelope in view.iterate(entity):
                self._take(envelope, view, readers, lookups)
                done += 1
                if progress is not None and done % PROGRESS_RECORDS == 0:
                    progress(done)

    def _take(self, envelope: Envelope, view: Snapshot, readers: dict[RuleKey, CompiledRule], lookups: list[tuple[str, set[str], Getter]]) -> None:
        entity = envelope.entity
        self.records[entity] += 1
        self.archived[entity] += envelope.is_archived
        self.deleted[entity] += envelope.is_deleted
        self.owners.take(envelope)
        if skip_reason(self.mapping, envelope) is not None:
            if entity not in self.mapping.entities or self.mapping.entities[entity].use != "move":
                self._enter(entity, envelope.data, ())
            return
        self.moving[entity] += 1
        self._enter(entity, envelope.data, ())
        context = Context(envelope=envelope, lookup=view)
        for name, known, read in lookups:
            found = _read(read, context)
            written = "" if is_empty(found) else (_text(found) or "").strip()
            if written and written.casefold() not in known and (written in self.unmapped[name] or len(self.unmapped[name]) < UNMAPPED_MAX):
                self.unmapped[name][written] += 1
        if self.moving[entity] <= RULE_RECORDS_MAX:
            for key, rule in readers.items():
                found = [value for _, getter in rule.sources if not is_empty(value := _read(getter, context))]
                self.rules[key].take(found[0] if found else None, key=rule.sources[0][0] if rule.sources else "")

    def _enter(self, entity: str, data: Mapping[str, Any], prefix: tuple[str, ...]) -> None:
        seen = self.fields[entity]
        for name, value in data.items():
            keys = (*prefix, str(name))
            one = seen.get(keys)
            if one is None:
                if len(seen) >= FIELDS_MAX:
                    continue
                one = seen[keys] = Seen(observed=Observed() if self._may_become_a_field(entity, keys[0]) else None)
            one.take(value, key=str(name))
            if isinstance(value, dict) and len(keys) < _DEPTH_MAX:
                self._enter(entity, value, keys)

    def _may_become_a_field(self, entity: str, name: str) -> bool:
        """Say whether a person may ask for a new field for this one: nothing reads it yet."""
        plan = self.plan.entities.get(entity)
        return plan is not None and bool(plan.targets) and plan.targets[0].target in CUSTOM_FIELD_ENTITIES and name not in plan.used.keys

    def _readers(self, entity: str) -> dict[RuleKey, CompiledRule]:
        """Compile the rules of an entity's targets that stand outside lists."""
        readers: dict[RuleKey, CompiledRule] = {}
        rule = self.mapping.entities.get(entity)
        if rule is None or rule.use != "move":
            return readers
        compiler = self.plan.compiler(entity)
        for position, target in enumerate(rule.targets):
            for name, one, is_custom in field_rules(self.mapping, target):
                key = (entity, position, name, is_custom)
                self.rules[key] = Seen()
                if target.for_each is None:
                    readers[key] = compiler.rule(one)
        return readers

    def _unmapped_readers(self, entity: str) -> Iterator[tuple[str, set[str], Getter]]:
        """Make for each value map of an entity a function that answers the value it is asked for."""
        rule = self.mapping.entities.get(entity)
        if rule is None or rule.use != "move":
            return
        seen: set[tuple[str, str]] = set()
        for target in rule.targets:
            if target.for_each is not None:
                continue
            for _, outer, _ in field_rules(self.mapping, target):
                for one in opened(outer):
                    name = (one.map or "").partition(".")[0]
                    bare = one.model_copy(update={"map": None, "default": None})
                    if not name or (name, bare.model_dump_json()) in seen:
                        continue
                    seen.add((name, bare.model_dump_json()))
                    known = {str(value).casefold().strip() for value in self.mapping.value_maps.get(name, {})}
                    if "*" not in known:
                        yield name, known, self.plan.compiler(entity).rule(bare).value


def opened(rule: FieldRule) -> Iterator[FieldRule]:
    """Go through a rule and the rules it is made of."""
    yield rule
    for inner in [*(rule.cases or []), *(rule.join or []), *(rule.together or []), *(rule.object_ or {}).values()]:
        yield from opened(inner)


def _read(getter: Getter, context: ContextType) -> Any:
    try:
        return getter(context)
    except (ValueProblem, RecordProblem, LeaveOut):
        return None


def _text(value: Any) -> str | None:
    try:
        return text(value)
    except ValueProblem:
        return None
