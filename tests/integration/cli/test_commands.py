"""The command against a real gRPC server that answers and refuses as the ledger does."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from typer.testing import CliRunner

from transload.cli.main import app
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import migration_service_pb2_grpc as pb_grpc


class Ledger(pb_grpc.MigrationServiceServicer):
    """Knows one migration; refuses the load."""

    async def ListMigrations(self, request: pb.ListMigrationsRequest, context: Any) -> pb.ListMigrationsResponse:
        return pb.ListMigrationsResponse(migrations=[pb.Migration(migration_id="acme", state=pb.MIGRATION_STATE_SAMPLED)])

    async def GetSummary(self, request: pb.GetSummaryRequest, context: Any) -> pb.GetSummaryResponse:
        entity = pb.EntitySummary(source_entity="client", extracted_count=2, loaded_count=2)
        return pb.GetSummaryResponse(summary=pb.Summary(entities=[entity], token_count=10, mismatch_count=-1))

    async def GetMigration(self, request: pb.GetMigrationRequest, context: Any) -> pb.GetMigrationResponse:
        return pb.GetMigrationResponse(migration=pb.Migration(migration_id=request.migration_id, state=pb.MIGRATION_STATE_SAMPLED))

    async def StartLoad(self, request: pb.StartLoadRequest, context: Any) -> pb.StartLoadResponse:
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason="NOT_APPROVED", domain="transload.dev", metadata={"state": "sampled"}))
        status = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message="Approve the diff first.", details=[detail])
        await context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    started, stop = threading.Event(), threading.Event()
    port = 0

    async def serve() -> None:
        nonlocal port
        server = grpc.aio.server()
        pb_grpc.add_MigrationServiceServicer_to_server(Ledger(), server)  # type: ignore[abstract]
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        started.set()
        await asyncio.to_thread(stop.wait)
        await server.stop(None)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait(10)
    yield f"127.0.0.1:{port}"
    stop.set()
    thread.join(10)


def test_list_and_show_print_json(address: str) -> None:
    result = CliRunner().invoke(app, ["migration", "list", "--json", "--address", address])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["migration_id"] == "acme"
    result = CliRunner().invoke(app, ["migration", "show", "--json", "--address", address])
    assert json.loads(result.stdout)["summary"]["entities"][0]["loaded_count"] == 2


@pytest.mark.requirement("L-09")
def test_refusal_says_reason_and_exits_with_one(address: str) -> None:
    result = CliRunner().invoke(app, ["start", "-m", "acme", "--address", address])
    assert result.exit_code == 1
    assert "NOT_APPROVED" in result.stderr
    assert "Approve the diff first." in result.stderr


def test_without_a_stack_the_message_says_how_to_start_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["migration", "list"])
    assert result.exit_code == 3
    assert "transload up" in result.stderr


def test_review_resolve_wants_ids_or_a_reason(address: str) -> None:
    result = CliRunner().invoke(app, ["review", "resolve", "--with", "skip", "--address", address])
    assert result.exit_code == 2
