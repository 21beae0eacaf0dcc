"""The part of the query language that migrations use: SELECT fields FROM object WHERE comparisons ORDER BY fields LIMIT count.

Comparisons combine with AND, OR, NOT and brackets. Anything else is refused as the platform refuses it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.servicetracker.ids import long_id
from sandbox.servicetracker.schema import Field, SObject

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')|(?P<time>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:?\d\d))?)|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<sign><=|>=|!=|<>|[=<>(),]))"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda one, other: bool(one == other),
    "!=": lambda one, other: bool(one != other),
    "<>": lambda one, other: bool(one != other),
    "<": lambda one, other: one is not None and other is not None and bool(one < other),
    ">": lambda one, other: one is not None and other is not None and bool(one > other),
    "<=": lambda one, other: one is not None and other is not None and bool(one <= other),
    ">=": lambda one, other: one is not None and other is not None and bool(one >= other),
}
Row = dict[str, Any]
Test = Callable[[Row], bool]


class SoqlError(Exception):
    """A query the platform refuses."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(slots=True)
class Query:
    """A query ready to run."""

    sobject: SObject
    fields: list[str]
    test: Test
    order: list[tuple[str, bool]]
    limit: int | None
    is_count: bool
    filtered: set[str]

    def run(self, rows: list[Row]) -> list[Row]:
        """Return the matching rows in order."""
        found = [row for row in rows if self.test(row)]
        for name, is_descending in reversed(self.order):
            found.sort(key=lambda row: ((row.get(name) is not None), _sortable(row.get(name), self.sobject.fields[name])), reverse=is_descending)
        return found if self.limit is None else found[: self.limit]


def parse(text: str, objects: dict[str, SObject]) -> Query:
    """Read a query.

    Raises:
        SoqlError: It is malformed, or names what there is not.
    """
    return _Parser(text, objects).query()


def comparable(value: Any, field: Field) -> Any:
    """Return a stored value in the form comparisons use."""
    if value is None:
        return None
    if field.type == "datetime":
        return datetime.fromisoformat(value)
    return value.lower() if isinstance(value, str) and field.type not in {"id", "reference"} else value


def _sortable(value: Any, field: Field) -> Any:
    found = comparable(value, field)
    return "" if found is None else found


