"""How like a proposed custom field is to one the account has already: by name, type and values, offline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidfuzz import fuzz

from services.transformer.guessing import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCORE_MIN: Final = 0.55
"""Below this a likeness is chance."""
SUGGESTIONS_MAX: Final = 3
_NAME_WEIGHT: Final = 0.6
_TYPE_WEIGHT: Final = 0.2
_VALUES_WEIGHT: Final = 0.2
_NAME_MIN: Final = 0.5
_TEXTS: Final = frozenset({"varchar", "varchar_auto", "text"})
_NUMBERS: Final = frozenset({"double", "monetary"})
_PICKLISTS: Final = frozenset({"enum", "set"})
_FAMILIES: Final = (_TEXTS, _NUMBERS, _PICKLISTS)
_SAME: Final = 1.0
_RELATED: Final = 0.5


@dataclass(frozen=True, slots=True)
class Likeness:
    """A custom field of the account that might serve, with the reasons.

    Attributes:
        score: 0 to 1.
        fits: whether every value would be taken: the type is the same, or takes any text, and no option is missing that cannot be added.
    """

    name: str
    type: str
    options: tuple[str, ...]
    score: float
    reason: str
    fits: bool


def likenesses(
    name: str, kind: str, options: Sequence[str], existing: Iterable[Mapping[str, Any]], other_names: Sequence[str] = ()
) -> list[Likeness]:
    """Answer the fields of an account most like a proposed one, the best first; `other_names` are names of the same thing in the source."""
    found = [_likeness([name, *other_names], kind, options, field) for field in existing if field.get("is_custom_field")]
    fitting = sorted((one for one in found if one is not None and one.score >= SCORE_MIN), key=lambda one: (-one.score, one.name))
    return fitting[:SUGGESTIONS_MAX]


def _likeness(names: Sequence[str], kind: str, options: Sequence[str], field: Mapping[str, Any]) -> Likeness | None:
    theirs, their_kind = str(field.get("field_name") or ""), str(field.get("field_type") or "")
    name_score = max(name_likeness(name, theirs) for name in names)
    if name_score < _NAME_MIN:
        return None
    labels = tuple(str(option.get("label") or "") for option in field.get("options") or [])
    type_score = _type_likeness(kind, their_kind)
    weights, parts = _NAME_WEIGHT + _TYPE_WEIGHT, name_score * _NAME_WEIGHT + type_score * _TYPE_WEIGHT
    reasons = [f"name {name_score:.2f}", _type_words(kind, their_kind, type_score)]
    if options and labels:
        ours, known = {plain(option) for option in options}, {plain(label) for label in labels}
        share = len(ours & known) / len(ours)
        weights, parts = weights + _VALUES_WEIGHT, parts + share * _VALUES_WEIGHT
        reasons.append(f"{len(ours & known)} of {len(ours)} options are there")
    fits = type_score == _SAME or their_kind in _TEXTS
    return Likeness(theirs, their_kind, labels, round(parts / weights, 2), ", ".join(reasons), fits)


def name_likeness(ours: str, theirs: str) -> float:
    """Compare two names, 0 to 1: case, accents, order of words and words that only one of them has count little."""
    left, right = plain(ours).replace("_", " ").replace("-", " ").strip(), plain(theirs).replace("_", " ").replace("-", " ").strip()
    if not left or not right:
        return 0.0
    # The set of words forgives a prefix such as the source's name; the plain ratio keeps short words from matching everything.
    return round((0.6 * fuzz.token_set_ratio(left, right) + 0.4 * fuzz.token_sort_ratio(left, right)) / 100, 4)


def _type_likeness(ours: str, theirs: str) -> float:
    if ours == theirs:
        return _SAME
    return _RELATED if any(ours in family and theirs in family for family in _FAMILIES) or theirs in _TEXTS else 0.0


def _type_words(ours: str, theirs: str, score: float) -> str:
    return f"same type {theirs}" if score == _SAME else f"type {theirs} instead of {ours}" + ("" if score else ", which does not hold the values")
