"""Carries values between the domain and rows by the names of their fields."""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from sqlalchemy import RowMapping

from services.ledger.domain import Options

Value = TypeVar("Value")
Convert = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(time: datetime) -> int:
    """Answer microseconds since 1970, exactly."""
    return (time - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Answer the aware UTC time of microseconds since 1970, exactly."""
    return _EPOCH + timedelta(microseconds=micros)


def _to_micros_or_none(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def _from_micros_or_none(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def _optional(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)


def _converters(kind: Any) -> tuple[Convert | None, Convert | None]:
    """Answer how a field of this type goes into its column and comes back; None: as it is."""
    if kind == datetime | None:
        return _to_micros_or_none, _from_micros_or_none
    if isinstance(kind, UnionType):
        (inner,) = [part for part in get_args(kind) if part is not NoneType]
        inward, outward = _converters(inner)
        return inward and _optional(inward), outward and _optional(outward)
    if kind is datetime:
        return to_micros, from_micros
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return str, {str(member): member for member in kind}.__getitem__
    if kind is Options:
        return lambda value: json.dumps(asdict(value), ensure_ascii=False), lambda text: Options(**json.loads(text))
    if getattr(kind, "__origin__", None) is tuple:
        return lambda value: json.dumps(value, ensure_ascii=False), lambda text: tuple(json.loads(text))
    return None, None


class RowCodec(Generic[Value]):
    """Turns values of one dataclass into rows and back."""

    def __init__(self, kind: type[Value], *, without: Collection[str] = (), only: Sequence[str] = ()) -> None:
        """Prepare for a dataclass; the fields in `without` stay out of the rows, `only` names all that are in them."""
        hints = get_type_hints(kind)
        names = only or [field.name for field in fields(kind) if field.name not in without]  # type: ignore[arg-type]
        pairs = {name: _converters(hints[name]) for name in names}
        self._kind = kind
        self._names = tuple(names)
        self._take = attrgetter(*names)
        self._inward = [(position, inward) for position, name in enumerate(names) if (inward := pairs[name][0])]
        self._outward = [(position, outward) for position, name in enumerate(names) if (outward := pairs[name][1])]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in the order of the fields."""
        return self._names

    def to_values(self, value: Value) -> tuple[Any, ...]:
        """Answer the row of a value in the order of `names`."""
        row = list(self._take(value))
        for position, convert in self._inward:
            row[position] = convert(row[position])
        return tuple(row)

    def to_row(self, value: Value) -> dict[str, Any]:
        """Answer the row of a value."""
        return dict(zip(self._names, self.to_values(value), strict=True))

    def from_values(self, row: Iterable[Any]) -> Value:
        """Answer the value of a row in the order of `names`."""
        found = list(row)
        for position, convert in self._outward:
            found[position] = convert(found[position])
        return self._kind(*found)

    def from_row(self, row: RowMapping | Mapping[str, Any]) -> Value:
        """Answer the value of a row; columns that are no fields are passed over."""
        found = [row[name] for name in self._names]
        for position, convert in self._outward:
            found[position] = convert(found[position])
        return self._kind(**dict(zip(self._names, found, strict=True)))
