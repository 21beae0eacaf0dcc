"""What a collector sees of a migration: each record's way as one connected set of spans, and nothing that is nobody's business."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.common.keys import RecordKey
from tests.e2e.graphs import EXTRACTOR, LEDGER, LOADER, SETTLE, TRANSFORMER, Graphs
from tests.e2e.harness import ACTOR, USERS, installation
from tests.fakes.collector import Collector, collector
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("telemetry"), pytest.mark.slow]

NAMES = frozenset({"name", "legal-name", "surname", "full-name", "formatted-address"})
CONTACTS = frozenset({"email", "phone", "phone2", "fax", "website", "tax-identification-number", "iban"})
PERSONAL = NAMES | CONTACTS | {"comments", "private-comments"}
"""Fields of the source that hold personal data."""
PEOPLE = ("clients", "potentialClients", "contacts", "employees", "addresses")


@dataclass(slots=True)
class Seen:
    """What the collector was sent, and what it must not have been sent."""

    collector: Collector
    personal: set[str]
    secrets: tuple[str, ...]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    """A migration up to its sample; the services have stopped, so that everything was exported."""
    folder: Path = tmp_path_factory.mktemp("telemetry")
    async with collector() as collecting:
        async with installation(folder, collecting.environ) as installed, installed.rehearsal(source=("--clients", "8")) as rehearsal:
            await rehearsal.run_to(pb.MIGRATION_STATE_SAMPLED)
            truth = await rehearsal.truth()
            secrets = rehearsal.keys
        yield Seen(collecting, _personal(truth), secrets)


def _personal(truth: dict[str, Any]) -> set[str]:
    people = [record for collection in PEOPLE for record in truth["collections"][collection]]
    found = {text for person in people for text in _texts(person)} | {str(user[field]) for user in USERS for field in ("name", "email")}
    return {text.strip().lower() for text in found if len(text.strip()) > 4} | {ACTOR}


def _texts(record: dict[str, Any]) -> Iterator[str]:
    for field, value in record.items():
        if isinstance(value, dict):
            yield from _texts(value)
        elif field in PERSONAL and isinstance(value, str):
            yield value


async def test_all_four_services_export(seen: Seen) -> None:
    assert seen.collector.services == {LEDGER, EXTRACTOR, TRANSFORMER, LOADER}


async def test_no_span_names_a_cause_that_never_came(seen: Seen) -> None:
    assert seen.collector.lost_parents() == []


async def test_the_way_of_a_record_from_page_to_commit_is_one_connected_set_of_spans(seen: Seen) -> None:
    graphs = Graphs(seen.collector)
    assert {RecordKey.parse(key).target_entity for key in graphs.record_calls} >= {
        "organization",
        "person",
        "deal",
        "line_item",
        "activity",
        "note",
        "product",
        "file",
    }
    assert [gap for key in graphs.record_calls for gap in graphs.gaps(key)] == []
    assert set(graphs.settled_in.values()) == {span.span_id for span in seen.collector.find(LEDGER, SETTLE)}, "settled without a commit"


async def test_a_records_graph_ends_at_the_ledgers_commit(seen: Seen) -> None:
    graphs = Graphs(seen.collector)
    for key, call in graphs.record_calls.items():
        handling = next(span for span in seen.collector.causes(call).values() if span.name == "process MAPPED")
        settled = seen.collector.spans[graphs.settled_in[handling.span_id]]
        assert "extractor.page" in {span.name for span in seen.collector.causes(settled).values()}, key


async def test_calls_to_pipedrive_are_found_from_a_records_id(seen: Seen) -> None:
    graphs = Graphs(seen.collector)
    lost = graphs.calls_without_record()
    assert len(graphs.calls) > 100
    assert len(lost) <= len(graphs.calls) // 100, (sorted({call.name for call in lost}), len(graphs.calls))


async def test_a_page_leads_to_its_source_calls_and_files(seen: Seen) -> None:
    for name in ("source.call", "source.file"):
        spans = seen.collector.find(EXTRACTOR, name)
        assert "extractor.page" in {seen.collector.spans[span.parent_id].name for span in spans if span.parent_id}, name


async def test_no_personal_data_and_no_secret_leaves_in_spans_or_metrics(seen: Seen) -> None:
    texts = {text.lower() for span in seen.collector.spans.values() for text in span.texts} | {text.lower() for text in seen.collector.metric_texts}
    assert len(seen.personal) > 40
    # As words of their own: a client named "Cliente" is not found in the field key `property_cliente_vip`.
    forbidden = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in (*seen.personal, *seen.secrets)))
    assert [text for text in texts if forbidden.search(text)] == []
    assert not [text for text in texts if "token=" in text or "@" in text]


async def test_the_documented_metrics_are_sent(seen: Seen) -> None:
    assert seen.collector.metric_names >= {
        "rpc.server.call.duration",
        "messaging.client.sent.messages",
        "messaging.client.consumed.messages",
        "messaging.process.duration",
        "transload.source.pages",
        "transload.source.records",
        "transload.transformer.records",
        "transload.pipedrive.calls",
        "transload.pipedrive.tokens",
    }
