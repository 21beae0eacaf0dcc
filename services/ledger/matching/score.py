"""Compares two records: how sure it is that they are one, and why. Symmetric, and the same for the same two records always."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rapidfuzz import fuzz

from services.ledger.matching.identity import NAME, NAME_AND_POSTCODE

if TYPE_CHECKING:
    from services.ledger.matching.identity import Identity, Rules

_ALIKE: Final = 0.85
"""Names from this likeness on count as nearly the same."""
_UNLIKE: Final = 0.5
"""Names below this likeness speak against it."""
_DOUBT: Final = 0.8
"""What remains of a score when the names speak against it."""
_OTHER_CODE: Final = 0.5
"""What remains when both have a code, and not the same."""
_DIGITS: Final = 3
_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that speaks for or against.

    Attributes:
        key: kind of key, or field of those that must not differ.
        word: `same`, `alike`, `unlike`, `other`, `differs`.
        value: what they agree in, or how alike they are.
    """

    key: str
    word: str
    value: str = ""

    def plain(self) -> dict[str, Any]:
        """Answer it as an event keeps it."""
        return {"key": self.key, "word": self.word} | ({"value": self.value} if self.value else {})

    def __str__(self) -> str:
        """Write it for people."""
        name = self.key.replace("_", " ")
        if self.word == "same":
            shown = self.value.replace("\0", ", ")
            return f"same {name}" + (f" ({shown})" if shown else "")
        if self.word == "alike":
            return f"{name} alike ({self.value})"
        return {"unlike": f"{name} unlike ({self.value})", "other": f"another {name}", "differs": f"{name} must not differ, but does"}[self.word]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How sure it is that two records are one.

    Attributes:
        score: 0 to 1.
        is_enough: they agree in a key that is certain by itself.
        is_barred: they differ in a field that must not differ: nobody but a person may say they are one.
    """

    score: float
    reasons: tuple[Reason, ...] = ()
    is_enough: bool = False
    is_barred: bool = False


STRANGERS: Final = Judgement(0.0)
"""Nothing speaks for it."""


def compare(rules: Rules, one: Identity, other: Identity) -> Judgement:
    """Compare two records key by key: each key they agree in leaves less room for doubt."""
    doubt, is_enough = 1.0, False
    reasons: list[Reason] = []
    for key in rules.keys:
        theirs = other.values.get(key.kind)
        common = [value for value in one.values.get(key.kind, ()) if value in theirs] if theirs else None
        if common:
            doubt *= 1.0 - key.score
            is_enough |= key.is_enough
            reasons.append(Reason(key.kind, "same", "" if key.kind.startswith(NAME) else common[0]))
    likeness = fuzz.token_sort_ratio(*sorted((one.name, other.name))) / 100 if one.name and other.name else None
    if likeness is not None and _ALIKE <= likeness < 1.0 and _numbers(one.name) == _numbers(other.name):
        doubt *= 1.0 - likeness * _alike_score(rules, one, other)
        reasons.append(Reason(NAME, "alike", f"{likeness:.2f}"))
    if not reasons:
        return STRANGERS
    score = 1.0 - doubt
    if likeness is not None and likeness < _UNLIKE:
        score *= _DOUBT
        reasons.append(Reason(NAME, "unlike", f"{likeness:.2f}"))
    codes = [set(identity.values.get("code", ())) for identity in (one, other)]
    if all(codes) and not codes[0] & codes[1]:
        score *= _OTHER_CODE
        reasons.append(Reason("code", "other"))
    differing = [field for field in rules.differ if field in one.differ and field in other.differ and one.differ[field] != other.differ[field]]
    reasons.extend(Reason(field, "differs") for field in differing)
    return Judgement(round(1.0 if is_enough else score, _DIGITS), tuple(reasons), is_enough, is_barred=bool(differing))


def _numbers(name: str) -> list[str]:
    """Answer the numbers in a name: `Hall 1` and `Hall 2` are nearly the same text and two halls."""
    return sorted(_NUMBER.findall(name))


def _alike_score(rules: Rules, one: Identity, other: Identity) -> float:
    """Answer what names say that are nearly the same: more in the same place."""
    scores = {key.kind: key.score for key in rules.keys}
    if one.postcode and one.postcode == other.postcode and NAME_AND_POSTCODE in scores:
        return scores[NAME_AND_POSTCODE]
    return scores.get(NAME, 0.0)
