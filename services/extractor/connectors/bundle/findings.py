"""The findings of the check in words: what happened, to what, and what to do. Codes are explained in docs/bundles.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.extractor.connectors.bundle.profile import SAMPLES_MAX, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from services.extractor.connectors.bundle.bundle import Bundle
    from services.extractor.connectors.bundle.dates import Evidence
    from services.extractor.connectors.bundle.heads import Heads
    from services.extractor.connectors.bundle.layout import EntityLayout
    from services.extractor.connectors.bundle.profile import TableFacts
    from services.extractor.connectors.bundle.scan import Counted, FormulaCounts, TableCounts
    from services.extractor.connectors.bundle.text import TextFacts

NEEDS_ZONE: Final = "time_zone_missing"
_STOP, _WARNING, _INFO = Severity.STOP, Severity.WARNING, Severity.INFO


def of_tables(bundle: Bundle) -> Iterator[Finding]:
    """Say which tables are missing, unknown, or there twice."""
    for name, layout in bundle.layout.entities.items():
        if name in bundle.tables.parts:
            continue
        usual = f"{layout.source_name}.csv"
        if layout.is_required and not bundle.is_delta:
            message = f"the bundle has no {usual}: export it and add it, or name its file in the layout (other_names)"
            yield Finding(code="table_missing", severity=_STOP, message=message, path=usual, count=1, option="layout")
        else:
            rest = "files are taken as they lie in their folders" if layout.file is not None and layout.file.folder else "nothing of it is moved"
            message = f"the bundle has no {usual}: {rest}"
            yield Finding(code="table_missing", severity=_INFO, message=message, entity=name, path=usual, count=1)
    for path in bundle.tables.unknown:
        message = f"{path} is no table of the layout: it is not read. If it should be, name it in the layout (other_names)"
        yield Finding(code="table_unknown", severity=_INFO, message=message, path=path, count=1, option="layout")
    for name, paths in bundle.tables.doubled.items():
        message = f"{', '.join(paths)} is not read: the same table is there as text"
        yield Finding(code="table_doubled", severity=_WARNING, message=message, entity=name, count=len(paths))


def of_text(entity: str, path: str, text: TextFacts) -> Iterator[Finding]:
    """Say what is odd in the bytes of a file."""
    facts = {"entity": entity, "path": path}
    if text.is_guessed:
        message = f"{path} is not UTF-8 and has no mark; it is read as {text.encoding}. Look at names with accents; the option encoding decides"
        yield Finding(code="encoding_guessed", severity=_WARNING, message=message, count=1, option="encoding", **facts)
    if text.invalid_count:
        message = f"{path}: {text.invalid_count} lines hold bytes that are not {text.encoding}; they are read as Windows-1252. Export it anew"
        samples = [f"line {number}" for number in text.invalid_lines]
        yield Finding(
            code="encoding_mixed", severity=_WARNING, message=message, count=text.invalid_count, samples=samples, option="encoding", **facts
        )
    if text.undefined_count:
        message = f"{path}: {text.undefined_count} bytes are none of {text.encoding}: it may be another encoding"
        yield Finding(code="encoding_doubtful", severity=_WARNING, message=message, count=text.undefined_count, option="encoding", **facts)
    if text.doubled_count:
        message = f"{path}: {text.doubled_count} places look encoded twice (Ã© for é); they are moved as they are. Export it anew"
        yield Finding(code="encoded_twice", severity=_WARNING, message=message, count=text.doubled_count, **facts)
    if text.nul_count:
        message = f"{path} holds {text.nul_count} NUL bytes; they are left out"
        yield Finding(code="nul_bytes", severity=_WARNING, message=message, count=text.nul_count, **facts)
    if text.mark_count:
        message = f"{path} holds {text.mark_count} byte-order marks within the text, as when files were put together; they are left out"
        yield Finding(code="mark_in_text", severity=_WARNING, message=message, count=text.mark_count, **facts)
    if len(text.line_ends) > 1:
        ends = ", ".join(f"{count} {name}" for name, count in text.line_ends.items())
        message = f"{path} has line ends of several kinds ({ends}); each ends a row where it is not in quotation marks"
        yield Finding(code="line_ends_mixed", severity=_INFO, message=message, count=min(text.line_ends.values()), **facts)


def of_heads(entity: str, path: str, heads: Heads, layout: EntityLayout) -> Iterator[Finding]:
    """Say which heads are missing, come twice, or are unknown."""
    facts = {"entity": entity, "path": path}
    optional = [layout.columns[name].heads[0] for name in heads.missing if not layout.columns[name].is_required and name not in layout.id]
    if optional:
        message = f"{path} lacks {len(optional)} columns that may be missing: {_listed(optional)}"
        yield Finding(code="columns_absent", severity=_INFO, message=message, count=len(optional), samples=optional, **facts)
    if heads.repeated:
        message = f"{path} has heads that come more than once; the first counts, the others are kept with a number: {_listed(heads.repeated)}"
        yield Finding(
            code="heads_repeated", severity=_WARNING, message=message, count=len(heads.repeated), samples=list(heads.repeated[:SAMPLES_MAX]), **facts
        )
    second = [head for head in heads.second if head not in heads.repeated]
    if second:
        message = f"{path} has two heads for one column; these are kept as other columns: {_listed(second)}"
        yield Finding(code="heads_rival", severity=_WARNING, message=message, count=len(second), samples=second[:SAMPLES_MAX], **facts)
    unknown = [head for head in heads.others if head not in second and not any(head.startswith(one) for one in heads.repeated)]
    if unknown:
        message = f"{path} has {len(unknown)} columns nobody knows; they are kept: {_listed(unknown)}"
        yield Finding(code="columns_unknown", severity=_INFO, message=message, count=len(unknown), samples=unknown[:SAMPLES_MAX], **facts)


def of_rows(entity: str, counts: TableCounts, *, refuses_wide: bool, refuses_repeated: bool) -> Iterator[Finding]:
    """Say what is odd in the rows of a table."""
    if counts.wide.count:
        message = (
            f"{counts.wide.count} rows have more cells than heads ({counts.wide.samples[0]}): a quotation mark or delimiter is not where it should"
            " be, and cells may stand in wrong columns. Mend the rows; wide_rows: keep takes the cells too many as text"
        )
        yield _counted("rows_wide", _STOP if refuses_wide else _WARNING, message, entity, counts.wide, "wide_rows")
    if counts.short.count:
        message = f"{counts.short.count} rows have fewer cells than heads; what is missing is empty"
        yield _counted("rows_short", _WARNING, message, entity, counts.short)
    if counts.formulas.count:
        message = f"{counts.formulas.count} rows hold cells that begin like a formula; they stay text, here and in every export"
        yield _counted("formulas", _INFO, message, entity, counts.formulas)
    if counts.without_id.count:
        message = f"{counts.without_id.count} rows have no id; they are known by what they hold, and a change makes another record of them"
        yield _counted("id_missing", _WARNING, message, entity, counts.without_id)
    if counts.scientific_ids.count:
        message = (
            f"{counts.scientific_ids.count} ids look like 1.23E+11: a spreadsheet has rounded them, and what refers to them is lost."
            " Export the table again without opening it in one"
        )
        yield _counted("id_rounded", _WARNING, message, entity, counts.scientific_ids)
    if counts.repeated_ids.count:
        message = (
            f"{counts.repeated_ids.count} rows have the id of another row. Each is moved, with ~2, ~3 behind its id; what refers to the id means"
            " the first. Mend them, or refuse the table with duplicate_ids: refuse"
        )
        yield _counted("id_repeated", _STOP if refuses_repeated else _WARNING, message, entity, counts.repeated_ids, "duplicate_ids")


def of_formulas(entity: str, path: str, head: str, counts: FormulaCounts) -> Iterator[Finding]:
    """Say which cells of a workbook's column are calculated, and what becomes of them."""
    if counts.valued.count:
        message = (
            f"{head}: {counts.valued.count} cells are formulas ({counts.valued.samples[0]}); their values are the results that the program"
            " stored when the workbook was saved"
        )
        yield _counted("formulas_calculated", _INFO, message, entity, counts.valued, column=head, path=path)
    if counts.empty.count:
        message = (
            f"{head}: {counts.empty.count} formulas have no stored result ({counts.empty.samples[0]}); the formulas themselves are kept as text."
            " Open the workbook in a spreadsheet program, save it and deliver it again, or deliver the table as CSV"
        )
        yield _counted("formulas_without_result", _WARNING, message, entity, counts.empty, column=head, path=path)
    if counts.failed.count:
        message = f"{head}: the result of {counts.failed.count} formulas is an error ({counts.failed.samples[0]}); these cells are empty"
        yield _counted("formulas_failed", _WARNING, message, entity, counts.failed, column=head, path=path)


