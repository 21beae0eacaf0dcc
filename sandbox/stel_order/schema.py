"""What each collection of the interface takes: filters, sort fields, the shape of a single record."""

from dataclasses import dataclass
from enum import StrEnum

MODIFIED = "utc-last-modification-date"
CREATED = "creation-date"


class ChangedSince(StrEnum):
    """What a collection does with the changed-since filter."""

    HONOURED = "honoured"
    """Lists what changed at or after the stamp, deleted records included."""
    IGNORED = "ignored"
    """Lists everything, as if the filter had not been sent."""
    REFUSED = "refused"
    """Answers 400 with E000003."""


class SingleShape(StrEnum):
    """How `GET /{collection}/{id}` answers."""

    OBJECT = "object"
    ARRAY = "array"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection below `/app`."""

    name: str
    changed_since: ChangedSince = ChangedSince.REFUSED
    has_date_range: bool = False
    equality: frozenset[str] = frozenset()
    sortable: frozenset[str] = frozenset({CREATED, MODIFIED})
    single: SingleShape = SingleShape.OBJECT


SALES_DOCUMENTS = ("salesEstimates", "salesOrders", "salesDeliveryNotes", "ordinaryInvoices", "refundInvoices")
WORK_DOCUMENTS = ("workEstimates", "workOrders", "workDeliveryNotes")
DOCUMENTS = SALES_DOCUMENTS + WORK_DOCUMENTS
RECEIPTS = ("ordinaryInvoiceReceipts", "refundInvoiceReceipts")

_EMPTY = (
    "bankAccounts",
    "deliveryOptions",
    "employeeRoles",
    "expenseCategories",
    "expenseStates",
    "expenses",
    "expensesAndInvestments",
    "itemRates",
    "productComponents",
    "productWarehouses",
    "purchaseDeliveryNotes",
    "purchaseInvoiceReceipts",
    "purchaseInvoices",
    "purchaseOrders",
    "shopItems",
    "specialPrices",
    "stockMovements",
    "suppliers",
    "tempoEmployees",
)
_REFERENCE = (
    "accountCategories",
    "assetImages",
    "calendars",
    "documentStates",
    "employees",
    "eventTypes",
    "incidentStates",
    "incidentTypes",
    "itemImages",
    "paymentOptions",
    "paymentTerms",
    "productCategories",
    "rates",
    "serialNumbers",
    "taxLines",
    "warehouses",
)
_ACCOUNT_FILTERS = frozenset({"email", "name", "reference", "external-id"})
_CATALOGUE_FILTERS = frozenset({"name", "reference", "barcode", "external-id"})


def _table() -> dict[str, Collection]:
    plain = [Collection(name) for name in (*_EMPTY, *_REFERENCE)]
    documents = [
        Collection(
            name,
            ChangedSince.HONOURED,
            has_date_range=True,
            equality=frozenset({"full-reference", "account-id", "external-id"}),
            sortable=frozenset({CREATED, MODIFIED, "date"}),
            single=SingleShape.REFUSED if name == "workOrders" else SingleShape.OBJECT,
        )
        for name in DOCUMENTS
    ]
    receipts = [
        Collection(
            name,
            ChangedSince.HONOURED,
            equality=frozenset({"original-element-id", "paid"}),
            sortable=frozenset({CREATED, MODIFIED, "original-element-id"}),
            single=SingleShape.ARRAY,
        )
        for name in RECEIPTS
    ]
    others = [
        Collection("clients", ChangedSince.HONOURED, equality=_ACCOUNT_FILTERS),
        Collection("potentialClients", ChangedSince.HONOURED, equality=_ACCOUNT_FILTERS),
        Collection("contacts", ChangedSince.HONOURED, equality=frozenset({"email", "name", "account-id"}), single=SingleShape.ARRAY),
        Collection("addresses", ChangedSince.IGNORED, equality=frozenset({"account-id"})),
        Collection("products", equality=_CATALOGUE_FILTERS),
        Collection("services", equality=_CATALOGUE_FILTERS),
        Collection("assets", ChangedSince.IGNORED, equality=frozenset({"reference", "account-id"}), single=SingleShape.ARRAY),
        Collection("incidents", ChangedSince.HONOURED, has_date_range=True),
        Collection("events", ChangedSince.HONOURED, has_date_range=True),
        Collection("entityAttachments", ChangedSince.REFUSED),
    ]
    return {collection.name: collection for collection in [*plain, *documents, *receipts, *others]}


COLLECTIONS = _table()
"""All collections with records, by name. `errorCodes` is answered apart."""

ERROR_CODES = {
    "E000001": "Too many calls in one minute",
    "E000002": "Too many calls in one day",
    "E000003": "The request could not be processed",
    "E000004": "The API key is not valid",
    "E000005": "The JSON is missing or not valid",
    "E000006": "The key has no permission for this module",
    "E000007": "The plan does not allow more products",
    "E000008": "The plan does not allow more services",
    "E000009": "The plan does not allow more expenses",
    "E000010": "The plan does not allow more assets",
    "E000011": "The plan does not allow more accounts",
    "E000012": "The plan does not allow more contacts",
    "E000013": "The plan does not allow more incidents",
    "E000014": "The plan does not allow creating more documents",
    "E000015": "The plan does not allow editing more documents",
    "E000016": "The delivery options are not valid",
    "E000017": "The trial period is over",
}

PLAN_DAILY_LIMITS = {"lite": 300, "business": 1000, "pro": 2000}
"""Calls a day by plan."""
