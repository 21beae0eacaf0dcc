"""A generated STEL Order account as frozen pages, and a manifest as the ledger would bind it. No service runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.store import Store
from services.common.canonical import canonical_json, digest
from services.common.phases import PHASES
from services.transformer.compile import compile_schema
from services.transformer.engine import Engine
from services.transformer.manifest import read_manifest
from services.transformer.mapping.reading import load_mapping
from services.transformer.plan import MappingPlan
from services.transformer.snapshot.envelope import envelope_of
from services.transformer.snapshot.link_fields import link_values
from services.transformer.snapshot.values import ValueIndex
from transload.v1 import ledger_service_pb2, records_pb2, transformer_service_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.snapshot.envelope import Envelope

COLLECTIONS = {
    "employee": "employees",
    "account_category": "accountCategories",
    "document_state": "documentStates",
    "tax_line": "taxLines",
    "product_category": "productCategories",
    "payment_option": "paymentOptions",
    "warehouse": "warehouses",
    "client": "clients",
    "address": "addresses",
    "contact": "contacts",
    "product": "products",
    "service": "services",
    "asset": "assets",
    "sales_estimate": "salesEstimates",
    "sales_order": "salesOrders",
    "work_order": "workOrders",
    "ordinary_invoice": "ordinaryInvoices",
    "ordinary_invoice_receipt": "ordinaryInvoiceReceipts",
    "potential_client": "potentialClients",
    "work_estimate": "workEstimates",
    "sales_delivery_note": "salesDeliveryNotes",
    "work_delivery_note": "workDeliveryNotes",
}
TARGET: dict[str, Any] = {
    "users": [{"id": 1, "email": "lucia.garcia@example.com", "active_flag": True}, {"id": 2, "email": "admin@example.com", "active_flag": True}],
    "fields": {},
    "caps": {"custom_fields": 500},
}


@dataclass
class Pages:
    """A ledger that lists pages and a staging store that holds them."""

    pages: list[records_pb2.Page] = field(default_factory=list)
    content: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    read_count: int = 0

    def add(self, entity: str, *records: dict[str, Any], **flags: bool) -> records_pb2.Page:
        """Freeze records as one page; `file` in a record becomes the envelope's."""
        body = orjson.dumps([envelope_json(record) | flags for record in records])
        found = hashlib.sha256(body).hexdigest()
        self.content[found] = body
        sequence = len(self.pages) + 1
        page = records_pb2.Page(page_id=f"x/{entity}/{sequence}", entity=entity, digest=found, sequence=sequence, record_count=len(records))
        self.pages.append(page)
        return page

    async def list_pages(self, migration_id: str, *, after_sequence: int, until_sequence: int) -> AsyncIterator[records_pb2.Page]:
        assert migration_id
        for page in self.pages:
            if page.sequence > after_sequence and (until_sequence == 0 or page.sequence <= until_sequence):
                yield page

    async def get_page(self, page_digest: str) -> bytes:
        self.read_count += 1
        return self.content[page_digest]

    async def get_blob(self, name: str) -> bytes:
        return self.blobs[name]

    async def put_blob(self, name: str, data: bytes) -> None:
        self.blobs[name] = data


def envelope_json(record: dict[str, Any]) -> dict[str, Any]:
    data = {name: value for name, value in record.items() if name != "file"}
    flags = {"is_deleted": record.get("deleted") is True, "is_archived": record.get("inactive") is True}
    return {"id": str(record["id"]), **flags, "data": data, **({"file": record["file"]} if "file" in record else {})}


def account(pages: Pages, *, clients: int = 30, seed: int = 1, page_size: int = 40) -> Store:
    """Freeze a generated account."""
    store = Store()
    generate(store, Plan(seed=seed, clients=clients))
    for entity, collection in COLLECTIONS.items():
        records = list(store.records(collection))
        for start in range(0, len(records), page_size):
            pages.add(entity, *records[start : start + page_size])
    return store


