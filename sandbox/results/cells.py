"""How a tenant writes values: every column in a way of its own, as exports of different screens come."""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

_YES_NO: Final = {"contacts": ("Yes", "No"), "associates": ("Y", "N"), "activities": ("-1", "0"), "products": ("True", "False")}
_DATES: Final[dict[str, Callable[[date], str]]] = {
    "contacts": lambda day: f"{day.month}/{day.day}/{day.year}",
    "associates": lambda day: f"{day:%m-%d-%Y}",
    "opportunities": lambda day: f"{day.month}/{day.day}/{day.year}",
    "documents": lambda day: f"{day:%m-%d-%Y}",
    "payments": lambda day: f"{day.month}/{day.day}/{day.year % 100:02d}",
}
_PERCENTS: Final[dict[tuple[str, str], Callable[[float], str]]] = {
    ("opportunity_stages", "Probability"): lambda percent: f"{percent / 100:g}",
    ("opportunities", "Probability"): lambda percent: f"{percent:g}",
    ("document_lines", "Discount"): lambda percent: f"{percent:g}%",
}
"""The three scales in which percentages come: 0.6, 60 and 60%."""


def written(table: str, head: str, kind: str, value: Any) -> str:
    """Return the text of a cell."""
    if value is None:
        return ""
    match kind:
        case "bool":
            return _YES_NO.get(table, ("Yes", "No"))[0 if value else 1]
        case "money":
            return _money(table, value)
        case "percent":
            return _PERCENTS[table, head](float(value))
        case "date" | "datetime" | "time":
            return _moment(table, kind, value)
        case "number":
            return f"{value:,}"
        case _:
            return str(value)


def _moment(table: str, kind: str, value: Any) -> str:
    if kind == "time" and isinstance(value, time):
        return f"{value:%I:%M %p}".lstrip("0")
    if kind == "datetime" and isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}" if table.startswith("field_service") else f"{_day(table, value.date())} {value:%I:%M %p}"
    return _day(table, value) if isinstance(value, date) else str(value)


def _day(table: str, day: date) -> str:
    return _DATES[table](day) if table in _DATES else f"{day:%Y-%m-%d}"


def _money(table: str, amount: Decimal) -> str:
    figure = f"{abs(amount):,.2f}"
    if table == "contacts":
        figure = f"${figure}"
    return f"({figure})" if amount < 0 else figure
