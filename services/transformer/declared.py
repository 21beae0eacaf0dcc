"""Fields that the source itself describes: type and options of what a tenant added, checked against the values that are really there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.transformer.guessing import Guess, Observed, guess_type
from services.transformer.target import OPTION_LABEL_CHARACTERS_MAX, VARCHAR_CHARACTERS_MAX
from services.transformer.texts import plain_text
from services.transformer.transforms import ValueProblem, number

if TYPE_CHECKING:
    from services.transformer.index import Envelope, Lookup
    from services.transformer.mapping import DeclaredProposal, Mapping

_IN_BRACES: Final = re.compile(r"\{([^{}]+)\}")
_SCORE: Final = 0.98
_WIDENED: Final = 0.7
_OPTIONS_ADDED_MAX: Final = 50
"""Values beside the described options that still look like options."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the source says of one property.

    Attributes:
        type: custom field type; empty when its word is not known.
        left_out: why it becomes no field, empty when it does.
    """

    name: str
    word: str
    type: str = ""
    options: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(slots=True)
class DeclaredFields:
    """All that is described, by source entity and by the property's name or its beginning."""

    exact: dict[tuple[str, str], Declared] = field(default_factory=dict)
    starts: dict[str, dict[str, Declared]] = field(default_factory=dict)

    def of(self, entity: str, name: str) -> Declared | None:
        """Answer what is said of a property of an entity."""
        wanted = _plain(name)
        found = self.exact.get((entity, wanted))
        if found is not None:
            return found
        return next((one for start, one in self.starts.get(entity, {}).items() if wanted.startswith(start)), None)


def read_declared(mapping: Mapping, view: Lookup) -> DeclaredFields:
    """Read the descriptions from a snapshot."""
    fields = DeclaredFields()
    for proposal in mapping.propose.declared:
        for one in view.iterate(proposal.entity):
            if not one.is_deleted:
                _take(proposal, one, fields)
    return fields


def _take(proposal: DeclaredProposal, one: Envelope, fields: DeclaredFields) -> None:
    word = _plain(plain_text(one.data.get(proposal.type)) or "")
    kinds = {_plain(name): kind for name, kind in proposal.types.items()}
    reasons = {_plain(name): reason for name, reason in proposal.left_out.items()}
    options = one.data.get(proposal.options) if proposal.options else None
    labels = [plain_text(option) or "" for option in (options if isinstance(options, list) else [options] if options else [])]
    name = plain_text(one.data.get(proposal.name)) or ""
    declared = Declared(name, word, kinds.get(word, ""), _labels(labels), reasons.get(word, ""))
    kind = _plain(plain_text(one.data.get(proposal.of)) or "") if proposal.of else ""
    for entity, words in proposal.entities.items():
        if kind not in {_plain(known) for known in words} and proposal.of:
            continue
        if proposal.key is not None:
            fields.exact.setdefault((entity, _plain(_filled(proposal.key, one))), declared)
        if proposal.key_start is not None:
            fields.starts.setdefault(entity, {}).setdefault(_plain(_filled(proposal.key_start, one)), declared)


def typed(declared: Declared, seen: Observed) -> Guess:
    """Answer the type of a described field: as described, unless values that are there would not fit; then one that keeps them all."""
    said = f"described as {declared.word}"
    match declared.type:
        case "":
            guess = guess_type(seen)
            return Guess(guess.type, guess.options, guess.score, f"{said}, which is not known here; {guess.reason}")
        case "enum" | "set":
            return _choice(declared, seen, said)
        case "double" if not _all_numbers(seen):
            return _text(seen, f"{said}, but some values are no numbers: kept as text")
        case "date" if set(seen.kinds) - {"date"}:
            return _text(seen, f"{said}, but some values are no plain dates: kept as text")
        case "varchar" if seen.length_max > VARCHAR_CHARACTERS_MAX:
            return Guess("text", (), _WIDENED, f"{said}; long text, because of values of up to {seen.length_max} characters")
    return Guess(declared.type, (), _SCORE, said)


def _choice(declared: Declared, seen: Observed, said: str) -> Guess:
    found = seen.elements if seen.elements else seen.distinct
    if seen.kinds.get("bool"):
        found = seen.distinct + type(seen.distinct)({"Yes": 1, "No": 1})
    known = {option.casefold() for option in declared.options}
    more = [label for label in sorted(found) if label.strip() and label.casefold() not in known]
    exact = {label for label in found if label not in declared.options}
    if seen.is_overfull or len(more) > _OPTIONS_ADDED_MAX or any(len(label) > OPTION_LABEL_CHARACTERS_MAX or label != " ".join(label.split()) for label in more):
        return _text(seen, f"{said}, but the values are not its options: kept as text")
    # An option in other letters is an option of its own: nothing is guessed about which of both is meant.
    options = tuple(dict.fromkeys([*declared.options, *more, *sorted(exact)]))
    if not options:
        return _text(seen, f"{said}, but it has no options")
    kind = "set" if seen.kinds.get("list") else declared.type
    added = f"; {len(options) - len(declared.options)} values are not among its options and were added" if declared.options and len(options) > len(declared.options) else ""
    return Guess(kind, options, _WIDENED if added else _SCORE, f"{said}{added}")


def _text(seen: Observed, reason: str) -> Guess:
    return Guess("varchar" if seen.length_max <= VARCHAR_CHARACTERS_MAX else "text", (), _WIDENED, reason)


def _all_numbers(seen: Observed) -> bool:
    if set(seen.kinds) <= {"number"}:
        return True
    if seen.is_overfull or seen.kinds.get("bool"):
        return False
    try:
        for value in seen.distinct:
            number(value)
    except ValueProblem:
        return False
    return True


def _labels(labels: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(" ".join(label.split()) for label in labels if label.strip()))


def _filled(template: str, one: Envelope) -> str:
    values: dict[str, Any] = dict(one.data)
    return _IN_BRACES.sub(lambda match: plain_text(values.get(match[1])) or "", template)


def _plain(name: str) -> str:
    """Write a name as it is compared; blanks at its end count, so that the beginning of one is not that of another."""
    folded = " ".join(name.casefold().split())
    return f"{folded} " if name.endswith(" ") and folded else folded
