"""Page in, batches out: in the right order of acts, the same bytes every time, and only what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from services.common.errors import UnavailableError
from services.common.phases import PHASES
from services.transformer import held
from services.transformer.engine import Engine, Mapped
from services.transformer.plans import Plans
from services.transformer.snapshot.envelope import Envelope
from services.transformer.snapshot.index import SnapshotIndex
from services.transformer.worker import TransformWorker
from tests.unit.transformer import examples
from tests.unit.transformer.support import Manifests, Pages
from transload.v1 import ledger_service_pb2, records_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path


@dataclass
class Outside:
    """The ledger's and the stream's side: notes what reaches them, in order."""

    acts: list[str] = field(default_factory=list)
    batches: dict[str, records_pb2.MappedBatch] = field(default_factory=dict)
    payloads: dict[str, bytes] = field(default_factory=dict)
    expected: list[ledger_service_pb2.ExpectedBatch] = field(default_factory=list)
    issues: list[ledger_service_pb2.RecordIssue] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    released: frozenset[str] = frozenset()
    is_wanted: bool = True
    is_full: bool = False

    async def record_transform(
        self,
        announcement: records_pb2.PageAnnouncement,
        batches: Sequence[ledger_service_pb2.ExpectedBatch],
        issues: Sequence[ledger_service_pb2.RecordIssue],
    ) -> bool:
        assert announcement.run_id == "r1"
        self.acts.append("told")
        self.expected.extend(batches)
        self.issues.extend(issues)
        return self.is_wanted

    async def list_released(self, migration_id: str, keys: Sequence[str]) -> frozenset[str]:
        assert migration_id == "m1"
        self.asked.append(list(keys))
        return self.released & set(keys)

    async def publish(self, subject: str, payload: bytes, *, msg_id: str, full_wait_seconds: float = 0.0) -> None:
        assert full_wait_seconds > 0
        if self.is_full:
            raise UnavailableError("the stream is full")
        self.acts.append(f"published {subject}")
        self.payloads[msg_id] = payload
        self.batches[msg_id] = records_pb2.MappedBatch.FromString(payload)

    def loaded_keys(self) -> list[str]:
        return [record.key for batch in self.batches.values() for record in batch.records]


@dataclass
class Bench:
    """A worker with everything around it."""

    worker: TransformWorker
    outside: Outside
    pages: Pages
    manifest_digest: str

    async def announce(self, page: records_pb2.Page, phase: records_pb2.Phase.ValueType, **changes: Any) -> None:
        announcement = records_pb2.PageAnnouncement(
            migration_id="m1", run_id="r1", phase=phase, page=page, manifest_digest=self.manifest_digest,
            snapshot_sequence=len(self.pages.pages), attempt=1,
        )  # fmt: skip
        for name, value in changes.items():
            setattr(announcement, name, value)
        await self.worker.handle(announcement.SerializeToString())


@pytest.fixture
async def bench(tmp_path: Path, mapping_yaml: str) -> AsyncIterator[Bench]:
    pages, manifests, outside = Pages(), Manifests(), Outside()
    index = SnapshotIndex(tmp_path, pages=pages, store=pages)
    worker = TransformWorker(ledger=outside, bus=outside, store=pages, index=index, plans=Plans(manifests))
    yield Bench(worker, outside, pages, manifests.add(mapping_yaml))
    index.close()


def freeze(pages: Pages) -> dict[str, records_pb2.Page]:
    return {entity: pages.add(entity, *records) for entity, records in examples.account().items()}


@pytest.mark.requirement("L-10", "X-04")
async def test_the_ledger_is_told_before_anything_is_published(bench: Bench) -> None:
    page = freeze(bench.pages)["client"]
    await bench.announce(page, records_pb2.PHASE_ORGANIZATIONS)
    assert bench.outside.acts == ["told", "published mapped.m1.organizations"]
    assert [expected.batch_id for expected in bench.outside.expected] == [batch.batch_id for batch in bench.outside.batches.values()]
    assert list(bench.outside.expected[0].source_keys) == ["client/1042", "client/1043"]
    assert list(bench.outside.batches) == [f"r1/{page.page_id}/organizations/organization/0/1"]


async def test_nothing_is_published_when_the_ledger_does_not_want_it(bench: Bench) -> None:
    bench.outside.is_wanted = False
    await bench.announce(freeze(bench.pages)["client"], records_pb2.PHASE_ORGANIZATIONS)
    assert bench.outside.acts == ["told"]


async def test_a_full_stream_hands_the_page_back(bench: Bench) -> None:
    bench.outside.is_full = True
    with pytest.raises(UnavailableError):
        await bench.announce(freeze(bench.pages)["client"], records_pb2.PHASE_ORGANIZATIONS)


@pytest.mark.requirement("L-10")
async def test_each_phase_gives_only_its_own_records(bench: Bench) -> None:
    page = freeze(bench.pages)["sales_estimate"]
    seen = {}
    for phase in PHASES:
        before = len(bench.outside.loaded_keys())
        await bench.announce(page, phase)
        seen[phase] = {key.partition(":")[0] for key in bench.outside.loaded_keys()[before:]}
    assert {phase: found for phase, found in seen.items() if found} == {
        records_pb2.PHASE_DEALS: {"deal"},
        records_pb2.PHASE_LINE_ITEMS: {"line_item"},
        records_pb2.PHASE_NOTES: {"note"},
        records_pb2.PHASE_LATE_LINKS: {"deal_value"},
    }


@pytest.mark.requirement("L-06")
async def test_the_same_announcement_gives_the_same_bytes(bench: Bench) -> None:
    page = freeze(bench.pages)["work_order"]
    await bench.announce(page, records_pb2.PHASE_DEALS)
    first = dict(bench.outside.payloads)
    await bench.announce(page, records_pb2.PHASE_DEALS)
    assert bench.outside.payloads == first


@pytest.mark.requirement("L-08")
async def test_of_a_sample_only_the_selected_records_are_mapped(bench: Bench) -> None:
    page = freeze(bench.pages)["client"]
    bench.pages.blobs["selections/s1"] = orjson.dumps(["client/1043"])
    await bench.announce(page, records_pb2.PHASE_ORGANIZATIONS, selection_digest="s1")
    assert bench.outside.loaded_keys() == ["organization:client/1043"]


@pytest.mark.requirement("L-11")
async def test_a_record_that_a_later_page_replaced_is_left_to_that_page(bench: Bench) -> None:
    page = freeze(bench.pages)["client"]
    later = bench.pages.add("client", examples.client(**{"legal-name": "Nuevo Nombre"}))
    await bench.announce(page, records_pb2.PHASE_ORGANIZATIONS)
    assert bench.outside.loaded_keys() == ["organization:client/1043"]
    await bench.announce(later, records_pb2.PHASE_ORGANIZATIONS)
    assert "organization:client/1042" in bench.outside.loaded_keys()


@pytest.mark.requirement("L-11", "G-06")
async def test_in_a_delta_records_that_look_up_a_changed_one_are_mapped_again(bench: Bench) -> None:
    freeze(bench.pages)
    page = bench.pages.add("client", examples.client(**{"legal-name": "Nuevo Nombre"}))
    await bench.announce(page, records_pb2.PHASE_DEALS, is_delta=True)
    assert "deal:sales_estimate/100" in bench.outside.loaded_keys()
    assert "deal:ordinary_invoice/401" in bench.outside.loaded_keys()
    titles = [orjson.loads(record.payload_json)["title"] for batch in bench.outside.batches.values() for record in batch.records]
    assert all("Nuevo Nombre" in title for title in titles)


@pytest.mark.requirement("L-11", "D-01")
async def test_in_a_delta_a_new_invoice_takes_the_value_from_its_quote_and_order(bench: Bench) -> None:
    freeze(bench.pages)
    invoice = examples.document(402, "FAC00402", **examples.state(8), **examples.link("parent-document", "salesEstimates", 101))
    page = bench.pages.add("ordinary_invoice", invoice)
    await bench.announce(page, records_pb2.PHASE_DEALS, is_delta=True)
    payloads = {record.key: orjson.loads(record.payload_json) for batch in bench.outside.batches.values() for record in batch.records}
    assert payloads["deal:sales_estimate/101"]["status"] == "won"
    assert payloads["deal:sales_estimate/101"]["value"] == 0
    assert payloads["deal:ordinary_invoice/402"]["value"] == 40.95


@pytest.mark.requirement("L-11", "SO-08")
async def test_in_a_delta_a_new_asset_reaches_its_clients_organization(bench: Bench) -> None:
    freeze(bench.pages)
    asset = {"id": 992, "name": "Bomba", **examples.link("account", "clients", 1042), "creation-date": "2025-01-01T00:00:00+0000"}
    page = bench.pages.add("asset", asset)
    await bench.announce(page, records_pb2.PHASE_ORGANIZATIONS, is_delta=True)
    assert bench.outside.loaded_keys() == ["organization:client/1042"]


@pytest.mark.requirement("X-04")
async def test_records_that_become_nothing_are_told_once_in_their_first_phase(bench: Bench) -> None:
    page = freeze(bench.pages)["product"]
    for phase in PHASES:
        await bench.announce(page, phase)
    assert [(issue.source_key, issue.key, issue.reason) for issue in bench.outside.issues] == [("product/59", "", "SKIPPED_ARCHIVED")]


@pytest.mark.requirement("X-04", "L-16")
async def test_a_record_that_uncovers_a_bug_waits_and_the_rest_of_its_page_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Engine.map_record

    def broken(self: Engine, envelope: Envelope, *args: Any, **options: Any) -> Mapped:
        if envelope.id == "1042":
            raise ZeroDivisionError("a secret name")
        return whole(self, envelope, *args, **options)

    monkeypatch.setattr(Engine, "map_record", broken)
    await bench.announce(freeze(bench.pages)["client"], records_pb2.PHASE_ORGANIZATIONS)
    assert bench.outside.loaded_keys() == ["organization:client/1043"]
    assert [(issue.source_key, issue.reason) for issue in bench.outside.issues] == [("client/1042", "INTERNAL")]
    assert "secret" not in bench.outside.issues[0].message


def test_what_is_held_back_is_remembered_by_page_snapshot_and_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "PAGES_MAX", 2)
    first, second, third = (
        records_pb2.PageAnnouncement(migration_id="m1", manifest_digest="a", snapshot_sequence=sequence, page=records_pb2.Page(page_id="p1"))
        for sequence in (1, 2, 3)
    )
    records = held.HeldRecords()
    records.of_page(first, 2)[1] = held.HELD
    assert records.of_page(first, 2) == bytes([held.UNKNOWN, held.HELD])
    assert records.of_page(second, 2) == bytes(2)
    assert records.of_page(first, 2)[1] == held.HELD
    records.of_page(third, 2)
    assert records.of_page(first, 2)[1] == held.HELD, "the longest unused page goes first"
    records.of_page(second, 2)
    assert records.of_page(third, 2) == bytes(2)


def without_client(pages: Pages) -> records_pb2.Page:
    """The contact's client is not named any more; its page, frozen with the others."""
    records = examples.account()
    for contact in records["contact"]:
        contact.update(examples.link("account", "clients", None))
    return {entity: pages.add(entity, *found) for entity, found in records.items()}["contact"]


