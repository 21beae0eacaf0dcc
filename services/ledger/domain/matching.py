"""What the ledger keeps to match records before they are created, and what it decided for one."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

import orjson

from services.common.canonical import canonical_json

__all__ = ["TARGET_CANDIDATE", "Match", "MatchCandidate", "MatchReading", "Named"]

TARGET_CANDIDATE = "target/"
"""Begins the name of a candidate that stands in Pipedrive; of one of this migration it is the record's key."""


@dataclass(frozen=True, slots=True)
class MatchCandidate:
    """A record that others may turn out to be: one in Pipedrive, or one of the source."""

    migration_id: str
    target_entity: str
    candidate: str
    """`target/{id}`, or the key of a mapped record."""
    identity: str
    """Its keys as JSON; personal data, can be erased."""
    digests: tuple[str, ...] = ()
    """What it is looked up by."""


@dataclass(frozen=True, slots=True)
class MatchReading:
    """How far the records in Pipedrive of one target entity have been read."""

    migration_id: str
    target_entity: str
    rules_digest: str
    """Of the rules the keys were taken by; other rules want other keys."""
    run_id: str = ""
    """The run that has read it to its end."""
    page_token: str = ""
    start_time: datetime | None = None
    """When the present reading began; None: there is none."""
    read_time: datetime | None = None
    """From when on changes are read next; None: everything."""
    record_count: int = 0
    """Records read so far, those read again counted again."""


@dataclass(frozen=True, slots=True)
class Named:
    """A candidate in an explanation."""

    candidate: str
    target_id: str
    title: str
    score: float
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        """Write it for people."""
        name = self.target_id or self.candidate
        return f"{name} “{self.title}” ({self.score:.2f}: {', '.join(self.reasons)})"


@dataclass(frozen=True, slots=True)
class Match:
    """What was decided for one record. Written before anything is done in Pipedrive, so that whoever takes the record up again does the same."""

    decision: str = ""
    """`certain`, `uncertain`, `none`, `chosen` (by a person); empty: not decided."""
    policy: str = ""
    """What is done with the record it was matched with: `match`, `match_and_fill`, `update`; empty: it was not."""
    target_id: str = ""
    """The record in Pipedrive it is."""
    first_key: str = ""
    """The record of this migration it is."""
    candidates: tuple[Named, ...] = ()
    """The best first."""
    chosen: str = ""
    """Candidate a person named."""
    planned: dict[str, Any] = field(default_factory=dict)
    """Fields that are about to be written, with their values: noted before, forgotten when it is known that they were."""
    is_new: bool = False
    """True until it has come to its end for the first time."""

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Read what a record keeps; None: nothing was decided."""
        if not text:
            return None
        plain: dict[str, Any] = orjson.loads(text)
        named = tuple(Named(**{**one, "reasons": tuple(one["reasons"])}) for one in plain.pop("candidates", ()))
        return cls(candidates=named, **plain)

    def to_json(self) -> str:
        """Write it; what says nothing is left out."""
        return canonical_json({name: value for name, value in asdict(self).items() if value not in ("", (), [], {}, False)}).decode()
