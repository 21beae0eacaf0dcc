"""Rows of the reference exports: the columns of a mapping's `exports` section, read from the records of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.context import Context, LeaveOut, RecordProblem
from services.transformer.empty import is_empty
from services.transformer.links import Links
from services.transformer.rules.compiled import Used
from services.transformer.rules.compiler import RuleCompiler
from services.transformer.texts import plain_text
from services.transformer.transforms.problem import ValueProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.mapping.sections import Advice, Sheet
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup

Read: TypeAlias = "Callable[[Context], Any]"

ADVICE_HEADING: Final = "In Pipedrive"


def compiler_for(mapping: MappingModel, entity: str, *, alias: str = "", list_path: str = "") -> RuleCompiler:
    """Answer a compiler for the rules of a section."""
    return RuleCompiler(mapping, Links(mapping.links, mapping.collections, mapping.value_maps), entity, used=Used(), alias=alias, list_path=list_path)


def reader(compiler: RuleCompiler, rule: FieldRule) -> Read:
    """Compile one column. What a transform or a value map cannot take is shown as the source has it, so that a column loses nothing.

    A rule that names a link this mapping does not have gives an empty column: a person may have taken the link away.
    """
    try:
        compiled = compiler.rule(rule)
    except MappingError:
        return lambda _context: None

    def read(context: Context) -> Any:
        try:
            return compiled.value(context)
        except (ValueProblem, RecordProblem, LeaveOut):
            return next((found for _, getter in compiled.sources if not is_empty(found := getter(context))), None)

    return read


class SheetRows:
    """One table of the exports for one source entity."""

    def __init__(self, mapping: MappingModel, sheet: Sheet, entity: str) -> None:
        outer = compiler_for(mapping, entity)
        inner = compiler_for(mapping, entity, alias=sheet.as_, list_path=sheet.for_each) if sheet.for_each else outer
        self._columns = [(heading, reader(inner, rule)) for heading, rule in sheet.columns.items()]
        self._advice = sheet.advice
        self._when = inner.test(sheet.when)
        self._elements = outer.getter(sheet.for_each) if sheet.for_each else None

    def of(self, envelope: Envelope, lookup: Lookup) -> Iterator[list[Any]]:
        """Make the rows of one record: the values of the columns, then the advice where there is any."""
        for context in self._contexts(envelope, lookup):
            if self._when is not None and not self._when(context):
                continue
            values = [read(context) for _, read in self._columns]
            yield [*values, self._advise(values)] if self._advice else values

    def has_any(self, envelope: Envelope, lookup: Lookup) -> bool:
        """Say whether a record has a row."""
        if self._when is None and self._elements is None:
            return True
        return any(self._when is None or self._when(context) for context in self._contexts(envelope, lookup))

    def _contexts(self, envelope: Envelope, lookup: Lookup) -> Iterator[Context]:
        context = Context(envelope=envelope, lookup=lookup)
        if self._elements is None:
            yield context
            return
        found = self._elements(context)
        for element in found if isinstance(found, list) else [] if is_empty(found) else [found]:
            yield Context(envelope=envelope, lookup=lookup, element=element)

    def _advise(self, values: Sequence[Any]) -> str:
        cells = {heading: (plain_text(value) or "").casefold() for (heading, _), value in zip(self._columns, values, strict=True)}
        return next((one.say for one in self._advice if _fits(one, cells)), "")


def headings(sheet: Sheet) -> list[str]:
    """Answer the headings of a sheet's columns."""
    return [*sheet.columns, *([ADVICE_HEADING] if sheet.advice else [])]


def _fits(advice: Advice, cells: Mapping[str, str]) -> bool:
    return all(
        any(word.casefold() in cells.get(heading, "") for word in ([words] if isinstance(words, str) else words))
        for heading, words in advice.where.items()
    )