def broken_references(bundle: Bundle, broken: Iterable[tuple[str, str, int, Sequence[int]]]) -> Iterator[Finding]:
    """Say which columns refer to what is not there."""
    for source, target, count, rows in broken:
        entity, _, column = source.partition(".")
        head = bundle.layout.entities[entity].columns[column].heads[0]
        missing = "" if target.partition(".")[0] in bundle.tables.parts else " (the bundle does not have that table)"
        message = f"{head}: {count} rows refer to a {target.replace('_', ' ')} that is not there{missing}. They are moved without the link, or wait"
        samples = [f"row {row}" for row in rows]
        yield Finding(code="reference_broken", severity=_WARNING, message=message, entity=entity, column=head, count=count, samples=samples)


def of_files(entity: str, missing: Counted, outside: Counted, unlisted: Counted, linked: Counted) -> Iterator[Finding]:
    """Say which files are missing, lead out of the bundle, or are named by no row."""
    if missing.count:
        message = (
            f"{missing.count} files are not in the bundle; their records stand without a file. Copy them into it, or say where a share lies (shares)"
        )
        yield _counted("file_missing", _WARNING, message, entity, missing, "shares")
    if linked.count:
        message = (
            f"{linked.count} files are links into the network, which may need a login and expire: fetch them when exporting. Nothing is downloaded"
        )
        yield _counted("file_linked", _WARNING, message, entity, linked)
    if outside.count:
        message = f"{outside.count} paths lead out of the bundle and are not followed; a share is mapped to a folder of it with the option shares"
        yield _counted("file_outside", _WARNING, message, entity, outside, "shares")
    if unlisted.count:
        message = f"{unlisted.count} files are named by no row; each is moved as well, to the record its folder says"
        yield _counted("file_unlisted", _INFO, message, entity, unlisted)


