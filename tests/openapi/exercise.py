"""Sends one operation of the simulator many requests and keeps what the answers were."""

import string
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.gateway.routes import Route
from tests.openapi.schemas import Problem, places_of_schema, places_of_value
from tests.openapi.spec import JSON, Operation, response_problems
from tests.openapi.strategies import MISSING_ID, Choices, First, informed, informed_query, uninformed
from tests.openapi.targets import Context, paths
from tests.openapi.world import World
from tests.unit.sandbox_pipedrive.driver import Answer

PROFILE = settings(
    max_examples=20, derandomize=True, database=None, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
_V1_ERROR = {"success": bool, "error": str, "error_info": str, "data": type(None), "additional_data": type(None)}
_V2_ERROR = {"success": bool, "error": str, "code": str}


@dataclass
class Findings:
    """What the answers to one operation were like."""

    statuses: dict[int, int] = field(default_factory=dict)
    problems: set[Problem] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    """Places that were seen in successful answers."""
    refusals: set[str] = field(default_factory=set)
    """Texts of the refusals."""
    refused: dict[str, str] = field(default_factory=dict)
    """Answer to each systematic request that was refused, by the parameter or key that was added."""

    @property
    def succeeded(self) -> int:
        """How many requests were."""
        return sum(count for status, count in self.statuses.items() if status < 300)

    def add(self, route: Route, operation: Operation, answer: Answer) -> None:
        """Judge one answer."""
        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        if answer.status < 300:
            if isinstance(answer.body, bytes):
                return
            self.problems.update(response_problems(operation, answer.status, answer.body))
            self.places.update(where for where, _ in places_of_value(answer.body))
            return
        self.problems.update(Problem("", "refusal", text) for text in refusal_problems(route, answer))
        if isinstance(answer.body, dict):
            self.refusals.add(str(answer.body.get("error")))


def refusal_problems(route: Route, answer: Answer) -> Iterator[str]:
    """Yield what is wrong with the envelope of a refusal."""
    body = answer.body
    if answer.status >= 500:
        yield f"status: {answer.status}"
    if not isinstance(body, dict):
        yield f"error: the body is {body!r:.60}"
        return
    if "errors" in body or "message" in body:  # webhooks have envelopes of their own
        return
    envelope = _V2_ERROR if route.version == 2 and "error_info" not in body else _V1_ERROR
    for name, kind in envelope.items():
        if name not in body or not isinstance(body[name], kind):
            yield f"{name}: a refusal has {body.get(name)!r} instead of a {kind.__name__}"
    if body.get("success") is not False:
        yield "success: a refusal is a success"
    unknown = body.keys() - envelope.keys() - {"code"}
    if unknown:
        yield f"{min(unknown)}: not in the envelope of a refusal"


@dataclass(frozen=True)
class Wire:
    """A request as it is sent."""

    path: str
    body: Any = None
    content: str = JSON
    query: dict[str, str] = field(default_factory=dict)


@st.composite
def requests(draw: st.DrawFn, context: Context, template: str, known: list[str]) -> Wire:
    """Draw a request; three of four know what the account has."""
    is_informed = draw(st.integers(0, 3)) > 0
    fields = {name: draw(st.sampled_from([str(MISSING_ID), "x", "0"])) for _, name, _, _ in string.Formatter().parse(template) if name}
    path = draw(st.sampled_from(known)) if known and (is_informed or draw(st.booleans())) else template.format(**fields)
    operation, context, choices = context.operation, replace(context, path=path), Choices(draw)
    query = informed_query(choices, context)
    if not operation.requests:
        return Wire(path, query=query)
    content = draw(st.sampled_from(sorted(operation.requests)))
    schema = operation.requests[content]
    body = informed(choices, context, schema) if is_informed or content != JSON else draw(uninformed(schema))
    return Wire(path, body, content, query)


def simplest(context: Context, template: str, *keys: str) -> Wire:
    """Return the smallest informed request, with these keys of the body and parameters of the query besides."""
    known = paths(context, template)
    path = known[0] if known else template
    context, choices = replace(context, path=path), First(*keys)
    query = informed_query(choices, context)
    for content, schema in sorted(context.operation.requests.items()):
        return Wire(path, informed(choices, context, schema), content, query)
    return Wire(path, query=query)


def systematic(context: Context, template: str) -> Iterator[tuple[str, Wire]]:
    """Yield the smallest request, and it with each parameter and each key of the body, by the name of that."""
    operation = context.operation
    yield "", simplest(context, template)
    for name, parameter in operation.query.items():
        if name != "cursor" and not parameter.is_required:
            request = simplest(context, template, name)
            yield f"query {name}", request
            for value in parameter.schema.get("enum", ())[1:]:
                yield f"query {name}={value}", replace(request, query={**request.query, name: str(value)})
    for schema in operation.requests.values():
        for name in schema.get("properties", {}):
            yield f"body {name}", simplest(context, template, name)


def exercise(world: World, route: Route, operation: Operation) -> Findings:
    """Send an operation its requests, each to the account as it was at first."""
    findings = Findings()
    context = Context(world, operation)
    known = paths(context, route.template)

    def send(request: Wire) -> Answer:
        with world.fresh():
            answer = world.send(route.method, request.path, request.body, request.content, request.query)
        findings.add(route, operation, answer)
        return answer

    for name, request in systematic(context, route.template):
        answer = send(request)
        if answer.status >= 400:
            findings.refused[name] = f"{answer.status} {answer.body.get('error') if isinstance(answer.body, dict) else ''}"

    @PROFILE
    @given(requests(context, route.template, known))
    def run(request: Wire) -> None:
        send(request)

    run()
    if findings.succeeded:
        findings.problems.update(_missing(operation, findings.places))
    return findings


def _missing(operation: Operation, seen: set[str]) -> Iterator[Problem]:
    """Yield the keys that no answer had although there were objects to have them; those that the examples leave out are optional."""
    populated = {where.rpartition(".")[0] for where in seen}
    exemplary = {where.rpartition(".")[0] for where in operation.examples}
    for status in operation.success_statuses:
        for where in places_of_schema(operation.responses[status]):
            parent = where.rpartition(".")[0]
            is_left_out = parent in exemplary and where not in operation.examples
            if where not in seen and parent in populated and not is_left_out:
                yield Problem(where, "missing", "is never there")
