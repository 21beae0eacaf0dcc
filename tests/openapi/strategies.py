"""Requests made from the official schemas: informed ones, which refer to what the account has, and uninformed ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from tests.openapi.schemas import Schema
from tests.openapi.spec import Operation, Parameter
from tests.openapi.world import World, custom_value, square_image

Values = Sequence[Any]
MISSING_ID = 999_999
TEXTS = ("Oak", "Ébène 1/2", "x" * 40)
OPTIONAL_MAX = 3
_COLLECTIONS = {
    "deals": "deal", "persons": "person", "organizations": "organization", "products": "product", "activities": "activity", "leads": "lead",
    "pipelines": "pipeline", "stages": "stage", "notes": "note", "files": "file", "activityTypes": "activity_type", "users": "user",
    "organizationRelationships": "organization_relation", "leadLabels": "lead_label", "filters": "filter", "callLogs": "call_log",
    "webhooks": "webhook", "comments": "comment", "discounts": "discount", "installments": "installment", "variations": "product_variation",
    "images": "product_image", "participants": "participant", "followers": "follower", "status": "conversion", "permissionSets": "permission_set",
    "dealFields": "field:deal", "personFields": "field:person", "organizationFields": "field:organization", "productFields": "field:product",
    "activityFields": "field:activity", "leadFields": "field:lead", "noteFields": "field:note",
}  # fmt: skip
_INNER = {("deals", "products"): "deal_product"}
_PARENT_COLUMNS = {"organization": "org_id"}


@dataclass(frozen=True)
class Context:
    """Where a value is to stand."""

    world: World
    operation: Operation
    path: str = ""
    """The concrete path the request goes to."""
    is_query: bool = False

    @property
    def is_v1(self) -> bool:
        """Whether the operation is one of version 1."""
        return self.operation.source != "v2"

    @property
    def segments(self) -> list[str]:
        """Segments of the path."""
        return self.operation.path.strip("/").split("/")

    @property
    def kind(self) -> str:
        """Kind of record the operation is about."""
        first = self.segments[0]
        if len(self.segments) > 2 and self.segments[2] in _COLLECTIONS:
            return _COLLECTIONS[self.segments[2]]
        return _COLLECTIONS.get(first, "").partition(":")[0]

    @property
    def entity(self) -> str:
        """Kind of record whose fields the operation shows or takes; leads have those of deals."""
        kind = _COLLECTIONS.get(self.segments[0], "deal").removeprefix("field:")
        return "deal" if kind == "lead" else kind


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
    kind = _type(schema)
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


def paths(context: Context, template: str) -> list[str]:
    """Return the concrete paths of a template that lead to records."""
    if template in _PATHS:
        return _PATHS[template](context.world)
    found: list[tuple[str, list[Any]]] = [("", [])]
    segments = template.strip("/").split("/")
    for position, segment in enumerate(segments):
        if not segment.startswith("{"):
            found = [(f"{path}/{segment}", parents) for path, parents in found]
            continue
        collection = segments[position - 1]
        outer = segments[position - 3] if position > 2 else ""
        kind = _INNER.get((outer, collection)) or _COLLECTIONS.get(collection, "")
        found = [
            (f"{path}/{text}", [*parents, (kind, record)])
            for path, parents in found
            for record in _records(context.world, kind)
            if (not parents or _belongs(record, *parents[-1])) and _serves(record, segments[position + 1 :], context)
            for text in [_path_id(kind, record, context)]
        ]
    return [path for path, _ in found]


def _records(world: World, kind: str) -> list[Any]:
    if kind.startswith("field:"):
        return [one for one in world.live("field") if one["entity"] == kind.removeprefix("field:")]
    records = world.live(kind) if kind in world.account.store.tables else []
    return [one for one in records if one.get("active_flag", True) and not one.get("is_archived")]


def _path_id(kind: str, record: Any, context: Context) -> Any:
    if kind.startswith("field:"):
        return record["id"] if context.is_v1 else record["field_code"]
    return record["user_id"] if kind == "follower" and not context.is_v1 else record.get("uuid", record["id"])


def _serves(record: Any, rest: list[str], context: Context) -> bool:
    """Whether a record is of use to an operation: it has what that reads, built-in fields can not be deleted, most have no options."""
    needs = _NEEDS.get(context.operation.name)
    if needs is not None:
        return needs(context.world, record)
    if "field_code" not in record or context.operation.method == "GET":
        return True
    return bool(record["is_custom_field"] and (not rest or record["options"]))


def _conversions(kind: str) -> Callable[[World], list[str]]:
    def found(world: World) -> list[str]:
        jobs = [job for job in world.live("conversion") if job["source_kind"] == kind]
        return [f"/api/v2/{kind}s/{job['source']}/convert/status/{job['uuid']}" for job in jobs]

    return found


def _has(kind: str, column: str) -> Callable[[World, Any], bool]:
    return lambda world, record: any(one[column] == record["id"] for one in world.live(kind))


def _has_plain_lines(world: World, deal: Any) -> bool:
    lines = [line for line in world.live("deal_product") if line["deal_id"] == deal["id"]]
    return bool(lines) and all(line["billing_frequency"] == "one-time" for line in lines)


_PATHS: dict[str, Callable[[World], list[str]]] = {
    "/api/v2/leads/{id}/convert/status/{conversion_id}": _conversions("lead"),
    "/api/v2/deals/{id}/convert/status/{conversion_id}": _conversions("deal"),
}
"""Paths that are not made of the ids of records that still exist."""
_NEEDS: dict[str, Callable[[World, Any], bool]] = {
    "GET /api/v2/persons/{id}/picture": _has("picture", "person_id"),
    "DELETE /v1/persons/{id}/picture": _has("picture", "person_id"),
    "GET /api/v2/products/{id}/images": _has("product_image", "product_id"),
    "PUT /api/v2/products/{id}/images": _has("product_image", "product_id"),
    "DELETE /api/v2/products/{id}/images": _has("product_image", "product_id"),
    "POST /api/v2/deals/{id}/installments": _has_plain_lines,
}
"""What a record must have besides for an operation to succeed."""


def _belongs(record: Any, kind: str, parent: Any) -> bool:
    if "followed" in record:
        return bool(record["followed"] == f"{kind}/{parent['id']}")
    column = _PARENT_COLUMNS.get(kind, f"{kind}_id")
    return bool(record.get(column, parent["id"]) in {parent["id"], parent.get("uuid")})


def _type(schema: Schema) -> str:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    return str(kinds[0] if isinstance(kinds, list) else kinds)


def _ids(kind: str) -> Callable[[Context, Schema], Values]:
    def values(context: Context, schema: Schema) -> Values:
        records = _records(context.world, kind if kind != "field" else f"field:{context.entity}")
        found = [one.get("uuid", one["id"]) for one in records if one.get("is_custom_field", True)]
        return [str(one) for one in found[:6]] if _type(schema) == "string" else found[:6]

    return values


def _own_ids(context: Context, schema: Schema) -> Values:
    if not context.is_query:
        return ()
    return _ids(context.kind)(context, schema)


def _labels(context: Context, schema: Schema) -> Values:
    if context.segments[0] == "leads":
        return [[one["uuid"]] for one in context.world.live("lead_label")]
    options = [[option] for option in sorted(context.world.account.fields.option_ids(context.entity, "label_ids"))]
    return options if _type(schema) == "array" else [option for one in options for option in one]


def _options(code: str) -> Callable[[Context, Schema], Values]:
    def values(context: Context, schema: Schema) -> Values:
        return sorted(context.world.account.fields.option_ids(context.entity, code)) if _type(schema) != "string" else ()

    return values


def _custom_fields(context: Context, schema: Schema) -> Values:
    fields = context.world.account.fields.custom[context.entity]
    if context.is_query:
        return [",".join(list(fields)[:3]), next(iter(fields))]
    links = {"user": 1, "org": context.world.live("organization")[0]["id"], "people": context.world.live("person")[0]["id"]}
    filled = [
        {code: custom_value(one["field_type"], [option["id"] for option in one["options"] or ()], links), other: None}
        for (code, one), other in zip(fields.items(), reversed(fields), strict=True)
    ]
    return [{}, *filled]


def _option_items(context: Context, schema: Schema) -> Values:
    return [[{"label": "red"}], [{"label": "red"}, {"label": "blue"}]]


def _option_ids(context: Context, schema: Schema) -> Values:
    """Ids of the options of the field the path names."""
    code = context.path.split("/")[-2] if context.path.endswith("/options") else ""
    field = next((one for one in context.world.live("field") if one["field_code"] == code), None)
    return [option["id"] for option in field["options"]] if field and field["options"] else ()


def _conditions(context: Context, schema: Schema) -> Values:
    return [context.world.live("filter")[0]["conditions"]] if context.world.live("filter") else ()


def _filters(context: Context, schema: Schema) -> Values:
    kind = {"organization": "org", "person": "people", "activity": "activity"}.get(context.kind, f"{context.kind}s")
    return [one["id"] for one in context.world.live("filter") if one["type"] == kind]


def _filter_type(context: Context, schema: Schema) -> Values:
    """A type that goes with the conditions of the first filter, or the type of an activity."""
    return {"filter": ["deals"], "activity": ["call"]}.get(context.kind, ())


def _other_ids(context: Context, schema: Schema) -> Values:
    """Ids of the operation's kind of record, the last first."""
    return _ids(context.kind)(context, schema)[::-1]