def of_row_counts(bundle: Bundle, tables: Mapping[str, TableFacts]) -> Iterator[Finding]:
    """Compare the rows with what the manifest says."""
    told = bundle.manifest.row_counts
    for entity, table in tables.items():
        names = [part.path.rpartition("/")[2] for part in table.parts]
        said = [told[name] if name in told else told.get(part.path, -1) for name, part in zip(names, table.parts, strict=True)]
        if said and -1 not in said and not table.has_unlisted_files and sum(said) != table.row_count:
            message = f"{', '.join(names)}: {table.row_count:,} rows, and the manifest says {sum(said):,}: the copy may be cut off"
            yield Finding(code="row_count_differs", severity=_WARNING, message=message, entity=entity, count=abs(sum(said) - table.row_count))


def zone_missing(needed: Sequence[Finding]) -> Iterator[Finding]:
    """Say once that times have no zone, and ask for it."""
    if needed:
        places = _listed([f"{one.entity}.{one.column}" for one in needed])
        message = (
            f"times stand without a time zone ({places}), and neither the layout nor manifest.json names one: say which with the option time_zone"
            " (an example: America/New_York)"
        )
        yield Finding(code=NEEDS_ZONE, severity=_STOP, message=message, count=sum(one.count for one in needed), option="time_zone")