class _Parser:
    def __init__(self, text: str, objects: dict[str, SObject]) -> None:
        self._text = text
        self._objects = objects
        self._tokens = self._split(text)
        self._position = 0
        self._sobject = next(iter(objects.values()))
        self._filtered: set[str] = set()

    def query(self) -> Query:
        self._expect("select")
        fields, is_count = self._selected()
        self._expect("from")
        name = self._word()
        if name not in self._objects:
            raise SoqlError("INVALID_TYPE", f"\n{self._text[:80]}\nERROR at Row:1:Column:1\nsObject type '{name}' is not supported.")
        self._sobject = self._objects[name]
        for one in fields:
            self._field(one)
        test: Test = self._either() if self._take("where") else (lambda _row: True)
        order = self._order() if self._take("order") else []
        limit = int(self._word()) if self._take("limit") else None
        if self._position < len(self._tokens):
            raise self._unexpected()
        return Query(self._sobject, fields, test, order, limit, is_count, self._filtered)

    def _selected(self) -> tuple[list[str], bool]:
        if self._peek() == "count" and self._tokens[self._position + 1 : self._position + 3] == ["(", ")"]:
            self._position += 3
            return [], True
        fields = [self._word()]
        while self._take(","):
            fields.append(self._word())
        if len({one.lower() for one in fields}) < len(fields):
            raise SoqlError("INVALID_FIELD", "duplicate field selected")
        return fields, False

    def _order(self) -> list[tuple[str, bool]]:
        self._expect("by")
        order = []
        while True:
            field = self._field(self._word())
            if not field.is_filterable:
                raise SoqlError("INVALID_FIELD", f"field '{field.name}' can not be sorted in a query call")
            is_descending = self._take("desc")
            if not is_descending:
                self._take("asc")
            order.append((field.name, is_descending))
            if not self._take(","):
                return order

    def _either(self) -> Test:
        tests = [self._both()]
        while self._take("or"):
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._take("and"):
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self) -> Test:
        if self._take("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._take("("):
            inner = self._either()
            self._expect(")")
            return inner
        field = self._field(self._word())
        if not field.is_filterable:
            raise SoqlError("INVALID_FIELD", f"field '{field.name}' can not be filtered in a query call")
        self._filtered.add(field.name)
        if self._take("in"):
            return self._listed(field, is_wanted=True)
        if self._take("not"):
            self._expect("in")
            return self._listed(field, is_wanted=False)
        sign = self._next()
        if sign not in _COMPARISONS:
            raise self._unexpected(-1)
        wanted, compare = self._literal(field), _COMPARISONS[sign]
        return lambda row: compare(comparable(row.get(field.name), field), wanted)

    def _listed(self, field: Field, *, is_wanted: bool) -> Test:
        self._expect("(")
        values = {self._literal(field)}
        while self._take(","):
            values.add(self._literal(field))
        self._expect(")")
        return lambda row: (comparable(row.get(field.name), field) in values) is is_wanted

    def _literal(self, field: Field) -> Any:
        token = self._next()
        word = token.lower()
        if word in {"true", "false"}:
            return word == "true"
        if word == "null":
            return None
        if token.startswith("'"):
            if field.type in {"datetime", "date", "boolean", "int", "double", "currency", "percent"}:
                raise SoqlError(
                    "INVALID_FIELD",
                    f"value of filter criterion for field '{field.name}' must be of type {field.type} and should not be enclosed in quotes",
                )
            text = re.sub(r"\\(.)", r"\1", token[1:-1])
            return long_id(text) if field.type in {"id", "reference"} else text.lower()
        if re.fullmatch(r"\d{4}-\d\d-\d\d", token):
            return token
        if re.match(r"\d{4}-", token):
            if field.type != "datetime":
                raise SoqlError("INVALID_FIELD", f"value of filter criterion for field '{field.name}' must be of type {field.type}")
            return datetime.fromisoformat(token).astimezone(UTC)
        if re.fullmatch(r"-?\d+(?:\.\d+)?", token):
            return float(token)
        raise self._unexpected(-1)

    def _field(self, name: str) -> Field:
        found = self._sobject.fields.get(name)
        if found is None:
            raise SoqlError(
                "INVALID_FIELD",
                f"\n{self._text[:80]}\n ^\nERROR at Row:1:Column:8\nNo such column '{name}' on entity '{self._sobject.name}'. "
                "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name.",
            )
        return found

    def _split(self, text: str) -> list[str]:
        tokens, position = [], 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise SoqlError("MALFORMED_QUERY", f"unexpected token: '{text[position : position + 10]}'")
            tokens.append(match[0].strip())
            position = match.end()
        return tokens

    def _peek(self) -> str:
        return self._tokens[self._position].lower() if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        if self._position >= len(self._tokens):
            raise SoqlError("MALFORMED_QUERY", "unexpected token: '<EOF>'")
        self._position += 1
        return self._tokens[self._position - 1]

    def _word(self) -> str:
        token = self._next()
        if not re.fullmatch(r"\w[\w.]*", token):
            raise self._unexpected(-1)
        return token

    def _take(self, word: str) -> bool:
        is_there = self._peek() == word
        self._position += is_there
        return is_there

    def _expect(self, word: str) -> None:
        if not self._take(word):
            raise self._unexpected()

    def _unexpected(self, step: int = 0) -> SoqlError:
        position = self._position + step
        token = self._tokens[position] if position < len(self._tokens) else "<EOF>"
        return SoqlError("MALFORMED_QUERY", f"unexpected token: '{token}'")
