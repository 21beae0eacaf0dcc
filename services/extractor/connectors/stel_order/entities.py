"""The collections of STEL Order that are read, and how each of them tells what changed."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from services.extractor.connector import SourceEntity


class ChangeMethod(enum.StrEnum):
    """How to read what changed since a time. Each is checked while it is used and falls back to the next one."""

    FILTER = "filter"
    """`utc-last-modification-date` as a filter."""
    SORT = "sort"
    """Newest change first, until the time is passed."""
    ALL = "all"
    """Everything again: for small lists whose records carry no stamp."""


@dataclass(frozen=True, slots=True)
class TouchedBy:
    """Another entity, read before, whose changed records change records of a collection without their stamp saying so (inferred by the reference)."""

    entity: str
    id_field: str
    """Field of that entity with the id of the record it belongs to."""


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection of the REST interface."""

    entity: SourceEntity
    change_method: ChangeMethod
    is_filter_proven: bool = False
    """Whether others have seen the filter work here; unproven ones are tried and verified in a delta, never for a closing pass."""
    touched_by: TouchedBy | None = None
    has_lines: bool = False
    """A document: whose lines may be edited without its stamp saying so (inferred by the reference)."""


@dataclass(frozen=True, slots=True)
class DerivedFiles:
    """Files that hang on records of other entities and are no collection themselves."""

    entity: SourceEntity
    owners: tuple[str, ...]


def _reference(name: str, path: str) -> Collection:
    return Collection(SourceEntity(name, path, is_reference_data=True), ChangeMethod.ALL)


def _tried(name: str, path: str, *, is_reference_data: bool = False) -> Collection:
    return Collection(SourceEntity(name, path, is_reference_data=is_reference_data), ChangeMethod.FILTER)


def _proven(name: str, path: str) -> Collection:
    return Collection(SourceEntity(name, path), ChangeMethod.FILTER, is_filter_proven=True)


def _document(name: str, path: str) -> Collection:
    return Collection(SourceEntity(name, path), ChangeMethod.FILTER, is_filter_proven=True, has_lines=True)


def _sorted(name: str, path: str) -> Collection:
    return Collection(SourceEntity(name, path), ChangeMethod.SORT)


COLLECTIONS: Final[tuple[Collection, ...]] = (
    Collection(SourceEntity("employee", "employees"), ChangeMethod.ALL),
    _reference("account_category", "accountCategories"),
    _reference("document_state", "documentStates"),
    _reference("tax_line", "taxLines"),
    _reference("product_category", "productCategories"),
    _reference("serial_number", "serialNumbers"),
    _reference("payment_option", "paymentOptions"),
    _reference("warehouse", "warehouses"),
    _reference("incident_state", "incidentStates"),
    _reference("incident_type", "incidentTypes"),
    _reference("event_type", "eventTypes"),
    _reference("calendar", "calendars"),
    _tried("client", "clients"),
    _tried("address", "addresses", is_reference_data=True),
    _tried("contact", "contacts"),
    _sorted("product", "products"),
    _sorted("service", "services"),
    _tried("asset", "assets"),
    _document("sales_estimate", "salesEstimates"),
    _document("sales_order", "salesOrders"),
    _document("work_order", "workOrders"),
    _tried("ordinary_invoice_receipt", "ordinaryInvoiceReceipts"),
    Collection(
        SourceEntity("ordinary_invoice", "ordinaryInvoices"),
        ChangeMethod.FILTER,
        is_filter_proven=True,
        touched_by=TouchedBy("ordinary_invoice_receipt", "original-element-id"),
        has_lines=True,
    ),
    _tried("potential_client", "potentialClients"),
    _document("work_estimate", "workEstimates"),
    _document("sales_delivery_note", "salesDeliveryNotes"),
    _document("work_delivery_note", "workDeliveryNotes"),
    _document("refund_invoice", "refundInvoices"),
    _tried("refund_invoice_receipt", "refundInvoiceReceipts"),
    _proven("incident", "incidents"),
    _proven("event", "events"),
    Collection(SourceEntity("entity_attachment", "entityAttachments", has_files=True), ChangeMethod.FILTER),
)
"""In the order they are read: what others refer to comes first, but receipts before the invoices whose amounts they change."""

DERIVED: Final[tuple[DerivedFiles, ...]] = (
    DerivedFiles(SourceEntity("item_image", "item-images", has_files=True), ("product", "service")),
    DerivedFiles(SourceEntity("asset_image", "asset-images", has_files=True), ("asset",)),
    DerivedFiles(SourceEntity("document_pdf", "pdf-path", has_files=True), ("work_order", "ordinary_invoice")),
)
"""Read after all collections, from the pages already frozen."""

ENTITIES: Final = tuple(one.entity for one in COLLECTIONS) + tuple(one.entity for one in DERIVED)
BY_NAME: Final[Mapping[str, Collection]] = {one.entity.name: one for one in COLLECTIONS}
DERIVED_BY_NAME: Final[Mapping[str, DerivedFiles]] = {one.entity.name: one for one in DERIVED}
BY_SOURCE_NAME: Final[Mapping[str, str]] = {one.entity.source_name: one.entity.name for one in COLLECTIONS}
