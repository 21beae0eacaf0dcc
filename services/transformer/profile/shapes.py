"""The schema as the records show it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.transformer.empty import EMPTY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.transformer.snapshot.envelope import Envelope


VALUES_MAX: Final = 25
"""A text field with more different values is no picklist."""
VALUE_CHARACTERS_MAX: Final = 60
_PERSONAL: Final = re.compile(r"\d{5}|@|://")


@dataclass(slots=True)
class _Shape:
    filled: int = 0
    types: Counter[str] = field(default_factory=Counter)
    longest: int = 0
    values: Counter[str] | None = field(default_factory=Counter)

    def take(self, value: Any) -> None:
        self.types[_type_of(value)] += 1
        if value in EMPTY:
            return
        self.filled += 1
        if isinstance(value, str):
            self.longest = max(self.longest, len(value))
        if self.values is None or isinstance(value, (dict, list)):
            return
        self.values[str(value)] += 1
        if self.longest > VALUE_CHARACTERS_MAX or len(self.values) > VALUES_MAX:
            self.values = None

    def row(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"filled": self.filled, "types": dict(sorted(self.types.items()))}
        if self.longest:
            row["longest"] = self.longest
        # Values that hardly repeat or look like numbers of accounts, addresses and telephones are no picklist: they stay out of the report.
        is_number = "string" not in self.types and "boolean" not in self.types
        if (
            self.values
            and not is_number
            and not any(map(_PERSONAL.search, self.values))
            and self.filled >= 2 * len(self.values)
            and not name.endswith(("-id", "-path", "_id"))
        ):
            row["values"] = dict(sorted(self.values.items(), key=lambda entry: (-entry[1], entry[0])))
        return row


class Shapes:
    """The schema as the records show it: every field with its types, and the values of those that look like picklists."""

    def __init__(self) -> None:
        self._fields: defaultdict[str, dict[str, _Shape]] = defaultdict(dict)

    def take(self, envelope: Envelope) -> None:
        """Look at the fields of one record."""
        self._enter(self._fields[envelope.entity], envelope.data, "")

    def rows(self) -> dict[str, dict[str, Any]]:
        """Answer the fields by entity; objects are entered as `a.b`, lists as `a[].b`."""
        return {entity: {name: shape.row(name) for name, shape in sorted(shapes.items())} for entity, shapes in self._fields.items()}

    def _enter(self, shapes: dict[str, _Shape], data: Mapping[str, Any], prefix: str) -> None:
        for name, value in data.items():
            path = f"{prefix}{name}"
            shape = shapes.get(path)
            if shape is None:
                shape = shapes[path] = _Shape()
            shape.take(value)
            if isinstance(value, dict):
                self._enter(shapes, value, f"{path}.")
            elif isinstance(value, list):
                for element in value:
                    if isinstance(element, dict):
                        self._enter(shapes, element, f"{path}[].")


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "list" if isinstance(value, list) else "object"
