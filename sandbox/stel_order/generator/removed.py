"""Records that were deleted in the source: left out of lists, still answered by id and shown by changed-since lists."""

from random import Random

from sandbox.stel_order.generator.accounts import address, client_record, contact_record
from sandbox.stel_order.generator.build import Builder, Party, moment, times
from sandbox.stel_order.generator.catalogue import product_record
from sandbox.stel_order.generator.documents import cycle_state, header
from sandbox.stel_order.generator.lines import make_lines, price
from sandbox.stel_order.generator.service import asset_record


def build_removed(builder: Builder) -> None:
    """Make deleted clients, contacts, products, equipment and documents."""
    rng = builder.rng("removed")
    for index in range(builder.plan.count(3)):
        client_id = deleted_client(builder, rng, index)
        _put_deleted(builder, rng, "contacts", contact_record(rng, index, client_id) | {"id": builder.new_id("contacts")})
    for index in range(builder.plan.count(2)):
        deleted_product(builder, rng, index)
    party = builder.parties[0]
    _put_deleted(builder, rng, "assets", asset_record(rng, 1, builder.new_id("assets"), party.id))
    for collection in ("salesEstimates", "workOrders", "ordinaryInvoices"):
        document_id = builder.new_id(collection)
        record = header(rng, collection, document_id, party, moment(rng, 0.4)) | {"discount-percentage": 0} | cycle_state(collection, 0)
        record |= price(make_lines(rng, builder.items, 2, document_id), 0).header()
        _put_deleted(builder, rng, collection, record)


def deleted_client(builder: Builder, rng: Random, index: int) -> int:
    """Store a deleted client; returns its id."""
    client_id = builder.new_id("clients")
    record = client_record(rng, index, client_id, f"Cliente borrado {client_id}") | {"main-address": address(rng, index, client_id)}
    return _put_deleted(builder, rng, "clients", record)


def deleted_product(builder: Builder, rng: Random, index: int) -> int:
    """Store a deleted product; returns its id."""
    product_id = builder.new_id("products")
    return _put_deleted(builder, rng, "products", product_record(rng, index, product_id) | {"name": f"Producto borrado {product_id}"})


def party_of(client_id: int) -> Party:
    """Return a client as documents need it, without owner and address."""
    return Party(client_id, "", "EUR", 0, None)


def _put_deleted(builder: Builder, rng: Random, collection: str, record: dict[str, object]) -> int:
    return builder.put(collection, record | times(rng, moment(rng, rng.random())) | {"deleted": True})
