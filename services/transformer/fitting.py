"""Fits values to what a target field takes (L-07, X-05): text that is short enough, dates as dates, labels as option ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.transformer.context import RecordProblem
from services.transformer.empty import is_empty
from services.transformer.notes import Fragment, pack, paragraph
from services.transformer.target import NOTE_BYTES_MAX, Kind, TargetField
from services.transformer.transforms.addresses import address
from services.transformer.transforms.contacts import e164, emails, one_primary, phones
from services.transformer.transforms.dates import calendar_date, clock_time, datetime_utc
from services.transformer.transforms.markup import html_sanitise
from services.transformer.transforms.numbers import integer, number
from services.transformer.transforms.problem import ValueProblem, shown
from services.transformer.transforms.texts import text
from services.transformer.transforms.truth import boolean

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from services.transformer.context import Context
    from services.transformer.manifest import Manifest
    from services.transformer.mapping.policies import Policies
    from services.transformer.paths import Getter

Fit: TypeAlias = "Callable[[Context, Any], Any]"

_TIME_CHARACTERS: Final = (5, 8)


class Fitter:
    """Makes the functions that fit values to fields of one target entity."""

    def __init__(self, target_entity: str, manifest: Manifest | None, policies: Policies) -> None:
        self._target_entity = target_entity
        self._manifest = manifest
        self._policies = policies

    def fit(self, name: str, label: str, field: TargetField, *, currency: Getter | None = None, cost: Getter | None = None) -> Fit:
        """Answer the function for one field; `name` is the field's own or the custom field's id, `label` what people read."""
        match field.kind:
            case Kind.TEXT:
                return _text_fit(label, field.length)
            case Kind.HTML:
                return _html
            case Kind.CHOICE:
                return _choice_fit(field.choices)
            case Kind.MONEY:
                return self._money(currency)
            case Kind.PRICES:
                return self._prices(currency, cost)
            case Kind.PHONES:
                return self._phones()
            case Kind.OPTION | Kind.OPTIONS:
                return self._options(name, is_set=field.kind is Kind.OPTIONS)
            case Kind.LABELS:
                return self._labels(name)
            case Kind.BUILT_IN_OPTION:
                return lambda _context, value: self._built_in_option(name, value)
            case Kind.STAGE:
                return lambda _context, value: self._stage(value)
            case Kind.ACTIVITY_TYPE:
                return lambda _context, value: self._activity_type(value)
            case Kind.OUTCOME:
                return lambda _context, value: self._manifest.outcome(text(value) or "") if self._manifest else None
            case Kind.PARTICIPANTS:
                return lambda _context, value: value if isinstance(value, list) else [{"person_id": value, "primary": True}]
            case Kind.REFERENCE | Kind.USER | Kind.RAW:
                return lambda _context, value: value
            case kind:
                simple = _SIMPLE[kind]
                return lambda _context, value: simple(value)

    def _currency(self, getter: Getter | None, context: Context) -> str:
        found = getter(context) if getter is not None else None
        return str(found).upper() if isinstance(found, str) and found.strip() else self._policies.default_currency

    def _money(self, getter: Getter | None) -> Fit:
        return lambda context, value: {"value": number(value), "currency": self._currency(getter, context)}

    def _prices(self, currency: Getter | None, cost: Getter | None) -> Fit:
        def fit(context: Context, value: Any) -> Any:
            price: dict[str, Any] = {"currency": self._currency(currency, context), "price": number(value)}
            paid = cost(context) if cost is not None else None
            if not is_empty(paid):
                price["cost"] = number(paid)
            return [price]

        return fit

    def _phones(self) -> Fit:
        normalise, region = self._policies.phone_format == "e164", self._policies.phone_region

        def fit(_context: Context, value: Any) -> Any:
            if isinstance(value, list) and all(isinstance(element, dict) for element in value):
                entries = [{**entry, "value": e164(entry["value"], region=region)} for entry in value] if normalise else value
                return one_primary(entries)
            found = phones(value, normalise=normalise, region=region)
            return one_primary(found) if found else None

        return fit

    def _options(self, field_id: str, *, is_set: bool) -> Fit:
        known = self._manifest.field_options(self._target_entity, field_id) if self._manifest else {}

        def fit(_context: Context, value: Any) -> Any:
            labels = [text(element) or "" for element in (value if isinstance(value, list) else [value])]
            for label in labels:
                if label not in known:
                    raise ValueProblem(f"{shown(label)} is not an option of this field: add it to the mapping", reason="VALUE_UNMAPPED")
            ids = [known[label] for label in labels]
            return ids if is_set else ids[0]

        return fit

    def _labels(self, name: str) -> Fit:
        def fit(_context: Context, value: Any) -> Any:
            labels = [text(element) or "" for element in (value if isinstance(value, list) else [value])]
            return [self._option_id(name, label) for label in labels]

        return fit

    def _built_in_option(self, name: str, value: Any) -> int:
        return self._option_id(name, text(value) or "")

    def _option_id(self, name: str, label: str) -> int:
        found = self._manifest.option_id(self._target_entity, name, label) if self._manifest else None
        if found is None:
            raise ValueProblem(f"{shown(label)} is not an option of this field: add it to the mapping and apply the schema", reason="VALUE_UNMAPPED")
        return found

    def _stage(self, value: Any) -> int:
        found = self._manifest.stage_id(str(value)) if self._manifest else None
        if found is None:
            raise ValueProblem(f"the stage {shown(value)} is not in Pipedrive: add it to the mapping and apply the schema", reason="VALUE_UNMAPPED")
        return found

    def _activity_type(self, value: Any) -> str:
        found = self._manifest.activity_type(str(value)) if self._manifest else None
        if found is None:
            raise ValueProblem(
                f"the activity type {shown(value)} is not in Pipedrive: add it to the mapping and apply the schema", reason="VALUE_UNMAPPED"
            )
        return found


def _text_fit(label: str, length: int) -> Fit:
    def fit(context: Context, value: Any) -> Any:
        written = value if type(value) is str else text(value)
        if written is None or not length or len(written) <= length:
            return written
        context.remark(
            "VALUE_TOO_LONG", f"{label}: {len(written)} characters were cut to {length}; the full text is kept in a note where notes can be"
        )
        return written[:length]

    return fit


def _html(_context: Context, value: Any) -> list[str]:
    """Answer the HTML as one or several notes that are short enough."""
    if isinstance(value, list) and value and isinstance(value[0], Fragment):
        return pack(value, NOTE_BYTES_MAX)
    written = html_sanitise(value) or ""
    if len(written.encode()) <= NOTE_BYTES_MAX:
        return [written] if written else []
    return pack([paragraph(text(value) or "")], NOTE_BYTES_MAX)


def _choice_fit(choices: tuple[str, ...]) -> Fit:
    def fit(_context: Context, value: Any) -> Any:
        if value not in choices:
            raise ValueProblem(f"{shown(value)} is none of {', '.join(choices)}")
        return value

    return fit


def _emails(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(element, dict) for element in value):
        return one_primary(value)
    found = emails(value)
    return one_primary(found) if found else None


def _address(value: Any) -> Any:
    return value if isinstance(value, dict) and "value" in value else address(value)


def _time(value: Any) -> str:
    return value if isinstance(value, str) and len(value) in _TIME_CHARACTERS and ":" in value else clock_time(value)


_SIMPLE: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.NUMBER: number,
    Kind.INTEGER: integer,
    Kind.BOOL: boolean,
    Kind.DATE: calendar_date,
    Kind.DATETIME: datetime_utc,
    Kind.TIME: _time,
    Kind.EMAILS: _emails,
    Kind.ADDRESS: _address,
}


def record_problem(problem: ValueProblem, name: str, *, rejects: bool, waits: bool) -> RecordProblem | None:
    """Say what a value that cannot be used does to its record: None when the record goes on without the value."""
    if problem.reason == "VALUE_UNMAPPED" and waits:
        return RecordProblem(problem.reason, f"{name}: {problem.message}", is_final=False)
    if rejects:
        return RecordProblem(problem.reason, f"{name}: {problem.message}", is_final=True)
    return None
