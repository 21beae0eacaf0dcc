"""Compiles the blocks of a note: headings, facts, tables, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from services.common.errors import MappingError
from services.transformer import notes
from services.transformer.context import Context
from services.transformer.index import Envelope
from services.transformer.paths import descend
from services.transformer.texts import read_text
from services.transformer.transforms import sort_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from services.transformer.mapping import Block, TableBlock
    from services.transformer.rules import RuleCompiler

Make: TypeAlias = "Callable[[Context], notes.Fragment | None]"


def compile_blocks(compiler: RuleCompiler, blocks: Sequence[Block]) -> Callable[[Context], Any]:
    """Make a function that builds the fragments of a note; it gives None when all blocks are empty."""
    compiled = [_block(compiler, block) for block in blocks]

    def build(context: Context) -> list[notes.Fragment] | None:
        return [fragment for one in compiled if (fragment := one(context)) is not None] or None

    return build


def _block(compiler: RuleCompiler, block: Block) -> Make:
    when, make = compiler.test(block.when), _content(compiler, block)
    return make if when is None else lambda context: make(context) if when(context) else None


def _content(compiler: RuleCompiler, block: Block) -> Make:
    title = block.title or ""
    if block.heading is not None:
        fill = compiler.template(block.heading)
        return lambda context: notes.heading(found) if (found := fill(context)) else None
    if block.facts is not None:
        rules = [(label, compiler.rule(rule)) for label, rule in block.facts.items()]
        return lambda context: notes.facts([(label, found) for label, one in rules if (found := read_text(one.value, context))], title)
    if block.table is not None:
        return _table(compiler, block.table, title)
    if block.text is not None:
        rule = compiler.rule(block.text)
        return lambda context: notes.paragraph(found, title) if (found := read_text(rule.value, context)) else None
    if block.properties:
        properties = compiler.properties()
        return lambda context: notes.facts(properties(context), title)
    raise MappingError("a note block needs one of: heading, facts, table, text, properties")


def _table(compiler: RuleCompiler, block: TableBlock, title: str) -> Make:
    rows, inner = compiler.getter(block.rows), compiler.for_rows(block.rows)
    columns = {name: inner.rule(rule) for name, rule in block.columns.items()}
    sort_by = (block.sort_by or "").removeprefix("row.")

    def build(context: Context) -> notes.Fragment | None:
        found = rows(context)
        elements = [element for element in found if isinstance(element, (dict, Envelope))] if isinstance(found, list) else []
        if sort_by:
            elements.sort(key=lambda element: sort_key(descend(element, (sort_by,))))
        cells = []
        for element in elements:
            at_row = Context(envelope=context.envelope, lookup=context.lookup, element=element, memo=context.memo)
            cells.append([read_text(one.value, at_row) or "" for one in columns.values()])
        return notes.table(list(columns), cells, title)

    return build
