"""Chooses among candidates: certain, uncertain, none. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from services.ledger.domain import Named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from services.ledger.matching.identity import Rules
    from services.ledger.matching.score import Judgement

CANDIDATES_MAX: Final = 10
"""Candidates named in an explanation."""
_REVIEW: Final = "review"


class Verdict(StrEnum):
    """What comes of the comparison."""

    CERTAIN = "certain"
    UNCERTAIN = "uncertain"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Place:
    """A record that the new one may be.

    Attributes:
        candidate: `target/{id}`, or a mapped record's key.
        target_id: its id in Pipedrive; empty: it is not there yet.
        key: the record of this migration that made it or makes it; empty: it was there before.
        has_first: another record of this migration was matched with it before.
        is_waiting: it waits for a person itself.
    """

    candidate: str
    target_id: str
    key: str
    title: str
    judgement: Judgement
    has_first: bool = False
    is_waiting: bool = False

    @property
    def named(self) -> Named:
        """Answer it as an explanation names it."""
        return Named(self.candidate, self.target_id, self.title, self.judgement.score, tuple(str(reason) for reason in self.judgement.reasons))


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen.

    Attributes:
        place: the record it is; None: none, or a person decides.
        places: all that came into question, the best first.
    """

    verdict: Verdict
    place: Place | None = None
    places: Sequence[Place] = ()


def choose(rules: Rules, places: Iterable[Place]) -> Choice:
    """Choose. Two that are certain are not: a person says which one."""
    wanted = sorted((place for place in places if _is_wanted(rules, place)), key=lambda place: (-place.judgement.score, place.candidate))
    certain = [place for place in wanted if _is_certain(rules, place)]
    doubtful = [place for place in wanted if place.judgement.score >= rules.uncertain]
    named = tuple(wanted[:CANDIDATES_MAX])
    if len(certain) == 1:
        return Choice(Verdict.CERTAIN, certain[0], named)
    if certain or doubtful:
        return Choice(Verdict.UNCERTAIN, None, tuple(doubtful[:CANDIDATES_MAX]) or named)
    return Choice(Verdict.NONE, None, named)


def _is_wanted(rules: Rules, place: Place) -> bool:
    """Say whether the policies want this kind of candidate at all."""
    if not place.judgement.reasons:
        return False
    return rules.within_source != "keep_all" if place.key else rules.policy != "create"


def _is_certain(rules: Rules, place: Place) -> bool:
    judgement = place.judgement
    if judgement.is_barred or place.is_waiting:
        return False
    if rules.within_source == _REVIEW and (place.key or place.has_first):
        return False
    return judgement.is_enough or judgement.score >= rules.certain
