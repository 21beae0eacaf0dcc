"""Compiles the rules of a mapping into plain functions, once per manifest, so that mapping a record parses and looks up nothing of the mapping."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.catalogue import CATALOGUE, bind
from services.transformer.empty import is_empty
from services.transformer.note_images import place_images
from services.transformer.paths import Getter, Path, compile_path, parse_path
from services.transformer.rules.blocks import compile_blocks
from services.transformer.rules.compiled import CompiledRule, Source, Test, Used, Value
from services.transformer.rules.conditions import compile_condition
from services.transformer.rules.properties import property_texts
from services.transformer.rules.references import compile_owner, compile_reference
from services.transformer.snapshot.envelope import Envelope
from services.transformer.texts import plain_text
from services.transformer.transforms.problem import ValueProblem, shown
from services.transformer.transforms.texts import text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Mapping as MappingType

    from services.transformer.context import Context
    from services.transformer.links import Links
    from services.transformer.manifest import Manifest
    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.rules import Block, ConditionRef, FieldRule

_ANY_VALUE: Final = "*"
_POLICY: Final = "policy"


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
        self.manifest = manifest
        self._used = used
        self._alias = alias
        self._list_keys = tuple(list_path.split(".")) if list_path else ()
        self.placeholders: list[str] = []
        self.mapped = {
            (entity, target.target, target.part) for entity, rule in mapping.entities.items() if rule.use == "move" for target in rule.targets
        }

    # Paths and texts

    def getter(self, path: str) -> Getter:
        """Compile a source path."""
        return compile_path(self.path(path), self.links)

    def path(self, path: str) -> Path:
        """Parse a source path, and note what it reads."""
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
            return compile_condition(self, self.mapping.conditions[ref])
        return compile_condition(self, ref)

    def decided(self, name: str) -> Any:
        """Answer what a policy or a choice says. Raises MappingError where there is neither."""
        try:
            return self.mapping.decided(name)
        except KeyError as error:
            known = sorted([*type(self.mapping.policies).model_fields, *self.mapping.choices])
            raise MappingError(f"there is no policy or choice `{name}`; known: {', '.join(known)}") from error

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
            key = self.path(rule.from_).own_field if isinstance(rule.from_, str) else ""
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

    def _source(self, rule: FieldRule) -> Source:
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
            return compile_reference(self, rule.ref)
        if rule.owner is not None:
            return compile_owner(self, rule.owner)
        if rule.html is not None:
            return self._html(rule.html)
        fixed = rule.value if rule.policy is None else self.decided(rule.policy)
        return (lambda _context: fixed), (), "fixed value"

    def _from(self, paths: Sequence[str]) -> Source:
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

    def _join(self, rules: Sequence[FieldRule], separator: str) -> Source:
        compiled = [self.rule(rule) for rule in rules]

        def joined(context: Context) -> str | None:
            return separator.join(part for one in compiled if (part := plain_text(one.value(context)))) or None

        return joined, tuple(source for one in compiled for source in one.sources), "joined"

    def _cases(self, rules: Sequence[FieldRule]) -> Source:
        compiled = [self.rule(rule) for rule in rules]

        values = [one.value for one in compiled]

        def first(context: Context) -> Any:
            for value in values:
                found = value(context)
                if found is not None:
                    return found
            return None

        return first, tuple(source for one in compiled for source in one.sources), "first case that holds"

    def _together(self, rules: Sequence[FieldRule]) -> Source:
        compiled = [self.rule(rule) for rule in rules]

        def gathered(context: Context) -> list[Any]:
            found = [one.value(context) for one in compiled]
            return [element for value in found if value is not None for element in (value if isinstance(value, list) else [value])]

        return gathered, tuple(source for one in compiled for source in one.sources), "together"

    def _object(self, rules: MappingType[str, FieldRule]) -> Source:
        compiled = {name: self.rule(rule) for name, rule in rules.items()}
        values = [(name, one.value) for name, one in compiled.items()]

        def gathered(context: Context) -> dict[str, Any]:
            return {name: found for name, value in values if (found := value(context)) is not None}

        return gathered, tuple(source for one in compiled.values() for source in one.sources), "together"

    def _transform(self, step: str | dict[str, dict[str, Any]]) -> tuple[str, Callable[..., Any]]:
        if isinstance(step, dict) and len(step) != 1:
            raise MappingError("a transform with options is written as one name with its options below")
        name, options = (step, {}) if isinstance(step, str) else next(iter(step.items()))
        options = {option: self.decided(given[_POLICY]) if _is_policy(given) else given for option, given in options.items()}
        try:
            return name, bind(name, options)
        except KeyError as error:
            raise MappingError(f"there is no transform `{name}`; known: {', '.join(CATALOGUE)}") from error
        except TypeError as error:
            raise MappingError(f"transform `{name}`: {error}") from error

    def _value_map(self, name: str) -> Value:
        """Compile a value map: a function from the source value to its entry, or to one column of it."""
        map_name, _, column = name.partition(".")
        if map_name not in self.mapping.value_maps:
            raise MappingError(f"there is no value map `{map_name}`; known: {', '.join(sorted(self.mapping.value_maps)) or 'none'}")
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

    # Notes

    def _html(self, blocks: Sequence[Block]) -> Source:
        return compile_blocks(self, blocks), (), "note"

    def for_rows(self, list_path: str) -> RuleCompiler:
        """Answer a compiler for rules about the elements of a list, which they call `row`."""
        return RuleCompiler(self.mapping, self.links, self.entity, used=self._used, alias="row", list_path=list_path, manifest=self.manifest)

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
