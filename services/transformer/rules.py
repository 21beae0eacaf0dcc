"""Compiles the rules of a mapping into plain functions, once per manifest, so that mapping a record parses and looks up nothing of the mapping."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.blocks import compile_blocks
from services.transformer.catalogue import bind
from services.transformer.conditions import value_test
from services.transformer.context import REFERENCE_MISSING, Context, LeaveOut, RecordProblem
from services.transformer.empty import is_empty
from services.transformer.index import Envelope
from services.transformer.links import Links, Place
from services.transformer.manifest import FALLBACK_USER_KEY, listed_user_key, placeholder_key
from services.transformer.note_images import place_images
from services.transformer.paths import Getter, Path, compile_locate, compile_path, descend, follow, parse_path
from services.transformer.recurrence import is_after_window
from services.transformer.texts import plain_text
from services.transformer.transforms.dates import moment
from services.transformer.transforms.problem import ValueProblem, shown
from services.transformer.transforms.texts import text
from transload.v1 import records_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from collections.abc import Mapping as MappingType
    from collections.abc import Set as AbstractSet
    from typing import TypeAlias

    from services.transformer.manifest import Manifest
    from services.transformer.mapping import Block, Condition, ConditionRef, EntityMapping, FieldRule, Mapping, RefRule

Value: TypeAlias = "Callable[[Context], Any]"
Test: TypeAlias = "Callable[[Context], bool]"

_POLICIES: Final = {
    "review": records_pb2.MISSING_POLICY_REVIEW,
    "drop": records_pb2.MISSING_POLICY_DROP,
    "leave_out": records_pb2.MISSING_POLICY_REVIEW,
}
_ANY_VALUE: Final = "*"
_SELF: Final = "self"
_POLICY: Final = "policy"


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to run.

    Attributes:
        value: the value before it is fitted to its target field; None when there is none, and never an empty one.
        sources: source paths with functions that read them, for lineage.
        words: the rule in words.
    """

    value: Value
    sources: tuple[tuple[str, Getter], ...]
    words: str


@dataclass(slots=True)
class Used:
    """What the rules of an entity read.

    Attributes:
        keys: fields of the raw record.
        hops: ways to other records, each a chain of (keys, link).
    """

    keys: set[str] = field(default_factory=set)
    hops: set[tuple[tuple[tuple[str, ...], str], ...]] = field(default_factory=set)