def needs_zone(entity: str, head: str, counted: Counted) -> Finding:
    """Note that a column's times have no zone; all are told together."""
    return _counted(NEEDS_ZONE, _INFO, "", entity, counted, "time_zone", head)


def bad_zone(entity: str, head: str, counted: Counted) -> Finding:
    """Say that rows name zones which are none."""
    message = f"{head}: {counted.count} rows name a time zone nobody knows; the bundle's is taken"
    return _counted("time_zone_unknown", _WARNING, message, entity, counted, "time_zone", head)


def own_dates_undecided(entity: str, name: str, head: str, evidence: Evidence, *, is_mixed: bool) -> Finding:
    """Say that a column of the tenant's own holds dates whose order is not known, so that they stay text."""
    stopping = dates_undecided(entity, name, head, evidence, is_mixed=is_mixed)
    message = f"{stopping.message}; until then they stay as they are written, as text"
    return stopping.model_copy(update={"code": f"own_{stopping.code}", "severity": _WARNING, "message": message})


def own_numbers_undecided(entity: str, head: str, decimals: Mapping[str, Counted]) -> Finding:
    """Say that a column of the tenant's own holds numbers whose decimal sign is not known, so that they stay text."""
    samples = [sample for sign in "?.," for sample in decimals[sign].samples][:SAMPLES_MAX]
    message = (
        f"{head}: whether the comma or the point is the decimal sign is not shown ({samples[0]}), so they stay as they are written;"
        " the option decimal decides"
    )
    count = sum(one.count for one in decimals.values())
    return Finding(
        code="own_decimal_ambiguous", severity=_WARNING, message=message, entity=entity, column=head, count=count, samples=samples, option="decimal"
    )


def dates_undecided(entity: str, name: str, head: str, evidence: Evidence, *, is_mixed: bool) -> Finding:
    """Say that the order of a column's dates is not known, with the evidence."""
    option = f'date_order, or for this column date_orders: {{"{entity}.{name}": "dmy"}}'
    if is_mixed:
        proofs = "; ".join(f"{_order(order)} in {count} rows ({evidence.samples(order)[0]})" for order, count in evidence.proofs.items())
        message = f"{head}: dates are written in several orders: {proofs}. Mend the column, or say which order the others have: option {option}"
        samples = [sample for order in evidence.proofs for sample in evidence.samples(order)]
        count = sum(evidence.proofs.values())
        return Finding(
            code="date_order_mixed", severity=_STOP, message=message, entity=entity, column=head, count=count, samples=samples, option="date_order"
        )
    samples = evidence.samples("?")
    message = (
        f"{head}: {evidence.open_count} dates could be read in several ways ({samples[0]}), and no date of the table shows which."
        f" It is not guessed: say it with the option {option}"
    )
    return Finding(
        code="date_order_ambiguous",
        severity=_STOP,
        message=message,
        entity=entity,
        column=head,
        count=evidence.open_count,
        samples=samples,
        option="date_order",
    )


def dates_against(entity: str, head: str, told: str, count: int, samples: list[str]) -> Finding:
    """Say that dates prove another order than the one that was told."""
    message = (
        f"{head}: {count} dates cannot be {_order(told)} as the option, the layout or manifest.json says ({samples[0]}), and none proves it:"
        " correct date_order, or confirm it for this column in date_orders"
    )
    return Finding(
        code="date_order_contradicted", severity=_STOP, message=message, entity=entity, column=head, count=count, samples=samples, option="date_order"
    )


def dates_unreadable(entity: str, head: str, count: int, samples: list[str]) -> Finding:
    """Say that dates are none."""
    message = f"{head}: {count} cells are no dates that can be read; they stay as they are written, and are left out when loading"
    return Finding(code="date_unreadable", severity=_WARNING, message=message, entity=entity, column=head, count=count, samples=samples)


