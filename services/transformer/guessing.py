"""Guesses the proposal makes: what a state's name means for a deal, and of which type a property is. A person confirms every one of them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from services.transformer.empty import is_empty
from services.transformer.target import VARCHAR_CHARACTERS_MAX
from services.transformer.transforms.dates import moment
from services.transformer.transforms.problem import ValueProblem
from services.transformer.transforms.texts import text

_OPEN_WORDS: Final = (
    *("pendiente", "pending", "curso", "progress", "borrador", "draft", "abiert", "open", "nuev", "enviad", "sent", "negocia", "pausa", "hold"),
)
_LOST_WORDS: Final = ("rechaz", "reject", "perdid", "lost", "cancel", "anulad", "void", "caduc", "expir", "declin", "deneg", "desestim")
_WON_WORDS: Final = (
    "acept",
    "accept",
    "aprob",
    "approv",
    "ganad",
    "won",
    "factur",
    "invoic",
    "cobrad",
    "pagad",
    "paid",
    "complet",
    "finaliz",
    "done",
)
_CLOSED_WORDS: Final = ("cerrad", "closed")
_DISTINCT_MAX: Final = 200
_OPTIONS_MAX: Final = 12
_REPEATS_MIN: Final = 3
_OPTION_CHARACTERS_MAX: Final = 60
_ISO_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T|$)")


def guess_status(name: str, *, closed_means_won: bool) -> tuple[str, str]:
    """Answer `open`, `won` or `lost` for a state's name in Spanish or English, and what to look at, empty when the name is plain."""
    word = plain(name)
    if any(known in word for known in _OPEN_WORDS):
        return "open", ""
    if any(known in word for known in _LOST_WORDS):
        return "lost", f"needs_review: {name!r} reads like lost"
    if any(known in word for known in _WON_WORDS):
        return "won", f"needs_review: {name!r} reads like won"
    if any(known in word for known in _CLOSED_WORDS):
        if closed_means_won:
            return "won", f"needs_review: {name!r} reads like done, so won"
        return "open", f"needs_review: {name!r} does not say won or lost; documents with a following document become won in any case"
    return "open", f"needs_review: what {name!r} means for a deal is not known"


def plain(name: str) -> str:
    """Write a name without accents and capitals."""
    decomposed = unicodedata.normalize("NFKD", name.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def slug(name: str, otherwise: str) -> str:
    """Make an id of a name: lower-case latin letters, digits and underscores; `otherwise` when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "_", plain(name)).strip("_")[:60] or otherwise


@dataclass(slots=True)
class Observed:
    """What was seen of one property's values. Bounded: distinct values are counted up to a limit."""

    count: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    distinct: Counter[str] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
    """What stands in lists, one by one."""
    length_max: int = 0
    is_overfull: bool = False

    def see(self, value: Any) -> None:
        """Take one value in; empty ones do not count."""
        if is_empty(value):
            return
        self.count += 1
        self.kinds[_kind(value)] += 1
        if isinstance(value, list):
            self._see_elements(value)
        written = text(value) or ""
        self.length_max = max(self.length_max, len(written))
        if written in self.distinct or len(self.distinct) < _DISTINCT_MAX:
            self.distinct[written] += 1
        else:
            self.is_overfull = True

    def _see_elements(self, value: list[Any]) -> None:
        for element in value:
            label = text(element) or "" if isinstance(element, (str, int, float)) else ""
            if label in self.elements or len(self.elements) < _DISTINCT_MAX:
                self.elements[label] += 1

    def merged(self, other: Observed) -> Observed:
        """Put what was seen of the same property on two entities together."""
        both = Observed(self.count + other.count, self.kinds + other.kinds, self.distinct + other.distinct)
        both.elements = self.elements + other.elements
        both.length_max = max(self.length_max, other.length_max)
        both.is_overfull = self.is_overfull or other.is_overfull or len(both.distinct) > _DISTINCT_MAX
        return both


@dataclass(frozen=True, slots=True)
class Guess:
    """A proposed custom field type."""

    type: str
    options: tuple[str, ...]
    score: float
    reason: str


def guess_type(seen: Observed) -> Guess:
    """Answer the type that keeps every value that was seen, how sure that is, and why."""
    kinds = set(seen.kinds)
    if not seen.count:
        return Guess("varchar", (), 0.2, "no record has a value for it")
    if kinds == {"bool"}:
        return Guess("enum", ("Yes", "No"), 0.95, f"{seen.count} values, all yes or no")
    if kinds == {"number"}:
        return Guess("double", (), 0.95, f"{seen.count} values, all numbers")
    if kinds == {"date"}:
        return Guess("date", (), 0.95, f"{seen.count} values, all dates")
    if kinds == {"date", "loose_date"}:
        share = seen.kinds["date"] / seen.count
        return Guess("date", (), round(0.6 + 0.3 * share, 2), f"{seen.count} values, all dates, but in mixed formats")
    if kinds <= {"text", "loose_date"}:
        return _guess_text(seen)
    if kinds == {"list"} and len(seen.elements) <= _OPTIONS_MAX and all(_is_label(label) for label in seen.elements):
        return Guess("set", tuple(sorted(seen.elements)), 0.85, f"{seen.count} lists of {len(seen.elements)} different values: a picklist of several")
    kind = "varchar" if seen.length_max <= VARCHAR_CHARACTERS_MAX else "text"
    mixed = ", ".join(f"{count} {name}" for name, count in sorted(seen.kinds.items()))
    return Guess(kind, (), 0.5, f"values of several kinds ({mixed}): kept as text")


def _guess_text(seen: Observed) -> Guess:
    distinct = len(seen.distinct)
    if seen.length_max > VARCHAR_CHARACTERS_MAX:
        return Guess("text", (), 0.9, f"texts of up to {seen.length_max} characters")
    # Labels that differ in blanks only, or hold line breaks, would not come back from Pipedrive as they were sent.
    are_labels = all(_is_label(label) for label in seen.distinct)
    if are_labels and not seen.is_overfull and distinct <= _OPTIONS_MAX and seen.count >= distinct * _REPEATS_MIN:
        options = tuple(sorted(seen.distinct))
        return Guess("enum", options, 0.8, f"{seen.count} values, only {distinct} different ones: a picklist")
    return Guess("varchar", (), 0.85, f"{seen.count} short texts, {distinct}{'+' if seen.is_overfull else ''} different ones")


def _is_label(label: str) -> bool:
    return 0 < len(label) <= _OPTION_CHARACTERS_MAX and label == " ".join(label.split())


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if not isinstance(value, str):
        return "list" if isinstance(value, list) else "object"
    stripped = value.strip()
    if not any(character.isdigit() for character in stripped) or len(stripped) > 40:  # noqa: PLR2004 - no date is longer
        return "text"
    try:
        moment(stripped)
    except ValueProblem:
        return "text"
    return "date" if _ISO_DATE.match(stripped) else "loose_date"