def _one_of(*values: Any) -> Callable[[Context, Schema], Values]:
    def fitting(context: Context, schema: Schema) -> Values:
        if "enum" in schema and not set(schema["enum"]) & {one for one in values if isinstance(one, str | int)}:
            return ()
        is_text = _type(schema) == "string"
        return [str(one) if is_text and isinstance(one, int) else one for one in values]

    return fitting


def _time(context: Context, schema: Schema) -> Values:
    return ["2026-01-02 03:04:05"] if context.is_v1 and not context.is_query else ["2026-01-02T03:04:05Z"]


def _term(context: Context, schema: Schema) -> Values:
    return ["timber", "timber", "fir", "some text", "xx"]


def _field(context: Context, schema: Schema) -> Values:
    return ["title", *context.world.codes("deal", "varchar")]


_DAYS = _one_of("2026-10-01", "2026-12-31")
NAMED: dict[str, Callable[[Context, Schema], Values]] = {
    **dict.fromkeys(("owner_id", "user_id", "creator_user_id"), _one_of(1, 2)),
    **dict.fromkeys(("org_id", "organization_id", "rel_owner_org_id"), _ids("organization")),
    "rel_linked_org_id": lambda context, schema: _ids("organization")(context, schema)[-1:],
    "person_id": lambda context, schema: _ids("person")(context, schema)[:: -1 if context.segments[-1] == "participants" else 1],
    "deal_id": _ids("deal"),
    "lead_id": _ids("lead"),
    "product_id": _ids("product"),
    "activity_id": _ids("activity"),
    "pipeline_id": _ids("pipeline"),
    "pipeline_ids[]": _ids("pipeline"),
    "stage_ids[]": _ids("stage"),
    "stage_id": _ids("stage"),
    "deal_ids": _ids("deal"),
    "filter_id": _filters,
    "product_variation_id": _one_of(None),
    "merge_with_id": _other_ids,
    "ids": _own_ids,
    "label_ids": _labels,
    "label": lambda context, schema: _labels(context, schema) if _type(schema) != "string" else (),
    "options": _option_items,
    "id": _option_ids,
    "conditions": _conditions,
    "custom_fields": _custom_fields,
    "industry": _options("industry"),
    "priority": _options("priority"),
    "category": _options("category"),
    "currency": _one_of("EUR", "USD", "JPY"),
    "visible_to": _one_of(1, 3, 5, 7),
    "status": _one_of("open", "won", "lost"),
    "type": _filter_type,
    "add_time": _time,
    "won_time": _time,
    "lost_time": _time,
    "close_time": _time,
    "updated_since": _time,
    "updated_until": _time,
    "archive_time": _one_of("2026-01-02 03:04:05"),
    "since_timestamp": _one_of("2026-05-20 03:04:05"),
    "due_date": _DAYS,
    "birthday": _DAYS,
    "start_date": _DAYS,
    "billing_date": _DAYS,
    "end_date": _DAYS,
    "due_time": _one_of("10:00", "23:59:59"),
    "duration": lambda context, schema: ["60"] if context.kind == "call_log" else ["01:30"],
    "color": _one_of("aabbcc"),
    "limit": _one_of(1, 2, 50),
    "start": _one_of(0, 1),
    "since": _one_of("2026-01-02T03:04:05Z"),
    "until": _one_of("2026-12-02T03:04:05Z"),
    "exclude": _one_of("1,2"),
    "items": _one_of("activity,note"),
    "field_key": _field,
    "email": lambda context, schema: ["new@example.com"] if _type(schema) == "string" else (),
    "prices": lambda context, schema: [[{"currency": "EUR", "price": 12.5, "cost": 1, "direct_cost": 2, "notes": "list"}]],
    "sort": _one_of("id ASC", "id DESC", "update_time DESC"),
    "term": _term,
    "field": _field,
    "entity_type": _one_of("deal"),
    "amount": _one_of(1, 2.5),
    "channel": _one_of(None),
    "subscription_url": _one_of("http://127.0.0.1:9/hook"),
    "deal_probability": _one_of(0, 50, 100),
    "probability": _one_of(0, 50.5, 100),
    "billing_frequency_cycles": _one_of(None),
    "billing_frequency": _one_of("one-time"),
}
"""Values by the name of a key or a parameter; what is not here follows from its schema."""
COMPANIONS: tuple[tuple[str, str, Any], ...] = (
    ("close_time", "status", "won"),
    ("lost_reason", "status", "lost"),
    ("lost_time", "status", "lost"),
    ("won_time", "status", "won"),
    ("archive_time", "is_archived", True),
    ("marketing_status", "emails", [{"value": "timber@example.com"}]),
    ("options", "field_type", "enum"),
)
"""Keys that go only with a certain value of another."""
ALWAYS: dict[str, tuple[str, ...]] = {
    "POST /api/v2/persons": ("name",),
    "POST /v1/notes": ("deal_id",),
    "POST /v1/leads": ("person_id",),
    "address": ("value",),
    "postal_address": ("value",),
    "location": ("value",),
    "emails[]": ("value",),
    "phones[]": ("value",),
    "im[]": ("value",),
    "prices[]": ("currency",),
    "participants[]": ("person_id",),
    "attendees[]": ("email",),
}
"""Keys without which a request is refused although the schema does not require them, by operation or by the key they are under."""
