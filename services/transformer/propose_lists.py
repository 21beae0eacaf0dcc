"""Proposals from lists that only the account has: pipelines with their stages, activity types, the types of the tenant's own fields."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from services.transformer.empty import is_empty
from services.transformer.guessing import Guess, Observed, guess_status, guess_type, slug
from services.transformer.target import CUSTOM_KINDS, NAME_CHARACTERS_MAX, VARCHAR_CHARACTERS_MAX
from services.transformer.transforms.dates import calendar_date
from services.transformer.transforms.numbers import number
from services.transformer.transforms.problem import ValueProblem, shown
from services.transformer.transforms.texts import option, text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from collections.abc import Mapping as MappingType

    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.proposal_rules import PipelineProposal, PropertyTypes
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup

NO_STAGE: Final = "none"
_NO_STAGE_NAME: Final = "No stage"
_SEPARATOR: Final = " / "
_PERCENT_MAX: Final = 100
_IN_BRACES: Final = re.compile(r"\{([^{}]+)\}")
_PICKLISTS: Final = frozenset({"enum", "set"})


def free(wanted: str, taken: MappingType[str, Any]) -> str:
    """Answer a name that is not taken yet."""
    number_of, name = 2, wanted
    while name in taken:
        name, number_of = f"{wanted}_{number_of}", number_of + 1
    return name


def pipelines(rule: PipelineProposal, view: Lookup, value_maps: dict[str, Any], found: dict[str, Any]) -> None:
    """Make a pipeline of every value of a field and a stage of every value of another, in the list's own order."""
    table = value_maps.setdefault(rule.value_map, {})
    known = {name.casefold() for name in table}
    ids: dict[str, str] = {}
    for one in _in_order(rule, view):
        names = [_words(one.data.get(name)) for name in (rule.pipeline, rule.stage)]
        pair = _SEPARATOR.join(name for name in names if name)
        if pair.casefold() in known:
            continue
        known.add(pair.casefold())
        pipeline_id = _pipeline(names[0] or rule.default_pipeline, ids, found)
        stage_id = _stage(one, rule, names[1], found[pipeline_id])
        if pair:
            table[pair] = {"stage": f"{pipeline_id}.{stage_id}", **_closing(one, rule, names[1])}


def _in_order(rule: PipelineProposal, view: Lookup) -> Iterator[Envelope]:
    """Go through the lists by their own order, then through what else is used."""
    for position, entity in enumerate(rule.entities):
        records = (one for one in view.iterate(entity) if not one.is_deleted)
        # Records that use a stage are many and have no order: they are taken as they come.
        yield from records if position else sorted(records, key=lambda one: _number(one.data.get(rule.order)))


def _pipeline(name: str, ids: dict[str, str], found: dict[str, Any]) -> str:
    if name.casefold() not in ids:
        ids[name.casefold()] = pipeline_id = free(slug(name, "pipeline"), found)
        found[pipeline_id] = {"name": name[:NAME_CHARACTERS_MAX], "stages": {}}
    return ids[name.casefold()]


def _stage(one: Envelope, rule: PipelineProposal, name: str, pipeline: dict[str, Any]) -> str:
    stages = pipeline["stages"]
    stage_id = free(slug(name, "stage") if name else NO_STAGE, stages)
    stages[stage_id] = (name or _NO_STAGE_NAME)[:NAME_CHARACTERS_MAX]
    percent = one.data.get(rule.probability) if rule.probability and one.entity == rule.entities[0] else None
    if isinstance(percent, (int, float)) and not isinstance(percent, bool) and 0 <= percent <= _PERCENT_MAX:
        pipeline.setdefault("probabilities", {})[stage_id] = round(percent)
    return stage_id


def _closing(one: Envelope, rule: PipelineProposal, stage: str) -> dict[str, str]:
    """Say what a stage means for a deal: as the list says where it does, else guessed by its name."""
    if one.entity == rule.entities[0]:
        word = _words(one.data.get(rule.closes)) if rule.closes else ""
        meaning = {known.casefold(): status for known, status in rule.closes_as.items()}
        return {"status": meaning.get(word.casefold(), "open")}
    status, _ = guess_status(stage, closed_means_won=False)
    return {"status": status, "remark": f"needs_review: no list of stages has {stage!r}; it stands on records only"}


def activity_types(mapping: Mapping, view: Lookup, value_maps: dict[str, Any]) -> dict[str, Any]:
    """Make an activity type of every value that has no entry yet."""
    found: dict[str, Any] = {}
    for rule in mapping.propose.activity_types:
        table = value_maps.setdefault(rule.value_map, {})
        known = {str(name).casefold().strip() for name in (*mapping.value_maps.get(rule.value_map, {}), *table)}
        if "*" in known:
            continue
        seen = Counter(_words(one.data.get(rule.field)) for one in view.iterate(rule.entity) if not one.is_deleted)
        for name in sorted(seen):
            if name and name.casefold() not in known:
                known.add(name.casefold())
                table[name] = type_id = free(slug(name, "type"), {**mapping.schema_.activity_types, **found})
                found[type_id] = {"name": name[:NAME_CHARACTERS_MAX]}
    return found


