"""The official OpenAPI files of Pipedrive: operations, their parameters and schemas, and checks of requests and answers against them.

The files are not part of the repository. They are looked for beside it, in `shared/reference/pipedrive`; tests that need them are
marked `requires_spec` and say so when they are skipped. The files have no references between schemas.
"""

import email
import json
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import yaml
from jsonschema import Draft4Validator

from tests.openapi.schemas import Problem, Schema, places_of_value, plain, problems, validator

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "reference" / "pipedrive"
_FILES = (("v2", "openapi-v2.yaml"), ("v1", "openapi-v1.yaml"), ("v1-removed", "openapi-v1-removed.yaml"))
_PREFIXES = (("/api/v2/", ("v2",)), ("/api/v1/", ("v1", "v1-removed")), ("/v1/", ("v1", "v1-removed")))
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
JSON, FORM, MULTIPART = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"


@dataclass(frozen=True)
class Parameter:
    """A parameter of the query or the path."""

    name: str
    schema: Schema
    is_required: bool


@dataclass(frozen=True)
class Operation:
    """One operation of one of the files."""

    source: str
    """`v2`, `v1`, or `v1-removed` for what left the specification of version 1 in 2026."""
    method: str
    path: str
    """Template below the version's prefix, such as `/deals/{id}`."""
    is_deprecated: bool
    query: dict[str, Parameter]
    path_parameters: dict[str, Parameter]
    requests: dict[str, Schema]
    """Schema of the body by content type."""
    responses: dict[int, Schema] = field(hash=False, compare=False)
    """Schema of the JSON answer by status; an answer of other form has an empty one."""
    examples: dict[str, set[str]] = field(hash=False, compare=False)
    """Types by place in the examples of successful answers."""

    @property
    def name(self) -> str:
        """Method and full path."""
        prefix = "/api/v2" if self.source == "v2" else "" if self.path.startswith("/oauth/") else "/v1"
        return f"{self.method} {prefix}{self.path}"

    @property
    def includes(self) -> list[str]:
        """Names that `include_fields` knows."""
        names = self.query["include_fields"].schema.get("enum", ()) if "include_fields" in self.query else ()
        return [name.rpartition(".")[2] for name in names]

    @property
    def success_statuses(self) -> list[int]:
        """Declared 2xx statuses."""
        return sorted(status for status in self.responses if 200 <= status < 300)

    @cached_property
    def request_validators(self) -> dict[str, Draft4Validator]:
        """Validators of the body by content type."""
        return {content: validator(schema) for content, schema in self.requests.items()}

    @cached_property
    def response_validators(self) -> dict[int, Draft4Validator]:
        """Validators of the answer by status."""
        return {status: validator(schema) for status, schema in self.responses.items()}


class Spec:
    """All operations, found by template or by path."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self._by_shape = {(one.source, one.method, _shape(one.path)): one for one in reversed(operations)}

    def find(self, method: str, template: str) -> Operation | None:
        """Return the operation of a full template such as `/api/v2/deals/{id}`; the names of parameters do not matter."""
        sources, path = _split(template)
        return next((found for source in sources if (found := self._by_shape.get((source, method, _shape(path))))), None)

    def match(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation of a concrete path and the values of its parameters. Literal segments win over parameters."""
        sources, rest = _split(path)
        segments = rest.strip("/").split("/")
        found: list[tuple[int, Operation, dict[str, str]]] = []
        for one in self.operations:
            pattern = one.path.strip("/").split("/")
            if one.source not in sources or one.method != method or len(pattern) != len(segments):
                continue
            pairs = list(zip(pattern, segments, strict=True))
            if all(part.startswith("{") or part == segment for part, segment in pairs):
                values = {part[1:-1]: segment for part, segment in pairs if part.startswith("{")}
                found.append((len(values), one, values))
        # Of the two operations at `/oauth/token` one has a slash at its end.
        return min(found, key=lambda item: (item[0], item[1].path.endswith("/") != rest.endswith("/")))[1:] if found else None


def available() -> bool:
    """Whether the official files are there."""
    return all((FOLDER / name).exists() for _, name in _FILES)


requires_spec = pytest.mark.skipif(not available(), reason=f"the official OpenAPI files are not in {FOLDER}")


@cache
def load() -> Spec:
    """Read the official files, once in a process."""
    operations = []
    for source, name in _FILES:
        document = yaml.load((FOLDER / name).read_bytes(), yaml.CSafeLoader)
        for path, methods in document["paths"].items():
            operations += [_operation(source, method, path, body) for method, body in methods.items() if method in _METHODS]
    return Spec(operations)


def validate_request(method: str, path: str, query: str, content_type: str, body: bytes) -> list[str]:
    """Return what is wrong with a request, nothing when it is as the specification has it.

    Args:
        method: HTTP method.
        path: Concrete path, such as `/api/v2/deals/12`.
        query: Query string, without the question mark.
        content_type: Value of the header.
        body: Bytes of the body.
    """
    found = load().match(method, path)
    if found is None:
        return [f"{method} {path} is no operation"]
    operation, values = found
    wrong = [text for name, value in values.items() for text in _parameter_problems(operation.path_parameters.get(name), value, name)]
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in given.items():
        if name in operation.query:
            wrong += _parameter_problems(operation.query[name], value, name)
        elif name != "api_token":
            wrong.append(f"query {name}: not a parameter of {operation.name}")
    wrong += [f"query {name}: missing" for name, one in operation.query.items() if one.is_required and name not in given]
    return wrong + _body_problems(operation, content_type, body)


