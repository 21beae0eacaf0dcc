"""Sums of a document that do not follow from its parts, as the section `quality` of a mapping describes them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from services.transformer.empty import is_empty

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from services.transformer.mapping.sections import DocumentSums, SumLines, Total
    from services.transformer.snapshot.envelope import Envelope

Reader: TypeAlias = "Callable[[str], Any]"
"""Answers the value of a source path of the record that is looked at."""

SUM_TOLERANCE: Final = Decimal("0.01")


def wrong_sum(read: Reader, sums: DocumentSums) -> str:
    """Recompute a document's sums; answers the field that does not agree, empty when all do or cannot be told."""
    subtotal, tax, total = (_of(read, path) for path in (sums.subtotal, sums.tax, sums.total))
    if subtotal is not None and sums.lines is not None and (amounts := _amounts(read, sums.lines)) is not None:
        discount = _of(read, sums.discount_percent) or Decimal(0)
        if abs(sum(amounts, Decimal(0)) * (100 - discount) / 100 - subtotal) > SUM_TOLERANCE:
            return str(sums.subtotal)
    if tax is not None and sums.taxes is not None and (amounts := _amounts(read, sums.taxes)) is not None:
        amount, base = sum(amounts, Decimal(0)), _bases(read, sums.taxes)
        if min(abs(amount - tax), abs(amount - base - tax)) > SUM_TOLERANCE:
            return str(sums.tax)
    if subtotal is not None and tax is not None and total is not None:
        withheld = Decimal(0)
        if sums.withheld is not None and read(sums.withheld.when) is True:
            withheld = subtotal * (_of(read, sums.withheld.percent) or Decimal(0)) / 100
        if min(abs(subtotal + tax - total), abs(subtotal + tax - withheld - total)) > SUM_TOLERANCE:
            return str(sums.total)
    return ""


def wrong_total(read: Reader, rule: Total) -> bool:
    """Say whether a field is not the sum of others. With nothing to add, nothing can be said."""
    total = decimal(read(rule.total))
    added = [number for path in rule.of for number in _numbers(read(path))]
    if total is None or not added:
        return False
    taken_off = [number for path in rule.less for number in _numbers(read(path))]
    return abs(sum(added, Decimal(0)) - sum(taken_off, Decimal(0)) - total) > SUM_TOLERANCE


def decimal(value: object) -> Decimal | None:
    """Answer a number as it is written; None for anything else, truth values and numbers without end included."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _of(read: Reader, path: str | None) -> Decimal | None:
    return None if path is None else decimal(read(path))


def _numbers(value: Any) -> list[Decimal]:
    return [number for one in (value if isinstance(value, list) else [value]) if (number := decimal(one)) is not None]


def _amounts(read: Reader, lines: SumLines) -> list[Decimal] | None:
    """Answer the amounts that count; None where there are none, or one of them is no number."""
    found = [decimal(line.get(lines.amount)) for line in _lines(read, lines)]
    amounts = [amount for amount in found if amount is not None]
    return amounts if amounts and len(amounts) == len(found) else None


def _bases(read: Reader, lines: SumLines) -> Decimal:
    found = (decimal(line.get(lines.base)) for line in _lines(read, lines)) if lines.base else ()
    return sum((base for base in found if base is not None), Decimal(0))


def _lines(read: Reader, lines: SumLines) -> list[Any]:
    found = read(lines.list_)
    rows = [_data(line) for line in found] if isinstance(found, list) else []
    return [row for row in rows if hasattr(row, "get") and _counts(row, lines)]


def _data(line: Envelope | Any) -> Any:
    return line if isinstance(line, dict) else getattr(line, "data", line)


def _counts(line: Any, lines: SumLines) -> bool:
    return all(line.get(name, wanted) == wanted for name, wanted in lines.only.items()) and not any(
        not is_empty(line.get(name)) and line.get(name) == unwanted for name, unwanted in lines.without.items()
    )
