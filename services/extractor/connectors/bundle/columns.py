"""What the cells of typed columns prove about how they are written, and what is decided of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.extractor.connectors.bundle import findings as say
from services.extractor.connectors.bundle.cells import TypedCell, bare_number, decimal_evidence
from services.extractor.connectors.bundle.dates import SHORT, UNREADABLE, Evidence, decide, zone_of
from services.extractor.connectors.bundle.layout import CellType
from services.extractor.connectors.bundle.profile import ColumnFacts, Finding
from services.extractor.connectors.bundle.scan import Counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.extractor.connectors.bundle.layout import Column, Formats

DATED: Final = frozenset({CellType.DATE, CellType.DATETIME})
NUMERIC: Final = frozenset({CellType.INTEGER, CellType.NUMBER, CellType.MONEY, CellType.PERCENT})


class ColumnScan:
    """Collects what the cells of one column show."""

    def __init__(self, name: str, column: Column) -> None:
        self.name = name
        self.column = column
        self.head = column.heads[0]
        self.dates = Evidence()
        self.decimals: dict[str, Counted] = {".": Counted(), ",": Counted(), "?": Counted()}
        self.unreadable = Counted()
        self.without_zone = Counted()
        self.bad_zone = Counted()
        self.share_count = self.hundred_count = self.one_count = 0
        """Per cents without a sign: between 0 and 1, above 1, and exactly 1."""
        self._zone_place = -1
        self._is_dated = column.type in DATED
        self._is_percent = column.type is CellType.PERCENT

    @property
    def is_dated(self) -> bool:
        """Whether its cells are dates."""
        return self._is_dated

    def begin_part(self, head: str, zone_place: int) -> None:
        """A file of the table begins, with this head and this place of its zone (-1: none)."""
        self.head = head or self.head
        self._zone_place = zone_place

    def take(self, cell: str, row: int, cells: Sequence[str]) -> None:
        """Look at one cell that is not empty."""
        text = cell if cell[0] > " " and cell[-1] > " " else cell.strip()
        if not text:
            return
        if self._is_dated:
            self._take_date(text, row, cells)
        elif isinstance(text, TypedCell):
            self._take_percent(text)
        else:
            self._take_number(text, row)

    def _take_date(self, text: str, row: int, cells: Sequence[str]) -> None:
        is_without_zone = self.dates.take(text, row)
        if not is_without_zone or self.column.type is not CellType.DATETIME:
            return
        zone = cells[self._zone_place].strip() if 0 <= self._zone_place < len(cells) else ""
        if not zone:
            self.without_zone.note(row)
        elif zone_of(zone) is None:
            self.bad_zone.note(row, zone)

    def _take_number(self, text: str, row: int) -> None:
        if text.isdigit():
            if self._is_percent:
                self._take_percent(text)
            return
        bare = text.removesuffix("%").strip() if self._is_percent else text
        proof = decimal_evidence(bare)
        if proof:
            self.decimals[proof].note(row, text)
        elif bare_number(bare) is None:
            self.unreadable.note(row)
            return
        if self._is_percent and not text.endswith("%"):
            self._take_percent(text)

    def _take_percent(self, text: str) -> None:
        if not self._is_percent:
            return
        try:
            value = abs(float(text.replace(",", ".")))
        except ValueError:
            return
        self.share_count += 0 < value < 1
        self.hundred_count += value > 1
        self.one_count += value == 1


def settle(entity: str, columns: Mapping[str, ColumnScan], formats: Formats) -> tuple[dict[str, ColumnFacts], list[Finding]]:
    """Decide how each column is read; what cannot be decided is a finding that stops the table."""
    facts: dict[str, ColumnFacts] = {}
    found: list[Finding] = []
    dated = [one for one in columns.values() if one.is_dated]
    numeric = [one for one in columns.values() if not one.is_dated]
    for one in dated:
        order, findings = _settle_dates(entity, one, [other.dates for other in dated if other is not one], formats)
        facts[one.name] = ColumnFacts(date_order=order)
        found += findings
    for one in numeric:
        decimal, findings = _settle_decimal(entity, one, [other for other in numeric if other is not one], formats)
        is_share, more = _settle_percent(entity, one, formats) if one.column.type is CellType.PERCENT else (False, [])
        facts[one.name] = ColumnFacts(decimal=decimal, is_share=is_share)
        found += [*findings, *more]
    return facts, found


def _settle_dates(entity: str, one: ColumnScan, others: Sequence[Evidence], formats: Formats) -> tuple[str, list[Finding]]:
    evidence = one.dates
    found: list[Finding] = []
    told = formats.date_orders.get(f"{entity}.{one.name}") or (formats.date_order if formats.date_order != "auto" else "")
    order, problem = decide(evidence, others)
    if told:
        against = sum(count for proven, count in evidence.proofs.items() if proven != told)
        samples = [sample for proven in evidence.proofs if proven != told for sample in evidence.samples(proven)]
        if against and evidence.proofs.get(told, 0) == 0 and not formats.date_orders.get(f"{entity}.{one.name}"):
            found.append(say.dates_against(entity, one.head, told, against, samples))
        elif against:
            found.append(say.dates_unreadable(entity, one.head, against, samples))
        order = told
    elif problem:
        found.append(say.dates_undecided(entity, one.name, one.head, evidence, is_mixed=problem == "mixed"))
    elif order and not evidence.proofs and evidence.open_count:
        found.append(say.dates_by_neighbours(entity, one.head, order, evidence.open_count))
    if evidence.short_year_count and formats.two_digit_years is None:
        found.append(say.short_years(entity, one.head, evidence.short_year_count, evidence.samples(SHORT)))
    if evidence.unreadable_count:
        found.append(say.dates_unreadable(entity, one.head, evidence.unreadable_count, evidence.samples(UNREADABLE)))
    if len(evidence.forms) > 1:
        found.append(say.date_forms(entity, one.head, evidence))
    if one.without_zone.count and formats.time_zone is None:
        found.append(say.needs_zone(entity, one.head, one.without_zone))
    if one.bad_zone.count:
        found.append(say.bad_zone(entity, one.head, one.bad_zone))
    return order, found


def _settle_decimal(entity: str, one: ColumnScan, others: Sequence[ColumnScan], formats: Formats) -> tuple[str, list[Finding]]:
    found = [say.numbers_unreadable(entity, one.head, one.unreadable)] if one.unreadable.count else []
    if formats.decimal != "auto":
        return formats.decimal, found
    proven = [sign for sign in ".," if one.decimals[sign].count]
    if len(proven) == 2:  # noqa: PLR2004 - both
        return ".", [*found, say.decimals_undecided(entity, one.head, one.decimals, is_mixed=True)]
    if proven:
        return proven[0], found
    if not one.decimals["?"].count:
        return ".", found
    around = {sign for other in others for sign in ".," if other.decimals[sign].count}
    if len(around) == 1:
        return around.pop(), found
    return ".", [*found, say.decimals_undecided(entity, one.head, one.decimals, is_mixed=False)]


def _settle_percent(entity: str, one: ColumnScan, formats: Formats) -> tuple[bool, list[Finding]]:
    if formats.percent != "auto":
        return formats.percent == "one", []
    if one.share_count and one.hundred_count:
        return False, [say.percents_undecided(entity, one.head, one.share_count, one.hundred_count)]
    if one.one_count and not one.hundred_count and not one.share_count:
        return False, [say.percents_undecided(entity, one.head, one.one_count, 0)]
    return one.share_count > 0, []
