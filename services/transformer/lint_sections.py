"""What is wrong with a mapping's sections `quality`, `exports` and `call_plan`: names that are not there, paths and rules that cannot be read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from services.common.errors import MappingError
from services.transformer.links import Links
from services.transformer.paths import parse_path
from services.transformer.sheets import compiler_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import TypeAlias

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.mapping.sections import EntityQuality, Sheet, SumLines
    from services.transformer.rules.compiler import RuleCompiler

Problem: TypeAlias = "tuple[str, str]"
"""Path in the document, and what is wrong there."""

RESERVED_FILES: Final = frozenset({"fields", "rebuild-reference", "recurring-appointments", "index"})
_FILE_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FILE_NAME_CHARACTERS_MAX: Final = 60
_NOT_MOVED: Final = "not-moved-"
_NO_VALUES: Final = ("ref", "owner", "html")


def section_problems(mapping: MappingModel) -> Iterator[Problem]:
    """Go through everything that is wrong with the sections."""
    yield from _quality(mapping)
    yield from _exports(mapping)
    plan = mapping.call_plan
    if plan is not None and plan.default not in plan.plans:
        yield "call_plan.default", f"there is no plan `{plan.default}`; known: {', '.join(plan.plans)}"


def _quality(mapping: MappingModel) -> Iterator[Problem]:
    links = Links(mapping.links, mapping.collections, mapping.value_maps)
    yield from _paths("quality.created", [mapping.quality.created], links)
    currency = mapping.quality.currency
    if currency is not None and currency.same_as not in links:
        yield "quality.currency.same_as", _no_link(currency.same_as, links)
    yield from _unknown_entities(mapping, "quality.entities", mapping.quality.entities)
    for entity, rules in mapping.quality.entities.items():
        where = f"quality.entities.{entity}"
        for link in rules.relations:
            if link not in links:
                yield f"{where}.relations.{link}", _no_link(link, links)
            elif links.rules[link].id is None:
                yield f"{where}.relations.{link}", f"`{link}` leads to records that point back here: name a link with an `id`"
        for name, paths in _quality_paths(rules):
            yield from _paths(f"{where}.{name}", paths, links)


def _quality_paths(rules: EntityQuality) -> Iterator[tuple[str, Iterable[str | None]]]:
    for name in ("unique", "emails", "phones", "names", "dates", "numbers"):
        yield name, getattr(rules, name)
    yield "created", [rules.created]
    if rules.sums is not None:
        sums = rules.sums
        yield "sums", [sums.subtotal, sums.tax, sums.total, sums.discount_percent, *_list_of(sums.lines), *_list_of(sums.taxes)]
    for total in rules.totals:
        yield "totals", [total.total, *total.of, *total.less]
    for agreement in rules.agree:
        yield "agree", agreement.fields


def _list_of(lines: SumLines | None) -> list[str]:
    return [] if lines is None else [lines.list_]


def _exports(mapping: MappingModel) -> Iterator[Problem]:
    rules = mapping.exports
    for name, sheet in rules.sheets.items():
        where = f"exports.sheets.{name}"
        if not _FILE_NAME.fullmatch(name) or len(name) > _FILE_NAME_CHARACTERS_MAX or name in RESERVED_FILES or name.startswith(_NOT_MOVED):
            yield where, "choose another name: small letters, digits and single dashes, and none that Transload writes itself"
        yield from _unknown_entities(mapping, f"{where}.entities", sheet.entities)
        yield from _sheet(mapping, where, sheet)
    for position, section in enumerate(rules.rebuild):
        where = f"exports.rebuild[{position}]"
        yield from _unknown_entities(mapping, f"{where}.entity", [section.entity])
        yield from _columns(compiler_for(mapping, section.entity), f"{where}.columns", section.columns)
    if rules.series is not None:
        yield from _unknown_entities(mapping, "exports.series.entity", [rules.series.entity])
        yield from _columns(compiler_for(mapping, rules.series.entity), "exports.series.same", rules.series.same)
        yield from _paths("exports.series.date", [rules.series.date], Links(mapping.links, mapping.collections, mapping.value_maps))


def _sheet(mapping: MappingModel, where: str, sheet: Sheet) -> Iterator[Problem]:
    for entity in sheet.entities:
        compiler = compiler_for(mapping, entity, alias=sheet.as_ if sheet.for_each else "", list_path=sheet.for_each or "")
        yield from _columns(compiler, f"{where}.columns", sheet.columns)
        try:
            compiler.test(sheet.when)
        except MappingError as error:
            yield f"{where}.when", error.message
        yield from _paths(f"{where}.for_each", [sheet.for_each], compiler.links)
    for position, advice in enumerate(sheet.advice):
        for heading in advice.where:
            if heading not in sheet.columns:
                yield f"{where}.advice[{position}].where.{heading}", f"there is no column {heading!r}; known: {', '.join(sheet.columns)}"


def _columns(compiler: RuleCompiler, where: str, columns: Mapping[str, FieldRule]) -> Iterator[Problem]:
    for heading, rule in columns.items():
        if any(getattr(rule, name) is not None for name in _NO_VALUES):
            yield f"{where}.{heading}", f"a column holds a value of the source: {', '.join(_NO_VALUES)} are for records that move"
            continue
        try:
            compiler.rule(rule)
        except MappingError as error:
            yield f"{where}.{heading}", error.message


def _paths(where: str, paths: Iterable[str | None], links: Links) -> Iterator[Problem]:
    for path in paths:
        if path is not None:
            try:
                parse_path(path, links)
            except MappingError as error:
                yield where, error.message


def _unknown_entities(mapping: MappingModel, where: str, entities: Iterable[str]) -> Iterator[Problem]:
    known = {*mapping.entities, *mapping.collections.values()}
    for entity in entities:
        if entity not in known:
            yield where, f"there is no entity `{entity}` in this mapping; known: {', '.join(sorted(known))}"


def _no_link(name: str, links: Links) -> str:
    return f"there is no link `{name}`; known: {', '.join(sorted(links.rules))}"
