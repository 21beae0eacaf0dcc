"""Where a request goes: the paths of an operation that lead to records of an account."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.openapi.spec import Operation
from tests.openapi.world import World

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
            for record in records_of(context.world, kind)
            if (not parents or _belongs(record, *parents[-1])) and _serves(record, segments[position + 1 :], context)
            for text in [_path_id(kind, record, context)]
        ]
    return [path for path, _ in found]


def records_of(world: World, kind: str) -> list[Any]:
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
