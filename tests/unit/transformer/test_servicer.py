"""`TransformerService` over a real gRPC server: what other services and people ask of a mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from services.common import grpc_client
from services.common.errors import InvalidRequestError, MappingError, NotFoundError
from services.common.grpc_server import serve
from services.transformer.mapping.reading import load_mapping
from services.transformer.plans import Plans
from services.transformer.servicer import TransformerServicer
from services.transformer.snapshot.index import SnapshotIndex
from tests.unit.transformer import examples
from tests.unit.transformer.support import TARGET, Manifests, Pages
from transload.v1 import transformer_service_pb2 as pb
from transload.v1.transformer_service_pb2_grpc import TransformerServiceStub, add_TransformerServiceServicer_to_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SNAPSHOT = pb.Snapshot(migration_id="m1", connector="stel_order")
TARGET_JSON = orjson.dumps(TARGET)


@pytest.fixture
def pages() -> Pages:
    frozen = Pages()
    for entity, records in examples.account().items():
        frozen.add(entity, *records)
    return frozen


@pytest.fixture
def manifests() -> Manifests:
    return Manifests()


@pytest.fixture
async def stub(tmp_path: Path, pages: Pages, manifests: Manifests) -> AsyncIterator[TransformerServiceStub]:
    index = SnapshotIndex(tmp_path, pages=pages, store=pages)
    servicer = TransformerServicer(index=index, plans=Plans(manifests), store=pages)
    async with serve("127.0.0.1:0", [(add_TransformerServiceServicer_to_server, servicer)]) as server, grpc_client.channel(server.address) as channel:
        yield TransformerServiceStub(channel)
    index.close()


@pytest.mark.requirement("L-02")
async def test_a_proposal_is_a_whole_mapping_with_its_digest_and_remarks(stub: TransformerServiceStub) -> None:
    request = pb.ProposeMappingRequest(snapshot=SNAPSHOT, target_json=TARGET_JSON, overrides_yaml="policies: {deal_value: every}")
    response = await stub.ProposeMapping(request)
    mapping = load_mapping(response.mapping_yaml)
    assert mapping.digest == response.mapping_digest
    assert mapping.policies.deal_value == "every"
    assert {one.requirement for one in response.findings} >= {"L-03", "L-04", "X-03"}
    assert all(one.severity != pb.FINDING_SEVERITY_ERROR for one in response.findings)


async def test_a_connector_without_a_mapping_is_not_found(stub: TransformerServiceStub) -> None:
    with pytest.raises(NotFoundError):
        await stub.ProposeMapping(pb.ProposeMappingRequest(snapshot=pb.Snapshot(migration_id="m1", connector="unknown")))


@pytest.mark.requirement("L-02", "L-03")
async def test_validation_answers_findings_even_for_what_cannot_be_read(stub: TransformerServiceStub, mapping_yaml: str) -> None:
    broken = await stub.ValidateMapping(pb.ValidateMappingRequest(mapping_yaml="entities: ["))
    assert [one.severity for one in broken.findings] == [pb.FINDING_SEVERITY_ERROR]
    assert broken.mapping_digest == ""
    fine = await stub.ValidateMapping(pb.ValidateMappingRequest(mapping_yaml=mapping_yaml, snapshot=SNAPSHOT, target_json=TARGET_JSON))
    assert fine.mapping_digest == load_mapping(mapping_yaml).digest
    assert all(one.severity != pb.FINDING_SEVERITY_ERROR for one in fine.findings)


@pytest.mark.requirement("L-05")
async def test_the_schema_is_compiled(stub: TransformerServiceStub, mapping_yaml: str) -> None:
    response = await stub.CompileSchema(pb.CompileSchemaRequest(mapping_yaml=mapping_yaml))
    assert response.records[0].key == "user:schema/fallback"
    assert {one.entity for one in response.dispositions} == set(load_mapping(mapping_yaml).entities)
    with pytest.raises(MappingError):
        await stub.CompileSchema(pb.CompileSchemaRequest(mapping_yaml="entities: ["))


@pytest.mark.requirement("L-08")
async def test_records_are_previewed_with_a_manifest(stub: TransformerServiceStub, manifests: Manifests, mapping_yaml: str) -> None:
    request = pb.PreviewRecordsRequest(snapshot=SNAPSHOT, manifest_digest=manifests.add(mapping_yaml), source_keys=["client/1042", "asset/991"])
    response = await stub.PreviewRecords(request)
    assert [one.key for one in response.records] == ["organization:client/1042", "note:client/1042", "note:asset/991"]
    with pytest.raises(InvalidRequestError):
        await stub.PreviewRecords(pb.PreviewRecordsRequest(snapshot=SNAPSHOT, source_keys=["client/1"] * 201))


@pytest.mark.requirement("L-08")
async def test_a_sample_is_kept_in_staging_by_its_digest(stub: TransformerServiceStub, pages: Pages, mapping_yaml: str) -> None:
    response = await stub.SelectSample(pb.SelectSampleRequest(snapshot=SNAPSHOT, mapping_yaml=mapping_yaml, size=100))
    assert orjson.loads(pages.blobs[f"selections/{response.selection_digest}"]) == sorted(response.source_keys)
    assert response.record_count == len(response.source_keys) > 0
    with pytest.raises(InvalidRequestError):
        await stub.SelectSample(pb.SelectSampleRequest(snapshot=SNAPSHOT, mapping_yaml=mapping_yaml, size=501))


@pytest.mark.requirement("L-01")
async def test_a_profile_is_streamed_and_ends_with_the_report(stub: TransformerServiceStub) -> None:
    responses = [one async for one in stub.ProfileSource(pb.ProfileSourceRequest(snapshot=SNAPSHOT, target_json=TARGET_JSON))]
    assert isinstance(orjson.loads(responses[-1].report_json), dict)
    assert responses[-1].record_count > 0
    assert all(not one.report_json for one in responses[:-1])


@pytest.mark.requirement("L-12")
async def test_reference_exports_are_streamed_in_chunks(stub: TransformerServiceStub, mapping_yaml: str) -> None:
    chunks = [one async for one in stub.ExportReference(pb.ExportReferenceRequest(snapshot=SNAPSHOT, mapping_yaml=mapping_yaml))]
    assert chunks
    assert all(len(one.content) <= 64 * 1024 and one.file_name for one in chunks)


@pytest.mark.requirement("L-02")
async def test_a_workbook_is_streamed_and_its_edits_make_a_new_mapping(stub: TransformerServiceStub, mapping_yaml: str) -> None:
    request = pb.DescribeMappingRequest(snapshot=SNAPSHOT, mapping_yaml=mapping_yaml, target_json=TARGET_JSON)
    *_, last = [response async for response in stub.DescribeMapping(request)]
    workbook = orjson.loads(last.workbook_json)
    assert workbook["mapping_digest"] == load_mapping(mapping_yaml).digest
    assert [sheet["name"] for sheet in workbook["sheets"]][:2] == ["Questions", "Policies"]
    fine = pb.MappingChange(sheet="Policies", row="deal_value", column="Value", value="every")
    wrong = pb.MappingChange(sheet="Policies", row="archived", column="Value", value="perhaps")
    revised = await stub.ReviseMapping(pb.ReviseMappingRequest(snapshot=SNAPSHOT, mapping_yaml=mapping_yaml, target_json=TARGET_JSON, changes=[fine]))
    assert load_mapping(revised.mapping_yaml).policies.deal_value == "every"
    assert (revised.mapping_digest, revised.revisions[0].path) == (load_mapping(revised.mapping_yaml).digest, "policies.deal_value")
    refused = await stub.ReviseMapping(
        pb.ReviseMappingRequest(snapshot=SNAPSHOT, mapping_yaml=mapping_yaml, target_json=TARGET_JSON, changes=[fine, wrong])
    )
    assert refused.mapping_yaml == ""
    assert [bool(one.problem) for one in refused.revisions] == [False, True]
    assert list(refused.revisions[1].allowed) == ["skip", "load"]
