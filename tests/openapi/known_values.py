"""Values by the name of a key or a parameter, drawn from what an account has."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.openapi.schemas import Schema
from tests.openapi.targets import Context, records_of
from tests.openapi.world import custom_value

Values = Sequence[Any]


def type_of(schema: Schema) -> str:
    """Return the type of a schema, the first where there are several."""
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    return str(kinds[0] if isinstance(kinds, list) else kinds)


def _ids(kind: str) -> Callable[[Context, Schema], Values]:
    def values(context: Context, schema: Schema) -> Values:
        records = records_of(context.world, kind if kind != "field" else f"field:{context.entity}")
        found = [one.get("uuid", one["id"]) for one in records if one.get("is_custom_field", True)]
        return [str(one) for one in found[:6]] if type_of(schema) == "string" else found[:6]

    return values


def _own_ids(context: Context, schema: Schema) -> Values:
    if not context.is_query:
        return ()
    return _ids(context.kind)(context, schema)


def _labels(context: Context, schema: Schema) -> Values:
    if context.segments[0] == "leads":
        return [[one["uuid"]] for one in context.world.live("lead_label")]
    options = [[option] for option in sorted(context.world.account.fields.option_ids(context.entity, "label_ids"))]
    return options if type_of(schema) == "array" else [option for one in options for option in one]


def _options(code: str) -> Callable[[Context, Schema], Values]:
    def values(context: Context, schema: Schema) -> Values:
        return sorted(context.world.account.fields.option_ids(context.entity, code)) if type_of(schema) != "string" else ()

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
        is_text = type_of(schema) == "string"
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
    "label": lambda context, schema: _labels(context, schema) if type_of(schema) != "string" else (),
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
    "email": lambda context, schema: ["new@example.com"] if type_of(schema) == "string" else (),
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
