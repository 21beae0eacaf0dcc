"""Attachments of records. The bytes are made when they are asked for, see `sandbox.stel_order.files`."""

from sandbox.stel_order.generator.build import FILES_BASE, Builder, link, moment, times

_NAMES = (
    "plano.pdf",
    "foto obra 1.png",
    "Contracte signat.pdf",
    "写真 2024.png",
    "عقد.pdf",
    'in"forme <final>.pdf',
    "../../escape.pdf",
    "albarán firmado.pdf",
)
_ENTITY_TYPES = (
    ("WORKORDER", "workOrders"),
    ("CLIENT", "clients"),
    ("SALESESTIMATE", "salesEstimates"),
    ("ORDINARYINVOICE", "ordinaryInvoices"),
    ("ASSET", "assets"),
)


def build_attachments(builder: Builder) -> None:
    """Make attachments on records of several kinds; two of them carry the same bytes."""
    rng = builder.rng("entityAttachments")
    for index in range(builder.plan.count(8 * builder.plan.files)):
        entity_type, collection = _ENTITY_TYPES[index % len(_ENTITY_TYPES)]
        owners = [record["id"] for record in builder.store.records(collection)]
        name = _NAMES[index % len(_NAMES)]
        put_attachment(builder, entity_type, owners[rng.randrange(len(owners))], name, variant="same" if index in (0, 2) else "")


def put_attachment(builder: Builder, entity_type: str, owner_id: int, name: str, *, variant: str = "", collection: str = "") -> int:
    """Store one attachment; `variant` names content that others may share."""
    rng = builder.rng(f"attachment/{name}/{owner_id}")
    attachment_id = builder.new_id("entityAttachments")
    suffix = name.rsplit(".", 1)[-1]
    stem = variant or str(attachment_id)
    url = f"{FILES_BASE}/entityAttachments/{stem}.{suffix}?token=att{attachment_id:x}s{builder.plan.seed}"
    owner = dict(_ENTITY_TYPES)
    builder.put(
        "entityAttachments",
        {
            "id": attachment_id,
            "name": name,
            "file-url": url,
            "entity-type": entity_type,
            **link("entity", collection or owner[entity_type], owner_id),
            **times(rng, moment(rng, rng.random())),
        },
    )
    return attachment_id
