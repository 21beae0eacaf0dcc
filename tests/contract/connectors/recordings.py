"""One recording for each connector: a source with awkward content, and what reading it must give.

A new connector joins the suite by a line in `RECORDINGS`; one that reads bundles joins by being registered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from services.common.connections import Connection
from services.extractor.connector import Connector, ConnectorContext, FrozenPage, Refusal
from services.extractor.connectors.bundle.connector import BundleConnector
from services.extractor.http import GetOnlyTransport
from services.extractor.registry import CONNECTORS
from tests.contract.connectors.bundles import ids_of, write_bundle
from tests.fixtures.servicetracker.org import PARTS, URL, org
from tests.fixtures.stel_order.stand_in import BASE_URL, FILES_URL, KEY, STAMP, StandIn, row
from tests.fixtures.stel_order.world import LeapingClock

HOSTILE_NAMES = (
    "Robert'); DROP TABLE clients;--",
    '<script>alert("x")</script>',
    "Ñandú & Søn's \u202eevil\u202c 株式会社 شركة 👩‍👩‍👧",
    "null",
    " leading, trailing and\ttabs ",
    "n" * 300,
    "",
)


@dataclass
class CountingGate:
    """Lets everything through and counts."""

    call_count: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    outages: list[str] = field(default_factory=list)

    async def enter(self) -> None:
        self.call_count += 1

    async def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    async def outage(self, attempt: int, problem: str) -> None:
        self.outages.append(problem)
        assert attempt < 20, "the connector would repeat for ever"


@dataclass
class MemoryFrozen:
    """Pages frozen so far, in this extraction and those before."""

    pages: list[tuple[int, str, FrozenPage]] = field(default_factory=list)
    extraction: int = 1

    def begin(self) -> None:
        """Begin another extraction."""
        self.extraction += 1

    def freeze(self, entity: str, envelopes: list[dict[str, Any]]) -> None:
        self.pages.append((self.extraction, entity, FrozenPage(len(self.pages) + 1, orjson.loads(orjson.dumps(envelopes)))))

    async def read(self, entity: str, *, from_sequence: int = 0, of_all_extractions: bool = False) -> AsyncIterator[FrozenPage]:
        for extraction, name, page in list(self.pages):
            is_wanted = of_all_extractions or extraction == self.extraction
            if name == entity and page.sequence >= from_sequence and is_wanted:
                yield page


@dataclass
class Recording:
    """A source with content, and the seams the suite needs."""

    connector: str
    expected_ids: Mapping[str, set[str] | int]
    """By entity, or how many where the connector makes the ids; entities not named are expected empty."""
    http_transport: httpx.AsyncBaseTransport
    key: str
    base_url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    gate: CountingGate = field(default_factory=CountingGate)
    frozen: MemoryFrozen = field(default_factory=MemoryFrozen)
    requests: list[httpx.Request] = field(default_factory=list)
    repeat_first_page: Callable[[], None] = lambda: None
    """Makes the source give its first page for ever."""
    paged_entity: str = ""
    """An entity with more than one page."""
    folder: Path | None = None
    """Of a source that is read from disk, and makes no calls."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the connection holds besides; the part that the key stands for is empty."""
    reading_calls: frozenset[str] = frozenset()
    """Calls that are no GET and only read: method and path."""

    def connect(self, key: str = "") -> AbstractAsyncContextManager[Connector]:
        given = key or self.key
        connection = Connection("source", self.base_url, given, {name: value or given for name, value in self.parts.items()})
        context = ConnectorContext(connection, self.options, self.gate, self.frozen, LeapingClock(), self._client)
        return CONNECTORS[self.connector].connect(context)

    def _client(self, headers: Mapping[str, str], *, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:
        transport = GetOnlyTransport(self.http_transport, platform)
        return httpx.AsyncClient(transport=transport, headers=dict(headers), follow_redirects=follow_redirects)


def stel_order() -> Recording:
    """A STEL Order account with two pages of clients, hostile names, an archived product and files."""
    clients = [row(number, **{"legal-name": HOSTILE_NAMES[number % len(HOSTILE_NAMES)]}) for number in range(1, 504)]
    stand_in = StandIn(
        {
            **{entity.source_name: [] for entity in CONNECTORS["stel_order"].entities},
            "clients": clients,
            "products": [row(58, **{"item-images": [{"item-image-path": f"{FILES_URL}/58?token=t", "order": 1}]}), row(59, inactive=True)],
            "workOrders": [row(77, signed=True, **{"pdf-path": f"{FILES_URL}/77?token=t"}), row(78, **{"pdf-path": f"{FILES_URL}/78?token=t"})],
            "entityAttachments": [{"id": 5, "entity-id": 77, "entity-type": "WORKORDER", "file-url": f"{FILES_URL}/5?token=t"}],
            "taxLines": [{"id": -2, "name": "IVA"}],
        }
    )

    def repeat() -> None:
        stand_in.ignores_start = True

    assert STAMP in clients[0]
    return Recording(
        connector="stel_order",
        expected_ids={
            "client": {str(number) for number in range(1, 504)},
            "product": {"58", "59"},
            "work_order": {"77", "78"},
            "entity_attachment": {"5"},
            "tax_line": {"-2"},
            "item_image": {"product-58-1"},
            "document_pdf": {"work_order-77-1"},
        },
        http_transport=stand_in.transport(),
        key=KEY,
        base_url=BASE_URL,
        requests=stand_in.requests,
        repeat_first_page=repeat,
        paged_entity="client",
    )


def servicetracker() -> Recording:
    """An org with several pages of every kind, hostile names, notes with images, and files of both kinds."""
    made = org(customers=12, page_size=7)
    for customer, name in zip(made.rows("Account"), HOSTILE_NAMES, strict=False):
        customer["Name"] = name
    roles = {
        "customer": "Account",
        "contact": "Contact",
        "user": "User",
        "record_type": "RecordType",
        "task": "Task",
        "event": "Event",
        "note": "Note",
    }
    roles |= {"technician": ".Technician__c", "site": ".Site__c", "contract": ".Contract__c", "asset": ".Equipment__c", "invoice": ".Invoice__c"}
    roles |= {"work_order": ".Work_Order__c", "visit": ".Visit__c", "part": ".Part__c", "sign_off": ".Signature__c", "attachment": "Attachment"}
    roles["service_record"] = ".Inspection__c"
    versions = {row["ContentDocumentId"]: row for row in made.rows("ContentVersion")}
    linked = [row for row in made.rows("ContentDocumentLink") if not row["LinkedEntityId"].startswith("005")]
    notes = {f"{row['ContentDocumentId']}-{row['LinkedEntityId']}" for row in linked if versions[row["ContentDocumentId"]]["FileType"] == "SNOTE"}
    files = [row for row in linked if versions[row["ContentDocumentId"]]["FileType"] != "SNOTE"]
    described = {name for name, one in made.store.objects.items() if not one.is_custom_setting and not name.endswith("__History") and name != "Group"}

    def repeat() -> None:
        made.simulator.repeats_first_page = True

    return Recording(
        connector="servicetracker",
        expected_ids={
            **{entity: made.ids(name) for entity, name in roles.items()},
            "custom_record": made.ids("Rodent_Log__c") | made.ids("Water_Survey__c"),
            "content_note": notes,
            "content_version": {f"{versions[row['ContentDocumentId']]['Id']}-{row['LinkedEntityId']}" for row in files},
            "inline_image": {f"{note}-{number}" for note in notes for number in (1, 2)},
            "object_description": described,
            "field_description": {f"{name}.{field}" for name in described for field in made.store.objects[name].fields},
        },
        http_transport=made.transport,
        key=PARTS["client_secret"],
        base_url=URL,
        parts={"client_id": PARTS["client_id"], "client_secret": ""},
        requests=made.requests,
        repeat_first_page=repeat,
        paged_entity="customer",
        reading_calls=frozenset({"POST /services/oauth2/token"}),
    )


def _no_network(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"a bundle needs no network, and asked for {request.url}")


def of_bundle(connector: type[BundleConnector], folder: Path) -> Recording:
    """A bundle with every table of a source's layout, hostile names in all texts, a file for each row of files."""
    write_bundle(folder, connector.default, HOSTILE_NAMES)
    return Recording(
        connector=connector.name,
        expected_ids=ids_of(connector.default),
        http_transport=httpx.MockTransport(_no_network),
        key="",
        base_url=str(folder),
        options={"page_rows": 3},
        paged_entity=connector.entities[1].name,
        folder=folder,
    )


CALLED: Mapping[str, Callable[[], Recording]] = {"servicetracker": servicetracker, "stel_order": stel_order}
"""Sources that are called."""
BUNDLES: Mapping[str, type[BundleConnector]] = {
    name: connector for name, connector in CONNECTORS.items() if isinstance(connector, type) and issubclass(connector, BundleConnector)
}
"""Sources that are read from bundles."""
RECORDINGS = frozenset({*CALLED, *BUNDLES})


def recording_of(name: str, folder: Path) -> Recording:
    """Make the recording of a connector; bundles are written into `folder`."""
    return CALLED[name]() if name in CALLED else of_bundle(BUNDLES[name], folder / "bundle")
