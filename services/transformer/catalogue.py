"""Every transform by the name a mapping uses."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from services.transformer import clock_spans, hierarchy, recurrence, rich_text
from services.transformer.transforms import addresses, contacts, dates, lists, markup, numbers, texts, truth

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

Transform: TypeAlias = "Callable[..., Any]"

CATALOGUE: Final[Mapping[str, Transform]] = {
    "absolute": numbers.absolute,
    "add_days": dates.add_days,
    "address": addresses.address,
    "address_line": addresses.address_line,
    "bool": truth.boolean,
    "calendar_date": dates.calendar_date,
    "clock_span": clock_spans.clock_span,
    "clock_time": dates.clock_time,
    "compound_discount": numbers.compound_discount,
    "count": lists.count,
    "date": dates.calendar_date,
    "date_in_zone": dates.date_in_zone,
    "datetime": dates.datetime_utc,
    "distinct": hierarchy.distinct,
    "each": lists.each,
    "emails": contacts.emails,
    "first": lists.first_of,
    "html_sanitise": markup.html_sanitise,
    "html_text": markup.html_text,
    "integer": numbers.integer,
    "join": lists.lines,
    "lineage": hierarchy.lineage,
    "local_to_utc": dates.local_to_utc,
    "minutes_as_clock": clock_spans.minutes_as_clock,
    "negate": truth.negate,
    "noon_utc": dates.noon_utc,
    "number": numbers.number,
    "occurrences": recurrence.occurrences,
    "option": texts.option,
    "phones": contacts.phones,
    "prefix": texts.prefix,
    "recurrence_rule": recurrence.recurrence_rule,
    "recurrence_words": recurrence.recurrence_words,
    "reverse": hierarchy.reverse,
    "rich_text": rich_text.rich_text,
    "round": numbers.rounded,
    "scale": numbers.scale,
    "sort": lists.sort,
    "strip": texts.strip,
    "sum": numbers.total,
    "text": texts.text,
    "truncate": texts.truncate,
    "upper": texts.upper,
    "written_time": dates.written_time,
    "yes_no": truth.yes_no,
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
