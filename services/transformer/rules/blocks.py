"""Compiles the blocks of a note: headings, facts, tables, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from services.common.errors import MappingError
from services.transformer import notes
from services.transformer.context import Context
from services.transformer.paths import descend
from services.transformer.snapshot.envelope import Envelope
from services.transformer.texts import read_text
from services.transformer.transforms.lists import sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.transformer.mapping.rules import Block, ConditionRef, FieldRule, TableBlock
    from services.transformer.paths import Getter

Make: TypeAlias = "Callable[[Context], notes.Fragment | None]"


class Readable(Protocol):
    """A compiled rule, of which a block needs the value alone."""

    @property
    def value(self) -> Callable[[Context], Any]:
        """Read the rule's value."""


class Compiler(Protocol):
    """What compiles the rules inside blocks."""

    def test(self, ref: ConditionRef | None) -> Callable[[Context], bool] | None:
        """Compile a condition; None stays None, which always holds."""

    def template(self, template: str) -> Callable[[Context], Any]:
        """Compile a text with paths in braces."""

    def rule(self, rule: FieldRule) -> Readable:
        """Compile a field rule."""

    def getter(self, path: str) -> Getter:
        """Compile a source path."""

    def for_rows(self, list_path: str) -> Compiler:
        """Answer a compiler for rules about the elements of a list."""

    def properties(self) -> Callable[[Context], list[tuple[str, str]]]:
        """Answer a function that writes the properties a tenant added as (name, text)."""


def compile_blocks(compiler: Compiler, blocks: Sequence[Block]) -> Callable[[Context], Any]:
    """Make a function that builds the fragments of a note; it gives None when all blocks are empty."""
    compiled = [_block(compiler, block) for block in blocks]

    def build(context: Context) -> list[notes.Fragment] | None:
        return [fragment for one in compiled if (fragment := one(context)) is not None] or None

    return build


def _block(compiler: Compiler, block: Block) -> Make:
    when, make = compiler.test(block.when), _content(compiler, block)
    return make if when is None else lambda context: make(context) if when(context) else None


def _content(compiler: Compiler, block: Block) -> Make:
    title = block.title or ""
    if block.heading is not None:
        fill = compiler.template(block.heading)
        return lambda context: notes.heading(found) if (found := fill(context)) else None
    if block.facts is not None:
        values = [(label, compiler.rule(rule).value) for label, rule in block.facts.items()]
        return lambda context: notes.facts([(label, found) for label, value in values if (found := read_text(value, context))], title)
    if block.table is not None:
        return _table(compiler, block.table, title)
    if block.text is not None:
        rule = compiler.rule(block.text)
        return lambda context: notes.paragraph(found, title) if (found := read_text(rule.value, context)) else None
    if block.properties:
        properties = compiler.properties()
        return lambda context: notes.facts(properties(context), title)
    raise MappingError("a note block needs one of: heading, facts, table, text, properties")


def _table(compiler: Compiler, block: TableBlock, title: str) -> Make:
    rows, inner = compiler.getter(block.rows), compiler.for_rows(block.rows)
    names, values = list(block.columns), [inner.rule(rule).value for rule in block.columns.values()]
    sort_by = (block.sort_by or "").removeprefix("row.")

    def build(context: Context) -> notes.Fragment | None:
        found = rows(context)
        elements = [element for element in found if isinstance(element, (dict, Envelope))] if isinstance(found, list) else []
        if sort_by:
            elements.sort(key=lambda element: sort_key(descend(element, (sort_by,))))
        at_row = Context(envelope=context.envelope, lookup=context.lookup, memo=context.memo)
        cells = []
        for at_row.element in elements:
            cells.append([read_text(value, at_row) or "" for value in values])
        return notes.table(names, cells, title)

    return build
