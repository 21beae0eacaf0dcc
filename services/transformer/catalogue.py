"""Every transform by the name a mapping uses."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from services.transformer import clock_spans, hierarchy, recurrence, rich_text
from services.transformer.transforms import TRANSFORMS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.transformer.transforms import Transform

CATALOGUE: Final[Mapping[str, Transform]] = {
    **TRANSFORMS,
    "clock_span": clock_spans.clock_span,
    "distinct": hierarchy.distinct,
    "lineage": hierarchy.lineage,
    "minutes_as_clock": clock_spans.minutes_as_clock,
    "occurrences": recurrence.occurrences,
    "recurrence_rule": recurrence.recurrence_rule,
    "recurrence_words": recurrence.recurrence_words,
    "reverse": hierarchy.reverse,
    "rich_text": rich_text.rich_text,
}
"""Every transform by the name a mapping uses."""


def bind(name: str, options: Mapping[str, Any]) -> Transform:
    """Answer a transform with its options filled in.

    Raises:
        KeyError: there is no such transform.
        TypeError: it does not take these options; the message names them.
    """
    function = CATALOGUE[name]
    inspect.signature(function).bind("", **options)
    if not options:
        return function
    fixed = dict(options)
    return lambda value: function(value, **fixed)