def dates_by_neighbours(entity: str, head: str, order: str, count: int) -> Finding:
    """Say that a column takes the order its table proves elsewhere."""
    message = f"{head}: {count} dates could be read in several ways; they are read {_order(order)}, as the other columns of the table prove"
    return Finding(code="date_order_of_table", severity=_INFO, message=message, entity=entity, column=head, count=count, option="date_order")


def short_years(entity: str, head: str, count: int, samples: list[str]) -> Finding:
    """Say that years have two digits."""
    message = (
        f"{head}: {count} years have two digits ({samples[0]}): say which hundred years are meant with the option two_digit_years"
        " (1970: from 1970 to 2069)"
    )
    return Finding(
        code="date_short_year", severity=_STOP, message=message, entity=entity, column=head, count=count, samples=samples, option="two_digit_years"
    )


def date_forms(entity: str, head: str, evidence: Evidence) -> Finding:
    """Say that dates are written in several ways."""
    forms = ", ".join(f"{form}: {count}" for form, count in evidence.forms.most_common())
    message = f"{head}: dates are written in several ways ({forms})"
    count = sum(evidence.forms.values()) - max(evidence.forms.values())
    return Finding(code="date_forms_mixed", severity=_WARNING, message=message, entity=entity, column=head, count=count)


def decimals_undecided(entity: str, head: str, decimals: Mapping[str, Counted], *, is_mixed: bool) -> Finding:
    """Say that the decimal sign of a column is not known."""
    if is_mixed:
        message = (
            f"{head}: numbers have a decimal point in {decimals['.'].count} rows ({decimals['.'].samples[0]}) and a comma in {decimals[','].count}"
        )
        message += f" ({decimals[','].samples[0]}): mend the column, or say which is right with the option decimal"
        samples = [*decimals["."].samples[:3], *decimals[","].samples[:3]]
        return Finding(
            code="decimal_mixed", severity=_STOP, message=message, entity=entity, column=head, count=len(samples), samples=samples, option="decimal"
        )
    message = (
        f"{head}: {decimals['?'].count} numbers could have a decimal sign or groups of thousands ({decimals['?'].samples[0]}), and no number of the"
        " table shows which: say it with the option decimal"
    )
    return _counted("decimal_ambiguous", _STOP, message, entity, decimals["?"], "decimal", head)


def numbers_unreadable(entity: str, head: str, counted: Counted) -> Finding:
    """Say that cells are no numbers."""
    message = f"{head}: {counted.count} cells are no numbers; they stay as they are written, and are left out when loading"
    return _counted("number_unreadable", _WARNING, message, entity, counted, column=head)


def percents_undecided(entity: str, head: str, share_count: int, hundred_count: int) -> Finding:
    """Say that it is not known whether 1 is all or a hundredth."""
    message = (
        f"{head}: {share_count} cells are 1 or below and {hundred_count} above, none with a %: say whether 1 means 100 % (option percent: one) or 1 %"
        " (percent: hundred)"
    )
    return Finding(code="percent_ambiguous", severity=_STOP, message=message, entity=entity, column=head, count=share_count, option="percent")


def _counted(  # noqa: PLR0917 - the fields of a finding, in their order
    code: str, severity: Severity, message: str, entity: str, counted: Counted, option: str = "", column: str = "", *, path: str = ""
) -> Finding:
    facts = {"code": code, "message": message, "entity": entity, "path": path, "column": column, "option": option}
    return Finding(severity=severity, count=counted.count, samples=counted.samples, **facts)


def _listed(names: Sequence[str], count_max: int = 8) -> str:
    more = f" and {len(names) - count_max} more" if len(names) > count_max else ""
    return ", ".join(names[:count_max]) + more


def _order(order: str) -> str:
    return {"dmy": "day first", "mdy": "month first", "ymd": "year first"}[order]