@pytest.mark.requirement("L-16", "X-04")
async def test_what_refers_to_nothing_goes_without_it_when_a_person_says_so(bench: Bench) -> None:
    page = without_client(bench.pages)
    await bench.announce(page, records_pb2.PHASE_PERSONS)
    assert [(issue.key, issue.reason) for issue in bench.outside.issues] == [("person:contact/9", "REFERENCE_MISSING")]
    assert "`without_reference`" in bench.outside.issues[0].message
    assert bench.outside.asked == [["person:contact/9"]]
    assert not bench.outside.batches
    # What hangs on it is held up, too; both go when it was decided, although the page was mapped before.
    await bench.announce(page, records_pb2.PHASE_NOTES)
    assert not bench.outside.batches
    bench.outside.released = frozenset({"person:contact/9"})
    bench.outside.issues.clear()
    await bench.announce(page, records_pb2.PHASE_PERSONS)
    await bench.announce(page, records_pb2.PHASE_NOTES)
    assert bench.outside.loaded_keys() == ["person:contact/9", "note:contact/9"]
    assert not bench.outside.issues
    (person,) = next(batch for batch in bench.outside.batches.values() if batch.target_entity == "person").records
    assert "org_id" not in orjson.loads(person.payload_json)
    assert orjson.loads(person.payload_json)["name"]


@pytest.mark.requirement("L-16")
async def test_what_hangs_on_nothing_waits_whatever_is_said(bench: Bench) -> None:
    page = bench.pages.add("entity_attachment", examples.file(604, "incident", "1"))
    bench.outside.released = frozenset({"file:entity_attachment/604"})
    await bench.announce(page, records_pb2.PHASE_FILES)
    assert [(issue.key, issue.reason) for issue in bench.outside.issues] == [("file:entity_attachment/604", "REFERENCE_MISSING")]
    assert "only on another record" in bench.outside.issues[0].message
    assert not bench.outside.batches