def policies(mapping: Mapping, view: Lookup) -> dict[str, str]:
    """Answer the policies the source itself says."""
    found: dict[str, str] = {}
    for name, rule in mapping.propose.policies.items():
        one = view.get(rule.entity, rule.id)
        if one is not None and (word := _words(one.data.get(rule.field))):
            found[name] = word
    return found


@dataclass(frozen=True, slots=True)
class Said:
    """What the source says of one of the tenant's fields.

    Attributes:
        guess: the type it names; None when its word is not known.
        left_out: why it becomes no field; empty when it does.
        separator: what stands between several values that are written as one text; empty where they are not.
    """

    label: str
    guess: Guess | None
    left_out: str = ""
    separator: str = ""

    def parts(self, value: Any) -> Any:
        """Take a text that holds several values apart."""
        return option(value, separator=self.separator) if self.separator and isinstance(value, str) else value


class DeclaredTypes:
    """What the source itself says of the tenant's fields, by entity and label."""

    def __init__(self, rule: PropertyTypes | None, view: Lookup) -> None:
        self._labels: dict[tuple[str, str], Said] = {}
        self._starts: dict[str, list[tuple[str, Said]]] = {}
        if rule is not None:
            objects = {name.casefold(): entity for name, entity in rule.objects.items()}
            for one in view.iterate(rule.entity):
                entity = objects.get(_words(one.data.get(rule.object)).casefold())
                if entity and not one.is_deleted:
                    self._take(rule, entity, one)

    def _take(self, rule: PropertyTypes, entity: str, one: Envelope) -> None:
        word, label = _words(one.data.get(rule.type)), _words(one.data.get(rule.label))
        kind = {name.casefold(): kind for name, kind in rule.types.items()}.get(word.casefold())
        values = one.data.get(rule.values) if rule.values else None
        options = tuple(dict.fromkeys(_words(value) for value in values)) if isinstance(values, list) else ()
        guess = Guess(kind, options, 1.0, f"the source says {word}") if kind is not None and kind in CUSTOM_KINDS else None
        said = Said(label, guess, _by_word(rule.left_out, word), _by_word(rule.separators, word))
        if rule.key_start is not None:
            start = _IN_BRACES.sub(lambda match: _words(one.data.get(match[1])), rule.key_start)
            self._starts.setdefault(entity, []).append((start.casefold(), said))
        elif label:
            self._labels[entity, label.casefold()] = said

    def of(self, entity: str, key: str, kinds: Collection[str] = ()) -> Said | None:
        """Answer what is said of a field. `kinds` are the types that the values themselves come with, none or one for each."""
        found = self._labels.get((entity, key.casefold()))
        if found is None:
            found = next((said for start, said in self._starts.get(entity, ()) if key.casefold().startswith(start)), None)
        if found is None and len(kinds) == 1 and (kind := next(iter(kinds))):
            return Said(key, Guess(kind, (), 1.0, "the source says so with each value"))
        return found


def _by_word(table: MappingType[str, str], word: str) -> str:
    return {name.casefold(): text for name, text in table.items()}.get(word.casefold(), "")


def typed(said: Said | None, seen: Observed) -> Guess:
    """Answer the type the source names, if what was seen fits it, else the one the values show."""
    shown_type = guess_type(seen)
    declared = said.guess if said else None
    if declared is None:
        return shown_type
    if declared.type in _PICKLISTS:
        return _picklist(declared, shown_type, seen)
    if declared.type == "varchar" and seen.length_max > VARCHAR_CHARACTERS_MAX:
        return replace(declared, type="text", reason=f"{declared.reason}; long text, because of values of up to {seen.length_max} characters")
    misfit = next((value for value in seen.distinct if not _fits(declared.type, value)), None)
    if misfit is None:
        return declared
    reason = f"needs_review: {declared.reason}, but {shown(misfit)} is none; {shown_type.reason}"
    return replace(shown_type, score=min(shown_type.score, 0.5), reason=reason)


def _picklist(declared: Guess, shown_type: Guess, seen: Observed) -> Guess:
    """Take the list's values and those that stand on records only; without any the field cannot be a picklist."""
    if seen.is_overfull:
        return replace(shown_type, reason=f"needs_review: {declared.reason}, but it has too many different values for a picklist")
    # Both words of a truth value can come, whichever was seen.
    found = ["No", "Yes"] if set(seen.kinds) == {"bool"} else sorted(seen.elements or seen.distinct)
    values = [one for value in found if (one := value.strip())]
    options = tuple(one for one in dict.fromkeys((*declared.options, *values)) if one)
    if not options:
        return replace(shown_type, reason=f"{declared.reason}, but it has no values")
    extra = [one for one in values if declared.options and one not in declared.options]
    reason = f"needs_review: {declared.reason}; not on its list: {', '.join(extra[:5])}" if extra else declared.reason
    return replace(declared, type="set" if seen.kinds.get("list") else declared.type, options=options, reason=reason)


def _fits(kind: str, value: str) -> bool:
    try:
        match kind:
            case "double" | "monetary":
                number(value)
            case "date":
                calendar_date(value)
            case "varchar":
                return len(value) <= VARCHAR_CHARACTERS_MAX
    except ValueProblem:
        return False
    return True


def _words(value: Any) -> str:
    return "" if is_empty(value) or isinstance(value, (list, dict)) else " ".join((text(value) or "").split())


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("inf")
