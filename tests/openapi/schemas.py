"""Turns the schemas of OpenAPI 3.0 into plain JSON Schema, and names the places a schema or a value has.

Three things differ from a literal reading. `allOf` is merged into one object, so that unknown keys can be told. An object that lists
its keys is closed unless it says otherwise; version 1 puts the hashes of custom fields at any root. A key in capitals such as `USER_ID`,
or with a dollar sign, stands for any key of its kind, as the examples beside it show.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast
from uuid import UUID

from jsonschema import Draft4Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError

Schema = dict[str, Any]

HASH = r"^[0-9a-f]{40}"
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]+_(ID|NAME)|\$\w+")
_ID = re.compile(r"\d+|[0-9a-f]{40}.*")
_PROSE = frozenset({"description", "example", "examples", "title", "nullable", "deprecated", "readOnly", "writeOnly", "xml"})
_FORMATS = FormatChecker(formats=())
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")


@_FORMATS.checks("date", raises=ValueError)
def _is_date(value: object) -> bool:
    return not isinstance(value, str) or date.fromisoformat(value) is not None


@_FORMATS.checks("YYYY-MM-DD", raises=ValueError)
def _is_also_date(value: object) -> bool:
    return _is_date(value)


@_FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    """Version 1 writes times with a space and without a zone, and its specification calls them date-time all the same."""
    return not isinstance(value, str) or _DATE_TIME.fullmatch(value) is not None


@_FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    return not isinstance(value, str) or str(UUID(value)) == value


def plain(schema: Any, *, is_v1: bool) -> Schema:
    """Return a schema of the specification as JSON Schema, merged and closed."""
    merged = _merge(schema)
    known = {key: value for key, value in merged.items() if key not in _PROSE and not key.startswith("x-")}
    for key in ("anyOf", "oneOf"):
        if key in known:
            known[key] = [plain(part, is_v1=is_v1) for part in known[key]]
    if isinstance(known.get("items"), dict):
        known["items"] = plain(known["items"], is_v1=is_v1)
    if isinstance(known.get("additionalProperties"), dict):
        known["additionalProperties"] = plain(known["additionalProperties"], is_v1=is_v1)
    if "properties" in known:
        _close(known, is_v1=is_v1)
    if merged.get("nullable"):
        if "type" in known:
            known["type"] = [known["type"], "null"]
        if "enum" in known:
            known["enum"] = [*known["enum"], None]
    return known


def _close(known: Schema, *, is_v1: bool) -> None:
    properties = {name: plain(part, is_v1=is_v1) for name, part in known["properties"].items()}
    placeholders = [name for name in properties if _PLACEHOLDER.fullmatch(name)]
    if placeholders:
        known.setdefault("additionalProperties", properties[placeholders[0]])
    known["properties"] = {name: part for name, part in properties.items() if name not in placeholders}
    known.setdefault("additionalProperties", not known["properties"])
    if is_v1 and known["additionalProperties"] is False:
        known["patternProperties"] = {HASH: {}}


def _merge(schema: Any) -> Schema:
    """Return a schema with its `allOf` parts taken in."""
    merged: Schema = {}
    for part in (*(_merge(part) for part in schema.get("allOf", ())), {key: value for key, value in schema.items() if key != "allOf"}):
        for key, value in part.items():
            if key == "properties":
                properties = merged.setdefault("properties", {})
                merged["properties"] = properties | {name: _both(properties.get(name), item) for name, item in value.items()}
            elif key == "required":
                merged["required"] = [*merged.get("required", []), *(name for name in value if name not in merged.get("required", []))]
            else:
                merged[key] = value
    return merged


def _both(first: Any, second: Any) -> Any:
    return second if first is None else {"allOf": [first, second]}


def _any_of(checker: Any, branches: list[Schema], instance: Any, schema: Schema) -> Iterator[ValidationError]:
    """Check alternatives; those that a fixed value such as `"item": "deal"` rules out are not looked at."""
    fitting = [branch for branch in branches if not _is_ruled_out(branch, instance)]
    yield from Draft4Validator.VALIDATORS["anyOf"](checker, fitting or branches, instance, schema)


def _is_ruled_out(branch: Schema, instance: Any) -> bool:
    fixed = ((name, part["enum"]) for name, part in branch.get("properties", {}).items() if len(part.get("enum", ())) == 1)
    return isinstance(instance, dict) and any(name in instance and instance[name] not in values for name, values in fixed)


_Validator = validators.extend(Draft4Validator, {"anyOf": _any_of})  # type: ignore[no-untyped-call]


def validator(schema: Schema) -> Draft4Validator:
    """Return a validator of a plain schema; it checks formats too."""
    checker: Draft4Validator = _Validator(schema, format_checker=_FORMATS)
    return checker


@dataclass(frozen=True, order=True)
class Problem:
    """One difference between a value and its schema."""

    place: str
    """Where, such as `data[].prices[].cost`."""
    kind: str
    """`null` where none is allowed, `extra` for a key that is not listed, `type`, `value` for anything else about the value itself,
    `missing` for a key that no answer had, `status` for one that is not declared."""
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


def problems(checker: Draft4Validator, value: Any) -> list[Problem]:
    """Return what is wrong with a value."""
    return [problem for error in checker.iter_errors(value) for problem in _problems(error)]


def _problems(error: ValidationError) -> list[Problem]:
    at, schema, value = place(error.absolute_path), cast("Schema", error.schema), cast("Any", error.instance)
    if error.validator == "additionalProperties":
        known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        extra = [key for key in value if key not in known and not any(re.search(pattern, key) for pattern in patterns)]
        return [Problem(place([*error.absolute_path, key]), "extra", "is not in the specification") for key in extra]
    if error.validator in {"anyOf", "oneOf"} and error.context:
        return _nearest(error.context)
    if error.validator == "type":
        expected = schema["type"] if isinstance(schema["type"], str) else " or ".join(schema["type"])
        return [Problem(at, "null" if value is None else "type", f"is {type_name(value)} instead of {expected}")]
    return [Problem(at, "value", error.message[:200])]


def _nearest(context: Sequence[ValidationError]) -> list[Problem]:
    """Return the problems of the alternative that has the fewest."""
    branches: dict[Any, list[ValidationError]] = {}
    for error in context:
        branches.setdefault(error.schema_path[0], []).append(error)
    return [problem for error in min(branches.values(), key=len) for problem in _problems(error)]


def type_name(value: Any) -> str:
    """Return the name JSON Schema has for the type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "string")  # dates and times are texts on the wire


def place(path: Iterable[Any]) -> str:
    """Name a place in a body: without positions in lists, and with a star for ids and hashes, such as `data[].custom_fields.*`."""
    return "".join("[]" if isinstance(part, int) else f".{'*' if _ID.fullmatch(part) else part}" for part in path).removeprefix(".")


def places_of_schema(schema: Schema, at: str = "") -> Iterator[str]:
    """Yield the place of each key a schema lists."""
    for key in ("anyOf", "oneOf"):
        for part in schema.get(key, ()):
            yield from places_of_schema(part, at)
    if "items" in schema:
        yield from places_of_schema(schema["items"], at + "[]")
    for name, part in schema.get("properties", {}).items():
        here = f"{at}.{place([name])}".removeprefix(".")
        yield here
        yield from places_of_schema(part, here)


def places_of_value(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each key a value has, and the type of what stands there."""
    if isinstance(value, list):
        for item in value:
            yield from places_of_value(item, at + "[]")
    elif isinstance(value, dict):
        for name, item in value.items():
            here = f"{at}.{place([str(name)])}".removeprefix(".")
            yield here, type_name(item)
            yield from places_of_value(item, here)