class RuleCompiler:
    """Compiles rules of one source entity.

    Args:
        alias: names the element of the target's list, empty without one.
        used: what some rule reads; filled while compiling, and read when properties are listed.
        manifest: the account, for conditions that ask what it has.
    """

    def __init__(
        self, mapping: Mapping, links: Links, entity: str, *, used: Used, alias: str = "", list_path: str = "", manifest: Manifest | None = None
    ) -> None:
        self.mapping = mapping
        self.links = links
        self.entity = entity
        self._manifest = manifest
        self._used = used
        self._alias = alias
        self._list_keys = tuple(list_path.split(".")) if list_path else ()
        self.placeholders: list[str] = []
        self._mapped = {
            (entity, target.target, target.part) for entity, rule in mapping.entities.items() if rule.use == "move" for target in rule.targets
        }

    # Paths and texts

    def getter(self, path: str) -> Getter:
        """Compile a source path."""
        return compile_path(self._path(path), self.links)

    def _path(self, path: str) -> Path:
        parsed = parse_path(path, self.links, self._alias)
        if parsed.first_key:
            self._used.keys.add(parsed.first_key)
        if parsed.hops:
            (keys, link), *others = parsed.hops
            if not parsed.root and not keys:
                rule = self.links.rules[link]
                self._used.keys.update(name for name in (rule.id, rule.path) if name)
            self._used.hops.add((((*self._list_keys, *keys) if parsed.root else keys, link), *others))
        return parsed

    def template(self, template: str) -> Value:
        """Compile a text with paths in braces. It gives None when it has paths and none of them has a value."""
        parts: list[tuple[str, Getter | None]] = []
        try:
            for before, path, _, _ in string.Formatter().parse(template):
                parts.append((before, self.getter(path) if path else None))
        except ValueError as error:
            raise MappingError(f"template {template!r}: {error}") from error
        if all(getter is None for _, getter in parts):
            return lambda _context: template

        def fill(context: Context) -> str | None:
            written: list[str] = []
            has_value = False
            for before, getter in parts:
                written.append(before)
                found = None if getter is None else plain_text(getter(context))
                if found:
                    has_value = True
                    written.append(found)
            return "".join(written) if has_value else None

        return fill

    # Conditions

    def test(self, ref: ConditionRef | None) -> Test | None:
        """Compile a condition; None stays None, which always holds."""
        if ref is None:
            return None
        if isinstance(ref, str):
            if ref not in self.mapping.conditions:
                raise MappingError(f"there is no condition `{ref}`; known: {', '.join(sorted(self.mapping.conditions))}")
            return self._condition(self.mapping.conditions[ref])
        return self._condition(ref)

    def _condition(self, condition: Condition) -> Test:
        if condition.all_ is not None:
            tests = self._tests(condition.all_)
            return lambda context: all(test(context) for test in tests)
        if condition.any_ is not None:
            tests = self._tests(condition.any_)
            return lambda context: any(test(context) for test in tests)
        if condition.not_ is not None:
            (inner,) = self._tests([condition.not_])
            return lambda context: not inner(context)
        if condition.policy is not None:
            holds = bool(value_test(condition)(self._decided(condition.policy)))
            return lambda _context: holds
        if condition.field is not None:
            name, holds_for = condition.field, value_test(condition)
            return lambda context: holds_for(context.payload.get(name))
        if condition.of is None:
            raise MappingError("a condition needs one of: of, field, policy, all, any, not")
        if condition.is_ == "moved":
            return self._is_moved(condition.of)
        if condition.is_ == "native_outcome":
            return self._is_outcome(condition.of)
        if condition.is_ == "missing":
            return self._is_missing(condition.of)
        if condition.is_ == "loop":
            return self._is_loop(condition.of)
        if condition.is_ == "after_window":
            return self._is_after_window(condition.of)
        if condition.later_than is not None:
            return self._is_later(condition.of, condition.later_than)
        getter, test = self.getter(condition.of), value_test(condition)
        return lambda context: test(getter(context))

    def _tests(self, refs: Iterable[ConditionRef]) -> list[Test]:
        return [test for ref in refs if (test := self.test(ref)) is not None]

    def _is_moved(self, path: str) -> Test:
        locate = self._locator(path)

        def test(context: Context) -> bool:
            place = locate(context)
            return place is not None and self._snapshot_moves(place, context)

        return test

    def _is_after_window(self, path: str) -> Test:
        getter, policies = self.getter(path), self.mapping.policies

        def test(context: Context) -> bool:
            # Without a first day there is no window yet; the linter asks for it.
            if policies.recurrence_from is None:
                return False
            try:
                return is_after_window(getter(context), window_from=policies.recurrence_from, months=policies.recurrence_window_months)
            except ValueProblem:
                return False

        return test

    def _is_later(self, path: str, than: str) -> Test:
        one, other = self.getter(path), self.getter(than)

        def test(context: Context) -> bool:
            try:
                return moment(one(context)) > moment(other(context))
            except ValueProblem:
                return False

        return test

    def _is_outcome(self, path: str) -> Test:
        """Say whether the account has an activity outcome of that name; without a manifest it is not known, and taken for no."""
        getter, manifest = self.getter(path), self._manifest
        return lambda context: manifest is not None and manifest.outcome(plain_text(getter(context)) or "") is not None

    def _is_missing(self, path: str) -> Test:
        """Test whether a link names a record that the snapshot does not have, or that was deleted."""
        locate = self._locator(path)

        def test(context: Context) -> bool:
            place = locate(context)
            found = None if place is None else context.lookup.get(place.entity, place.source_id)
            return place is not None and (found is None or found.is_deleted)

        return test

    def _is_loop(self, link: str) -> Test:
        rule = self.links.rules.get(link)
        if rule is None or rule.chain != "up":
            raise MappingError(f"`{link}` is no chain of ancestors, so it cannot go round in a circle")
        return lambda context: self.links.ancestors(link, context.envelope, context.lookup)[1]

    def _decided(self, name: str) -> Any:
        try:
            return self.mapping.decided(name)
        except KeyError as error:
            known = sorted([*type(self.mapping.policies).model_fields, *self.mapping.choices])
            raise MappingError(f"there is no policy or choice `{name}`; known: {', '.join(known)}") from error

    def _snapshot_moves(self, place: Place, context: Context) -> bool:
        """Say whether the snapshot holds a record that the mapping moves."""
        found = context.lookup.get(place.entity, place.source_id)
        return found is not None and skip_reason(self.mapping, found) is None

    # Values

    def rule(self, rule: FieldRule) -> CompiledRule:
        """Compile a field rule."""
        read, sources, words = self._source(rule)
        when = self.test(rule.when)
        steps = [self._transform(step) for step in rule.transforms]
        table = self._value_map(rule.map) if rule.map else None
        default = None if is_empty(rule.default) else rule.default
        if rule.transforms:
            words = f"{words}, {' then '.join(name for name, _ in steps)}".removeprefix(", ")
        if rule.map:
            words = f"{words}, value map {rule.map}".removeprefix(", ")
        functions = [function for _, function in steps]
        images = rule.images
        if images is not None:
            self.getter(images.of)  # so that a delta knows what the text depends on
        if when is None and table is None and not functions and images is None:
            key = self._path(rule.from_).own_field if isinstance(rule.from_, str) else ""
            return CompiledRule(_own_value(key, default) if key else plain_value(read, default), sources, words)

        def value(context: Context) -> Any:
            if when is not None and not when(context):
                return None
            found = read(context)
            if found is None:
                return default
            if isinstance(found, Envelope):
                found = found.data
            elif isinstance(found, list) and found and isinstance(found[0], Envelope):
                found = [one.data if isinstance(one, Envelope) else one for one in found]
            if images is not None and not is_empty(found):
                found = place_images(found, images, self.links, context)
            for function in functions:
                if not found and (found is None or isinstance(found, (str, list, dict))):
                    return default
                found = function(found)
            if table is not None and not is_empty(found):
                found = table(found)
            return default if is_empty(found) else found

        return CompiledRule(value, sources, words)

    def _source(self, rule: FieldRule) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        if rule.from_ is not None:
            return self._from([rule.from_] if isinstance(rule.from_, str) else rule.from_)
        if rule.template is not None:
            return self.template(rule.template), self._template_sources(rule.template), "template"
        if rule.join is not None:
            return self._join(rule.join, rule.separator)
        if rule.cases is not None:
            return self._cases(rule.cases)
        if rule.together is not None:
            return self._together(rule.together)
        if rule.object_ is not None:
            return self._object(rule.object_)
        if rule.ref is not None:
            return self._reference(rule.ref)
        if rule.owner is not None:
            return self._owner(rule.owner)
        if rule.html is not None:
            return self._html(rule.html)
        fixed = rule.value if rule.policy is None else self._decided(rule.policy)
        return (lambda _context: fixed), (), "fixed value"

    def _from(self, paths: Sequence[str]) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        sources = tuple((path, self.getter(path)) for path in paths)
        if len(sources) == 1:
            return sources[0][1], sources, ""
        getters = [getter for _, getter in sources]

        def first(context: Context) -> Any:
            for getter in getters:
                found = getter(context)
                if not is_empty(found):
                    return found
            return None

        return first, sources, "first with a value"

    def _template_sources(self, template: str) -> tuple[tuple[str, Getter], ...]:
        return tuple((path, self.getter(path)) for _, path, _, _ in string.Formatter().parse(template) if path)

    def _join(self, rules: Sequence[FieldRule], separator: str) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        compiled = [self.rule(rule) for rule in rules]

        def joined(context: Context) -> str | None:
            return separator.join(part for one in compiled if (part := plain_text(one.value(context)))) or None

        return joined, tuple(source for one in compiled for source in one.sources), "joined"

    def _cases(self, rules: Sequence[FieldRule]) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        compiled = [self.rule(rule) for rule in rules]

        values = [one.value for one in compiled]

        def first(context: Context) -> Any:
            for value in values:
                found = value(context)
                if found is not None:
                    return found
            return None

        return first, tuple(source for one in compiled for source in one.sources), "first case that holds"

    def _together(self, rules: Sequence[FieldRule]) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        compiled = [self.rule(rule) for rule in rules]

        def gathered(context: Context) -> list[Any]:
            found = [one.value(context) for one in compiled]
            return [element for value in found if value is not None for element in (value if isinstance(value, list) else [value])]

        return gathered, tuple(source for one in compiled for source in one.sources), "together"

    def _object(self, rules: MappingType[str, FieldRule]) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        compiled = {name: self.rule(rule) for name, rule in rules.items()}
        values = [(name, one.value) for name, one in compiled.items()]

        def gathered(context: Context) -> dict[str, Any]:
            return {name: found for name, value in values if (found := value(context)) is not None}

        return gathered, tuple(source for one in compiled.values() for source in one.sources), "together"

    def _transform(self, step: str | dict[str, dict[str, Any]]) -> tuple[str, Callable[..., Any]]:
        if isinstance(step, dict) and len(step) != 1:
            raise MappingError("a transform with options is written as one name with its options below")
        name, options = (step, {}) if isinstance(step, str) else next(iter(step.items()))
        options = {option: self._decided(given[_POLICY]) if _is_policy(given) else given for option, given in options.items()}
        try:
            return name, bind(name, options)
        except KeyError as error:
            raise MappingError(f"there is no transform `{name}`") from error
        except TypeError as error:
            raise MappingError(f"transform `{name}`: {error}") from error

    def _value_map(self, name: str) -> Value:
        """Compile a value map: a function from the source value to its entry, or to one column of it."""
        map_name, _, column = name.partition(".")
        if map_name not in self.mapping.value_maps:
            raise MappingError(f"there is no value map `{map_name}`")
        table: dict[str, Any] = {}
        for key, entry in self.mapping.value_maps[map_name].items():
            table[str(key).casefold().strip()] = entry.get(column) if isinstance(entry, dict) else entry
        otherwise = table.get(_ANY_VALUE)
        has_otherwise = _ANY_VALUE in table

        def translate(found: Any) -> Any:
            written = (text(found) or "").casefold().strip()
            if written in table:
                return table[written]
            if has_otherwise:
                return otherwise
            raise ValueProblem(f"{shown(found)} is not in the value map {map_name}: add it there", reason="VALUE_UNMAPPED")

        return translate

    # References

    def _locator(self, path: str) -> Callable[[Context], Place | None]:
        """Compile a path whose end is a link into a function that says where it leads, whether or not the record is there."""
        if path == _SELF:
            return lambda context: Place(context.envelope.entity, context.envelope.id)
        parsed = self._path(path)
        if not parsed.hops or parsed.keys:
            raise MappingError(f"`{path}` does not end at a link")
        (keys, link), before = parsed.hops[-1], parsed.hops[:-1]
        rule, is_of_element = self.links.rules[link], bool(parsed.root)
        is_by_id = (rule.id is not None or rule.decided is not None) and rule.chain is None
        place_of = compile_locate(link, self.links) if is_by_id else None

        def locate(context: Context) -> Place | None:
            node: Any = context.element if is_of_element else context.envelope
            for keys_before, link_before in before:
                node = follow(self.links, link_before, descend(node, keys_before), context)
            if keys:
                node = descend(node, keys)
            if node is None or isinstance(node, list):
                return None
            if place_of is not None:
                return place_of(node, context)
            found = follow(self.links, link, node, context)
            return Place(found.entity, found.id) if isinstance(found, Envelope) else None

        return locate

    def _reference(self, rule: RefRule) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        if rule.placeholder is not None:
            return self._placeholder(rule, rule.placeholder)
        locate = self._locator(rule.of)
        part = self.template(rule.part) if rule.part else None
        policy = _POLICIES[rule.on_missing]
        where = "its own record" if rule.of == _SELF else f"`{rule.of}`"
        mapped = {entity for entity, target, target_part in self._mapped if (target, target_part) == (rule.to, rule.part)}
        may_stay_out = rule.on_missing == "leave_out"

        def refer(context: Context) -> Any:
            place = locate(context)
            if place is None or place.entity not in mapped:
                return self._without(rule, place, where, context)
            if may_stay_out and not self._snapshot_moves(place, context):
                return self._without(rule, place, where, context)
            key = f"{rule.to}:{place.entity}/{place.source_id}"
            if part is not None:
                key = f"{key}/{part(context)}"
            if key not in context.references:
                context.references[key] = records_pb2.Reference(key=key, missing_policy=policy)
            return {"$ref": key}

        def read(context: Context) -> str | None:
            place = locate(context)
            return None if place is None else f"{place.entity}/{place.source_id}"

        return refer, ((rule.of, read),), f"reference to {rule.to}"

    def _placeholder(self, rule: RefRule, name: str) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        declared = self.mapping.placeholders.get(name)
        if declared is None or declared.target != rule.to:
            raise MappingError(f"there is no placeholder `{name}` of the target {rule.to} under `placeholders`")
        self.placeholders.append(name)
        key = placeholder_key(rule.to, name)

        def refer(context: Context) -> dict[str, str]:
            if key not in context.references:
                context.references[key] = records_pb2.Reference(key=key, missing_policy=_POLICIES[rule.on_missing])
            return {"$ref": key}

        return refer, (), f"placeholder {name}"

    @staticmethod
    def _without(rule: RefRule, place: Place | None, where: str, context: Context) -> None:
        named = f"{place.entity}/{place.source_id}" if place else ""
        problem = f"{where} leads to {named}, which is not moved" if named else f"{where} is empty or leads to a kind of record that is not moved"
        if rule.on_missing == "review" and not context.is_released:
            advice = "correct it in the source and run a delta, load the record `without_reference`, or skip it"
            raise RecordProblem(REFERENCE_MISSING, f"{problem}: {advice}", is_final=False)
        if rule.on_missing == "leave_out":
            raise LeaveOut(REFERENCE_MISSING, problem)

    def _owner(self, link: str) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        locate = self._locator(link)
        people = self.mapping.owners.people
        waits = self.mapping.policies.unmatched_owner == "wait"

        def own(context: Context) -> Any:
            place = locate(context)
            if place is None:
                return _user(context, FALLBACK_USER_KEY, waits=False)
            if context.lookup.get(place.entity, place.source_id) is not None:
                return _user(context, f"user:{place.entity}/{place.source_id}", waits=waits)
            if place.source_id in people:
                return _user(context, listed_user_key(place.entity, place.source_id), waits=waits)
            message = f"the owner {place.entity}/{place.source_id} is not among the source's users"
            if waits:
                raise RecordProblem("OWNER_UNMATCHED", f"{message}: add it to `owners.people` with an e-mail", is_final=False)
            context.remark("OWNER_UNMATCHED", f"{message}: the fallback user was used")
            return _user(context, FALLBACK_USER_KEY, waits=False)

        def read(context: Context) -> str | None:
            place = locate(context)
            return None if place is None else f"{place.entity}/{place.source_id}"

        return own, ((link, read),), "owner by e-mail"

    # Notes

    def _html(self, blocks: Sequence[Block]) -> tuple[Value, tuple[tuple[str, Getter], ...], str]:
        return compile_blocks(self, blocks), (), "note"

    def for_rows(self, list_path: str) -> RuleCompiler:
        """Answer a compiler for rules about the elements of a list, which they call `row`."""
        return RuleCompiler(self.mapping, self.links, self.entity, used=self._used, alias="row", list_path=list_path, manifest=self._manifest)

    def properties(self) -> Callable[[Context], list[tuple[str, str]]]:
        """Answer a function that writes the properties a tenant added as (name, text)."""
        rule, used = self.mapping.entities[self.entity], self._used.keys
        return lambda context: list(property_texts(rule, used, context.envelope))


