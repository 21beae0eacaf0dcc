"""Requests made from the official schemas: informed ones, which refer to what the account has, and uninformed ones."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.openapi.known_values import ALWAYS, COMPANIONS, NAMED, Values, type_of
from tests.openapi.schemas import Schema
from tests.openapi.spec import Parameter
from tests.openapi.targets import Context
from tests.openapi.world import square_image

MISSING_ID = 999_999
TEXTS = ("Oak", "Ébène 1/2", "x" * 40)
OPTIONAL_MAX = 3


class Choices:
    """Chooses at random, as hypothesis wants it."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def one(self, values: Values) -> Any:
        """Return one of some values."""
        return self._draw(st.sampled_from(values))

    def some(self, names: list[str], count_min: int, count_max: int) -> list[str]:
        """Return some of the names."""
        return self._draw(st.lists(st.sampled_from(names), unique=True, min_size=count_min, max_size=count_max)) if names else []

    def inner(self, names: list[str]) -> list[str]:
        """Return some of the keys of an object inside a body."""
        return self.some(names, 0, len(names))


class First(Choices):
    """Chooses the first of everything and what it is told to."""

    def __init__(self, *wanted: str) -> None:
        self._wanted = wanted

    def one(self, values: Values) -> Any:
        """Return the first value."""
        return values[0]

    def some(self, names: list[str], count_min: int, count_max: int) -> list[str]:
        """Return the names wanted, or as many as there must be."""
        del count_max
        return [name for name in names if name in self._wanted] or names[:count_min]

    def inner(self, names: list[str]) -> list[str]:
        """Return all keys of an object inside a body."""
        return names


def informed(choices: Choices, context: Context, schema: Schema, name: str = "", depth: int = 0) -> Any:
    """Return a value that fits a schema and refers to what the account has."""
    source = NAMED.get(name) if depth else None
    if source is not None and (values := source(context, schema)):
        return choices.one(values)
    if "enum" in schema:
        return choices.one(sorted(schema["enum"], reverse=True) if schema["enum"] == [0, 1] else schema["enum"])
    kind = type_of(schema)
    if kind == "array":
        return [informed(choices, context, schema.get("items", {}), name + "[]", depth + 1)]
    if kind != "object":
        return choices.one(_scalars(kind, schema))
    properties = schema.get("properties", {})
    required = [key for key in schema.get("required", ()) if key in properties]
    needed = ALWAYS.get(name if depth else context.operation.name, ())
    required += [key for key in needed if key in properties and key not in required]
    optional = [key for key in properties if key not in required]
    chosen = choices.inner(optional) if depth else choices.some(optional, min(schema.get("minProperties", 0), len(optional)), OPTIONAL_MAX)
    value = {key: informed(choices, context, properties[key], key, depth + 1) for key in (*required, *chosen)}
    for key, other, wanted in COMPANIONS:
        if key in value and other in properties:
            value[other] = wanted
    return value


def _scalars(kind: str, schema: Schema) -> Values:
    match kind:
        case "boolean":
            return [True, False]
        case "integer" | "number":
            low = schema.get("minimum", 1)
            return [low, low + 20]
        case _ if schema.get("format") in {"date", "YYYY-MM-DD"}:
            return ["2026-10-01", "2020-02-29"]
        case _ if schema.get("format") == "date-time":
            return ["2026-01-02 03:04:05"]
        case _ if schema.get("format") == "binary":
            return [square_image()]
        case _:
            return TEXTS


def uninformed(schema: Schema) -> st.SearchStrategy[Any]:
    """Return values of which some fit a schema and most refer to nothing."""
    anything = st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-5, MISSING_ID), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=6)),
        lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)),
        max_leaves=4,
    )
    properties = schema.get("properties") or schema.get("items", {}).get("properties") or {"id": {}}
    body = st.dictionaries(st.sampled_from([*properties, "unknown"]), anything, max_size=4)
    return st.one_of(body, st.lists(body, max_size=2), anything) if "items" in schema else st.one_of(body, anything)


def informed_query(choices: Choices, context: Context) -> dict[str, str]:
    """Return parameters of a query: those required and some more."""
    parameters = context.operation.query
    required = [name for name, one in parameters.items() if one.is_required]
    chosen = choices.some([name for name in parameters if name not in required and name != "cursor"], 0, 2)
    return {name: _text_of(choices, context, parameters[name]) for name in (*required, *chosen)}


def _text_of(choices: Choices, context: Context, parameter: Parameter) -> str:
    value = informed(choices, replace(context, is_query=True), parameter.schema, parameter.name, 1)
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
