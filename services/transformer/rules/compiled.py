"""What becomes of the rules of a mapping: functions, what they read, and how they are told in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from services.transformer.context import Context
    from services.transformer.paths import Getter

Value: TypeAlias = "Callable[[Context], Any]"
Test: TypeAlias = "Callable[[Context], bool]"

Source: TypeAlias = "tuple[Value, tuple[tuple[str, Getter], ...], str]"
"""Where a value comes from: the function that reads it, its source paths with functions that read them, and its words."""


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
