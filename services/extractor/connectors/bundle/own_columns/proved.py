"""Columns no layout knows: the tenant's own fields. They stay text, unless every cell proves that they are dates or numbers with marks in them.

Day and month of `3/4/2026`, and the comma of `13,300`, can only be told here, where the whole column and its neighbours are seen. Plain digits stay
text: they may be postal codes or numbers of articles, and need nobody who tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.extractor.connectors.bundle import findings as say
from services.extractor.connectors.bundle.cells import TypedCell, bare_number, decimal_evidence, number_reader
from services.extractor.connectors.bundle.dates import DAY_ZERO_FORM, DateReader, Evidence, decide
from services.extractor.connectors.bundle.layout import OTHER_COLUMNS, PROPERTIES, CellType
from services.extractor.connectors.bundle.profile import ColumnFacts
from services.extractor.connectors.bundle.scan import Counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from services.extractor.connectors.bundle.columns import ColumnScan
    from services.extractor.connectors.bundle.heads import Heads
    from services.extractor.connectors.bundle.layout import Formats
    from services.extractor.connectors.bundle.profile import Finding

_WHOLE_YEAR: Final = ("YYYY", "month by name, YYYY")
_COMPACT: Final = "YYYYMMDD"


class OwnColumn:
    """What the cells of one such column have in common."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.dates = Evidence()
        self.decimals: dict[str, Counted] = {".": Counted(), ",": Counted(), "?": Counted()}
        self._may_be_date = self._may_be_number = True

    @property
    def is_text(self) -> bool:
        """Whether a cell has proved that it is neither."""
        return not self._may_be_date and not self._may_be_number

    def take(self, cell: str, row: int) -> None:
        """Look at one cell that is not empty."""
        text = cell if cell[0] > " " and cell[-1] > " " else cell.strip()
        if not text:
            return
        if self._may_be_date:
            self.dates.take(text, row)
            self._may_be_date = self.dates.is_clean
        if self._may_be_number:
            proof = "" if isinstance(text, TypedCell) else decimal_evidence(text)
            if proof:
                self.decimals[proof].note(row, text)
            else:
                self._may_be_number = bare_number(text) is not None

    @property
    def is_date(self) -> bool:
        """Whether all cells are dates with a whole year, that are no plain digits."""
        forms = self.dates.forms
        written = [form for form in forms if form != DAY_ZERO_FORM]
        return self._may_be_date and bool(written) and all(any(part in form for part in _WHOLE_YEAR) and form != _COMPACT for form in written)

    @property
    def is_number(self) -> bool:
        """Whether all cells are numbers, and some have a mark that says so."""
        return self._may_be_number and any(one.count for one in self.decimals.values())


def own_places(heads: Heads) -> dict[str, int]:
    """Answer the places of the columns no layout knows, by the name under which the facts keep them."""
    return {
        **{f"{PROPERTIES}.{label}": place for label, place in heads.properties.items()},
        **{f"{OTHER_COLUMNS}.{head}": place for head, place in heads.others.items()},
    }


def settle_own(
    entity: str, own: Mapping[str, OwnColumn], columns: Iterable[ColumnScan], formats: Formats
) -> tuple[dict[str, ColumnFacts], list[Finding]]:
    """Decide how they are read. What is not proved stays as it is written, and a person is told."""
    known = list(columns)
    facts: dict[str, ColumnFacts] = {}
    found: list[Finding] = []
    dated = [one.dates for one in own.values() if one.is_date]
    for name, one in own.items():
        if one.is_date:
            told = formats.date_orders.get(f"{entity}.{name}") or (formats.date_order if formats.date_order != "auto" else "")
            around = [*(other.dates for other in known if other.is_dated), *(other for other in dated if other is not one.dates)]
            order, problem = decide(one.dates, around)
            if told or not problem:
                kind = CellType.DATETIME if one.dates.timed_count else CellType.DATE
                facts[name] = ColumnFacts(type=kind, date_order=told or order)
            else:
                found.append(say.own_dates_undecided(entity, name, one.head, one.dates, is_mixed=problem == "mixed"))
        elif one.is_number:
            decimal = _decimal(one, known, formats)
            if decimal:
                facts[name] = ColumnFacts(type=CellType.NUMBER, decimal=decimal)
            else:
                found.append(say.own_numbers_undecided(entity, one.head, one.decimals))
    return facts, found


def _decimal(one: OwnColumn, columns: Sequence[ColumnScan], formats: Formats) -> str:
    if formats.decimal != "auto":
        return formats.decimal
    proven = [sign for sign in ".," if one.decimals[sign].count]
    if proven:
        return proven[0] if len(proven) == 1 else ""
    around = {sign for other in columns for sign in ".," if not other.is_dated and other.decimals[sign].count}
    return around.pop() if len(around) == 1 else ""


def own_reader(facts: ColumnFacts, formats: Formats, zone: ZoneInfo | None) -> Callable[[str], Any]:
    """Make the reader of one of them."""
    if facts.type == CellType.NUMBER:
        return number_reader(facts.decimal)
    dates = DateReader(facts.date_order, window=formats.two_digit_years, empty=frozenset(formats.empty_dates), zone=zone)
    return dates.read_date if facts.type == CellType.DATE else dates.read_moment
