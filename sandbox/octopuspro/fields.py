"""The tenant's custom fields: one of every type, two with the same label, and values for them."""

from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from sandbox.octopuspro.columns import BOOL, DATE, LABELS, NUMBER, TEXT, TIME


@dataclass(frozen=True, slots=True)
class CustomField:
    """One custom field of the tenant."""

    id: int
    label: str
    object: str
    type: str
    options: tuple[str, ...] = ()
    visible_to: str = "Everyone"

    @property
    def head(self) -> str:
        """The head of its column."""
        return f"CF {self.id}: {self.label}"

    @property
    def kind(self) -> str:
        """The kind of value in its column."""
        return KINDS.get(self.type, TEXT)


KINDS: Final = {
    "integer": NUMBER,
    "decimal": NUMBER,
    "temperature": NUMBER,
    "plus/minus counter": NUMBER,
    "date picker": DATE,
    "time picker": TIME,
    "toggle": BOOL,
    "check box": BOOL,
    "list": LABELS,
    "check boxes": LABELS,
}
"""Types whose column holds something else than text."""

FIELDS: Final = (
    CustomField(11, "Gate code", "Customer", "text field", visible_to="Office"),
    CustomField(12, "Notes", "Customer", "text box"),
    CustomField(13, "Notes", "Customer", "text field"),
    CustomField(14, "Visits a year", "Customer", "integer"),
    CustomField(15, "Birthday", "Customer", "date picker"),
    CustomField(16, "Newsletter", "Customer", "toggle"),
    CustomField(17, "Heard of us", "Customer", "radio buttons", ("Google", "A friend", "Flyer, letterbox", "Radio")),
    CustomField(18, "Preferred day", "Customer", "button group", ("Mon", "Tue", "Wed")),
    CustomField(19, "Interests", "Customer", "list", ("Garden", "Pets", "Pool & spa", "宠物")),
    CustomField(31, "Access", "Booking", "button group", ("Key", "Code", "Somebody is there")),
    CustomField(32, "Extras", "Booking", "check boxes", ("Oven", "Fridge", "Windows")),
    CustomField(33, "Rooms", "Booking", "plus/minus counter"),
    CustomField(34, "Water temperature", "Booking", "temperature"),
    CustomField(35, "Arrival", "Booking", "time picker"),
    CustomField(36, "Follow-up date", "Booking", "date picker"),
    CustomField(37, "Insured", "Booking", "check box"),
    CustomField(38, "Quality score", "Booking", "decimal"),
    CustomField(39, "Priority", "Booking", "dropdown", ("Low", "Normal", "Urgent", "Never used")),
    CustomField(40, "Estimate", "Booking", "formula"),
    CustomField(41, "Customer signature", "Booking", "signature"),
    CustomField(42, "Meter photo", "Booking", "image"),
    CustomField(43, "Work description", "Booking", "text box"),
    CustomField(51, "Bedrooms", "Property", "integer"),
    CustomField(52, "Alarm", "Property", "text field"),
    CustomField(61, "Budget", "Enquiry", "decimal"),
)
_EARLIEST: Final = date(1961, 3, 9)


def values(kind_of: str, index: int, rng: Random) -> dict[str, Any]:
    """Answer values for the fields of an object; some are left empty."""
    found: dict[str, Any] = {}
    for field in FIELDS:
        if field.object == kind_of and field.type not in {"signature", "image"}:
            found[field.head] = None if rng.random() < 0.25 else _value(field, index, rng)
    return found


def _value(field: CustomField, index: int, rng: Random) -> Any:
    match field.type:
        case "integer" | "plus/minus counter":
            return rng.randrange(1, 30)
        case "decimal":
            return Decimal(rng.randrange(100, 99_999)) / 100
        case "temperature":
            return Decimal(rng.randrange(-50, 450)) / 10
        case "toggle" | "check box":
            return rng.random() < 0.5
        case "date picker":
            return _EARLIEST + timedelta(days=rng.randrange(20_000))
        case "time picker":
            return time(rng.randrange(6, 20), rng.choice((0, 15, 30, 45)))
        case "dropdown":
            return field.options[index % 3]
        case "radio buttons" | "button group":
            return field.options[index % len(field.options)]
        case "list" | "check boxes":
            return [option for option in field.options if rng.random() < 0.5] or None
        case "formula":
            return "n/a" if index % 9 == 4 else f"{index * 7}.50"
        case "text box":
            return f'Line one of {index}\nLine two, "quoted"; {"long " * (60 if index % 11 == 3 else 1)}'.strip()
        case _:
            return f"#{rng.randrange(1000, 9999)}*"