class Snapshot:
    """A small snapshot in memory, for tests of single rules. Answers what `SnapshotView` answers."""

    def __init__(self, records: Mapping[str, Sequence[dict[str, Any]]] | None = None) -> None:
        self._records = {
            entity: {str(one["id"]): envelope_of(entity, envelope_json(one), sequence=1) for one in rows} for entity, rows in (records or {}).items()
        }

    def get(self, entity: str, source_id: str) -> Envelope | None:
        return self._records.get(entity, {}).get(source_id)

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        names = [entity] if isinstance(entity, str) else list(entity)
        found = [
            one
            for name in names
            for one in self._records.get(name, {}).values()
            if str(one.data.get(field_name)) == parent_id or (field_name, parent_id) in link_values(one.data)
        ]
        return sorted(found, key=lambda one: (one.entity, int(one.id) if one.id.isdecimal() else 0, one.id))

    def find(self, entity: str, field_name: str, value: str, *, loosely: bool = False) -> list[Envelope]:
        return [self.one(entity, source_id) for source_id in ValueIndex().find(self, entity, field_name, value, loosely=loosely)]

    def iterate(self, entity: str) -> Iterator[Envelope]:
        yield from self._records.get(entity, {}).values()

    def entities(self) -> list[str]:
        return sorted(self._records)

    def count(self, entity: str) -> int:
        return len(self._records.get(entity, {}))

    def one(self, entity: str, source_id: int | str) -> Envelope:
        return self._records[entity][str(source_id)]


def bindings(mapping: MappingModel, users: Iterable[str] = ()) -> dict[str, Any]:
    """Bind every schema record to an id, as a target account would."""
    bound: dict[str, Any] = {}
    for number, record in enumerate(compile_schema(mapping), start=1):
        payload = orjson.loads(record.payload_json)
        target_id, image = str(number), dict(payload)
        if record.target_entity == "custom_field":
            target_id = hashlib.sha1(record.key.encode(), usedforsecurity=False).hexdigest()
            image["options"] = {label: 1000 * number + place for place, label in enumerate(payload.get("options", []), start=1)}
        elif record.target_entity == "activity_type":
            image["key_string"] = payload["name"].lower()
        bound[record.key] = {"target_id": target_id, "image": image}
    for key in users:
        bound[key] = {"target_id": "1", "image": {"id": 1}}
    return bound


def manifest_bytes(mapping_yaml: str) -> bytes:
    mapping = load_mapping(mapping_yaml)
    return canonical_json(
        {
            "migration_id": "m1",
            "source_account": "acme",
            "mapping_yaml": mapping_yaml,
            "mapping_digest": mapping.digest,
            "target": TARGET,
            "bindings": bindings(mapping),
        }
    )


@dataclass
class Manifests:
    """The ledger's manifests."""

    content: dict[str, bytes] = field(default_factory=dict)

    def add(self, mapping_yaml: str) -> str:
        body = manifest_bytes(mapping_yaml)
        self.content[digest(body)] = body
        return digest(body)

    async def get_manifest(self, manifest_digest: str) -> bytes:
        return self.content[manifest_digest]


def plan_of(mapping_yaml: str) -> MappingPlan:
    manifest = read_manifest(manifest_bytes(mapping_yaml))
    return MappingPlan(manifest.mapping, manifest)


@dataclass
class Result:
    """All mapped records and issues of some source records, over all phases, with payloads read and custom fields named."""

    payloads: dict[str, dict[str, Any]] = field(default_factory=dict)
    records: dict[str, records_pb2.MappedRecord] = field(default_factory=dict)
    issues: list[ledger_service_pb2.RecordIssue] = field(default_factory=list)

    def reasons(self) -> list[tuple[str, str]]:
        return [(ledger_service_pb2.IssueKind.Name(one.kind).removeprefix("ISSUE_KIND_"), one.reason) for one in self.issues]


def has_errors(findings: Iterable[transformer_service_pb2.MappingFinding]) -> bool:
    """Say whether the ledger would refuse to confirm a mapping with these findings."""
    return any(one.severity == transformer_service_pb2.FINDING_SEVERITY_ERROR for one in findings)


def map_all(plan: MappingPlan, snapshot: Any, *envelopes: Envelope) -> Result:
    """Map records through every phase."""
    engine, result = Engine(plan), Result()
    assert plan.manifest is not None
    names = {
        binding["target_id"]: binding["image"]["field_name"] for key, binding in plan.manifest.bindings.items() if key.startswith("custom_field:")
    }
    for phase in PHASES:
        for envelope in envelopes:
            mapped = engine.map_record(envelope, snapshot, phase)
            result.issues.extend(mapped.issues)
            for record in mapped.records:
                payload = orjson.loads(record.payload_json)
                payload["custom"] = {names[code]: value for code, value in payload.pop("custom_fields", {}).items()}
                result.payloads[record.key], result.records[record.key] = payload, record
    return result
