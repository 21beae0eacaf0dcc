"""The linter's rules for choices, placeholders, hierarchies, recurrences and icons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from services.common.errors import MappingError
from services.transformer.mapping.policies import Policies
from services.transformer.mapping.rules import FieldRule
from services.transformer.placeholders import placeholder_problem
from services.transformer.plan import field_rules, opened
from services.transformer.target import ICON_KEYS
from transload.v1 import transformer_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.rules import Condition

_ERROR: Final = pb.FINDING_SEVERITY_ERROR
_WARNING: Final = pb.FINDING_SEVERITY_WARNING
_INFO: Final = pb.FINDING_SEVERITY_INFO
WINDOW_POLICY: Final = "recurrence_from"


class Add(Protocol):
    """Takes a finding down."""

    def __call__(self, severity: pb.FindingSeverity.ValueType, path: str, message: str, requirement: str = "") -> None:
        """Take it down."""


def check_growth(mapping: Mapping, add: Add) -> None:
    """Check what can be checked of a mapping alone."""
    _check_choices(mapping, add)
    for name, kind in mapping.schema_.activity_types.items():
        if kind.icon_key not in ICON_KEYS:
            known = ", ".join(sorted(ICON_KEYS))
            add(
                _ERROR,
                f"schema.activity_types.{name}.icon_key",
                f"Pipedrive has no icon `{kind.icon_key}` for activity types; it has {known}",
                "L-05",
            )
    for name, one in mapping.placeholders.items():
        problem = placeholder_problem(mapping, name, one)
        if problem:
            add(_ERROR, f"placeholders.{name}", problem)
    for name, link in mapping.links.items():
        if link.level is not None and link.chain != "up":
            add(_ERROR, f"links.{name}.level", "levels are counted from the root of a chain up: say `chain: up`")
        if link.by is not None and link.chain is not None:
            add(_ERROR, f"links.{name}.by", "a chain goes by ids: leave `by` out")
    if asks_for_window(mapping) and not mapping.policies.recurrence_from:
        add(_ERROR, f"policies.{WINDOW_POLICY}", "what comes again is made in a window of time: say its first day, as YYYY-MM-DD", "NV-05")


def _check_choices(mapping: Mapping, add: Add) -> None:
    read = set(_policies_read(mapping))
    for name, choice in mapping.choices.items():
        path = f"choices.{name}"
        if name in Policies.model_fields:
            add(_ERROR, path, "there is a policy of this name: choose another one")
        if choice.value not in choice.allowed:
            add(_ERROR, f"{path}.value", f"{choice.value!r} is none of {', '.join(choice.allowed)}")
        if name not in read:
            add(_WARNING, path, "no rule and no condition asks for this choice")
        else:
            others = ", ".join(one for one in choice.allowed if one != choice.value)
            says = f"{choice.says}: " if choice.says else ""
            add(_INFO, path, f"{says}{choice.value} is chosen; also possible: {others or 'nothing else'}")


def asks_for_window(mapping: Mapping) -> bool:
    """Say whether some rule or condition asks for the window of recurrences."""
    return any(WINDOW_POLICY in policies for policies in _options(mapping)) or any(one.is_ == "after_window" for one in _conditions(mapping))


def _policies_read(mapping: Mapping) -> Iterator[str]:
    for options in _options(mapping):
        yield from options
    yield from (one.policy for one in _conditions(mapping) if one.policy is not None)


def _conditions(mapping: Mapping) -> Iterator[Condition]:
    """Go through all conditions, those inside others too."""
    conditions = list(mapping.conditions.values())
    for entity in mapping.entities.values():
        for target in entity.targets:
            conditions.extend(one for one in (target.when, *(stop.when for stop in target.stops)) if one is not None and not isinstance(one, str))
    for rule in _rules(mapping):
        conditions.extend(one for one in (rule.when, *(block.when for block in rule.html or [])) if one is not None and not isinstance(one, str))
    while conditions:
        one = conditions.pop()
        yield one
        conditions.extend(_inside(one))


def _inside(condition: Condition) -> list[Condition]:
    inner = [*(condition.all_ or []), *(condition.any_ or []), *([condition.not_] if condition.not_ is not None else [])]
    return [one for one in inner if not isinstance(one, str)]


def _options(mapping: Mapping) -> Iterator[list[str]]:
    """Go through the policies that transforms have as options, transform by transform."""
    for rule in _rules(mapping):
        for step in rule.transforms:
            for options in step.values() if isinstance(step, dict) else ():
                yield [given["policy"] for given in options.values() if isinstance(given, dict) and set(given) == {"policy"}]


def _rules(mapping: Mapping) -> Iterator[FieldRule]:
    """Go through all rules of all targets, those inside others too."""
    for entity in mapping.entities.values():
        for target in entity.targets:
            if isinstance(target.for_each, FieldRule):
                yield from opened(target.for_each)
            try:
                rules = list(field_rules(mapping, target))
            except MappingError:
                continue  # said elsewhere
            for _, rule, _ in rules:
                for one in opened(rule):
                    yield one
                    yield from _in_notes(one)


def _in_notes(rule: FieldRule) -> Iterator[FieldRule]:
    for block in rule.html or []:
        columns = block.table.columns.values() if block.table else ()
        for inner in (*(block.facts or {}).values(), *columns, *([block.text] if block.text else [])):
            yield from opened(inner)