def _is_policy(option: object) -> bool:
    return isinstance(option, dict) and set(option) == {_POLICY}


def _own_value(key: str, default: Any) -> Value:
    """Answer what a rule does that takes a field of the record as it is: most rules do no more."""

    def value(context: Context) -> Any:
        found = context.envelope.data.get(key)
        if found is None:
            return default
        if type(found) is str:  # nearly always
            return default if not found or found.isspace() else found
        return default if is_empty(found) else found

    return value


def plain_value(read: Value, default: Any = None) -> Value:
    """Answer what a rule without condition, transforms and value map does."""

    def value(context: Context) -> Any:
        found = read(context)
        if found is None:
            return default
        if type(found) is str:  # nearly always
            return default if not found or found.isspace() else found
        if isinstance(found, Envelope):
            found = found.data
        return default if is_empty(found) else found

    return value


def skip_reason(mapping: Mapping, envelope: Envelope) -> tuple[str, str] | None:
    """Say why the mapping leaves a whole record out, as (reason, message); None when it does not."""
    rule = mapping.entities.get(envelope.entity)
    if rule is None or rule.use == "not_moved":
        return "SKIPPED_NOT_MAPPED", f"the mapping does not move {envelope.entity} records; they are in the reference export"
    if rule.use == "part":
        return "SKIPPED_REFERENCE_DATA", f"{envelope.entity} records are moved as part of the record they belong to"
    if rule.use == "reference_data":
        return "SKIPPED_REFERENCE_DATA", f"{envelope.entity} records are looked up, not moved"
    if envelope.is_deleted and (rule.deleted or mapping.policies.deleted) == "skip":
        return "SKIPPED_DELETED", "deleted in the source"
    if envelope.is_archived and (rule.archived or mapping.policies.archived) == "skip":
        return "SKIPPED_ARCHIVED", "archived in the source"
    return None


def property_values(rule: EntityMapping, used: AbstractSet[str], envelope: Envelope) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Find the properties a tenant added, with their raw values: fields no rule reads or names as left out, and the keys of property groups."""
    for name, value in envelope.data.items():
        if name in rule.property_groups and isinstance(value, dict):
            for inner, inner_value in value.items():
                yield (name, inner), inner_value
        elif name not in used and name not in rule.not_moved and name not in rule.property_groups:
            yield (name,), value


def property_texts(rule: EntityMapping, used: AbstractSet[str], envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Write the properties a tenant added as (name, text), empty ones left out."""
    for keys, value in property_values(rule, used, envelope):
        if not is_empty(value) and (written := plain_text(value)):
            yield keys[-1], written


def _user(context: Context, key: str, *, waits: bool) -> dict[str, str]:
    if key not in context.references:
        if waits or key == FALLBACK_USER_KEY:
            reference = records_pb2.Reference(key=key, missing_policy=records_pb2.MISSING_POLICY_REVIEW)
        else:
            reference = records_pb2.Reference(key=key, missing_policy=records_pb2.MISSING_POLICY_FALLBACK, fallback_key=FALLBACK_USER_KEY)
        context.references[key] = reference
    return {"$ref": key}