def validate_response(method: str, template: str, status: int, body: Any) -> list[str]:
    """Return what is wrong with a JSON answer; see `response_problems`.

    Args:
        method: HTTP method.
        template: Full template, such as `/api/v2/deals/{id}`.
        status: HTTP status; one that the operation does not declare is wrong when it is a success.
        body: The parsed body.
    """
    operation = load().find(method, template)
    if operation is None:
        return [f"{method} {template} is no operation"]
    return [str(problem) for problem in response_problems(operation, status, body)]


def response_problems(operation: Operation, status: int, body: Any) -> list[Problem]:
    """Return what is wrong with a JSON answer.

    Where the specification contradicts itself (the schema of an answer lacks a key, or has another type, than the example beside it)
    both are right. Keys that
    `include_fields` names may be there, although some schemas do not list them.
    """
    checker = operation.response_validators.get(status)
    if checker is None:
        declared = " or ".join(map(str, operation.success_statuses))
        return [Problem("", "status", f"{status} instead of {declared}")] if status < 300 else []
    return [one for one in problems(checker, body) if not _is_in_example(operation, one)]


def _is_in_example(operation: Operation, problem: Problem) -> bool:
    key = problem.place.rpartition(".")[2]
    if problem.kind == "extra" and (key in operation.includes or (key == "labels" and "include_labels" in operation.query)):
        return True
    types = operation.examples.get(problem.place)
    if types is None or problem.kind == "value":
        return False
    return problem.kind == "extra" or problem.text.split()[1] in types


def _operation(source: str, method: str, path: str, body: dict[str, Any]) -> Operation:
    is_v1 = source != "v2"
    parameters = {
        place: {
            item["name"]: Parameter(item["name"], plain(item["schema"], is_v1=is_v1), bool(item.get("required")))
            for item in body.get("parameters", ())
            if item["in"] == place
        }
        for place in ("query", "path")
    }
    return Operation(
        source,
        method.upper(),
        path,
        bool(body.get("deprecated")),
        parameters["query"],
        parameters["path"],
        {content: plain(item["schema"], is_v1=is_v1) for content, item in body.get("requestBody", {}).get("content", {}).items()},
        {int(status): plain(item.get("content", {}).get(JSON, {}).get("schema", {}), is_v1=is_v1) for status, item in body["responses"].items()},
        _examples(body["responses"]),
    )


def _examples(responses: dict[str, Any]) -> dict[str, set[str]]:
    types: dict[str, set[str]] = {}
    for status, response in responses.items():
        content = response.get("content", {}).get(JSON, {})
        for example in (content.get("example"), *(one.get("value") for one in content.get("examples", {}).values())):
            if example is not None and status.startswith("2"):
                for where, kind in places_of_value(_merged(example)):
                    types.setdefault(where, set()).add(kind)
    return types


def _merged(example: Any) -> Any:
    """Return an example without the `allOf` that some of them took over from their schema."""
    if isinstance(example, list):
        return [_merged(item) for item in example]
    if not isinstance(example, dict):
        return example
    parts = [part for part in example.get("allOf", ()) if isinstance(part, dict)]
    return {key: _merged(value) for part in (*parts, example) for key, value in part.items() if key != "allOf"}


def _split(path: str) -> tuple[tuple[str, ...], str]:
    if path.startswith("/oauth/"):  # on a host of its own, in the file of version 1
        return ("v1",), path
    for prefix, sources in _PREFIXES:
        if path.startswith(prefix):
            return sources, path[len(prefix) - 1 :]
    return (), path


def _shape(path: str) -> str:
    """Return a template without the names of its parameters."""
    return "/".join("{}" if segment.startswith("{") else segment for segment in path.lstrip("/").split("/"))


def _parameter_problems(parameter: Parameter | None, text: str, name: str) -> list[str]:
    if parameter is None:
        return []
    schema = parameter.schema
    if schema.get("type") == "string" and "enum" in schema and "," in text:  # a comma separated list of the values
        return [wrong for part in text.split(",") for wrong in _parameter_problems(parameter, part.strip(), name)]
    return [f"parameter {name}: {wrong.text}" for wrong in problems(validator(schema), typed(text, schema))]


def typed(text: str, schema: Schema) -> Any:
    """Return a text of a query or a form as the type its schema names, or unchanged where it is not one."""
    kinds = schema.get("type", "string")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "boolean" in kinds and text in {"true", "false"}:
        return text == "true"
    if {"integer", "number"} & set(kinds):
        try:
            return int(text)
        except ValueError:
            return text
    if "array" in kinds:
        return [typed(part, schema.get("items", {})) for part in text.split(",")]
    return text


def _body_problems(operation: Operation, content_type: str, body: bytes) -> list[str]:
    kind = content_type.partition(";")[0].strip().lower()
    if not operation.requests:
        return ["body: the operation takes none"] if body else []
    # Version 1 takes forms wherever it takes JSON.
    described = kind if kind in operation.requests else JSON if kind == FORM and operation.source != "v2" else None
    if described not in operation.requests:
        return [f"content type: {kind or 'none'} instead of {', '.join(operation.requests)}"]
    checker, schema = operation.request_validators[described], operation.requests[described]
    if kind == JSON:
        try:
            return list(map(str, problems(checker, json.loads(body))))
        except ValueError as error:
            return [f"body: not JSON ({error})"]
    fields = dict(parse_qsl(body.decode(), keep_blank_values=True)) if kind == FORM else _parts(content_type, body)
    known = schema.get("properties", {})
    return list(map(str, problems(checker, {name: typed(text, known.get(name, {})) for name, text in fields.items()})))


def _parts(content_type: str, body: bytes) -> dict[str, str]:
    """Return the parts of a multipart body by name."""
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    return {
        str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True) or b"").decode("latin-1")
        for part in message.walk()
        if not part.is_multipart()
    }
