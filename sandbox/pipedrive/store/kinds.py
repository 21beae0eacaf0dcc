"""The kinds of record an account holds: where each is found quickly, and how the export calls it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of record."""

    plural: str
    """Its name in the export."""
    indexes: tuple[str, ...] = ()
    """Columns that can be looked up without a scan."""
    is_exported: bool = True
    """Whether it belongs to the visible state; the server's own bookkeeping does not."""


KINDS: dict[str, Kind] = {
    "user": Kind("users"),
    "field": Kind("fields", ("field_code", "entity")),
    "pipeline": Kind("pipelines"),
    "stage": Kind("stages", ("pipeline_id",)),
    "activity_type": Kind("activity_types"),
    "filter": Kind("filters"),
    "lead_label": Kind("lead_labels", ("uuid",)),
    "organization": Kind("organizations"),
    "person": Kind("persons", ("org_id",)),
    "product": Kind("products"),
    "product_variation": Kind("product_variations", ("product_id",)),
    "product_image": Kind("product_images", ("product_id",)),
    "deal": Kind("deals", ("org_id", "person_id", "stage_id")),
    "deal_product": Kind("deal_products", ("deal_id", "product_id")),
    "discount": Kind("discounts", ("deal_id", "uuid")),
    "installment": Kind("installments", ("deal_id",)),
    "participant": Kind("participants", ("deal_id", "person_id")),
    "follower": Kind("followers", ("followed", "user_id")),
    "lead": Kind("leads", ("uuid", "person_id", "organization_id")),
    "conversion": Kind("conversions", ("uuid",), is_exported=False),
    "activity": Kind("activities", ("deal_id", "org_id", "person_id", "lead_id")),
    "note": Kind("notes", ("deal_id", "org_id", "person_id", "lead_id")),
    "comment": Kind("comments", ("note_id", "uuid")),
    "file": Kind("files", ("deal_id", "org_id", "person_id", "product_id", "activity_id", "lead_id")),
    "call_log": Kind("call_logs", ("uuid", "deal_id", "org_id", "person_id", "lead_id")),
    "picture": Kind("pictures", ("person_id",)),
    "organization_relation": Kind("organization_relations", ("rel_owner_org_id", "rel_linked_org_id")),
    "webhook": Kind("webhooks"),
    "change": Kind("changes", ("changed",), is_exported=False),
}
"""In the order of the export. Kinds whose ids are texts in the API have a whole number as `id` here and the text in `uuid`;
`followed` and `changed` are texts such as `deal/12`. What a record lacks of the indexed columns is null."""
