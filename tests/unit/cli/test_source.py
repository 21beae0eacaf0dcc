"""`transload source check`: what it asks the extractor, and how it tells the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from transload.cli.main import app
from transload.cli.source import rows_of, summary
from transload.v1 import extractor_service_pb2 as pb

STOP = pb.SourceFinding(
    code="date_order_ambiguous",
    severity=pb.SOURCE_FINDING_SEVERITY_STOP,
    entity="work_order",
    column="Date Added",
    count=2,
    message="say it with the option date_order",
    samples=["row 2: 02/03/04"],
    option="date_order",
)
REMARK = pb.SourceFinding(code="columns_unknown", severity=pb.SOURCE_FINDING_SEVERITY_INFO, entity="account", count=1, message="kept")


class Extractor:
    """Answers with what it was given."""

    def __init__(self) -> None:
        self.requests: list[pb.CheckSourceRequest] = []
        self.response = pb.CheckSourceResponse(base_url="/exports/novo", is_content_checked=True)

    def check_source(self, request: pb.CheckSourceRequest, _: object) -> pb.CheckSourceResponse:
        self.requests.append(request)
        return self.response


@pytest.fixture
def extractor() -> Iterator[tuple[Extractor, str]]:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    stand_in = Extractor()
    method = grpc.unary_unary_rpc_method_handler(
        stand_in.check_source,
        request_deserializer=pb.CheckSourceRequest.FromString,
        response_serializer=pb.CheckSourceResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("transload.v1.ExtractorService", {"CheckSource": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield stand_in, f"127.0.0.1:{port}"
    server.stop(None)


def test_what_stops_ends_with_status_1(extractor: tuple[Extractor, str]) -> None:
    servicer, address = extractor
    servicer.response.findings.extend([REMARK, STOP])
    arguments = ["source", "check", "--from", "novo-work-order", "--source", "town", "--extractor", address]
    result = CliRunner().invoke(app, [*arguments, "--connector-options", '{"decimal": "."}', "--json"])
    assert result.exit_code == 1
    assert [one["code"] for one in json.loads(result.stdout)["findings"]] == ["columns_unknown", "date_order_ambiguous"]
    (request,) = servicer.requests
    assert (request.connector, request.connection, request.includes_content, request.options_json) == (
        "novo_work_order",
        "town",
        True,
        '{"decimal": "."}',
    )
    shown = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert shown.exit_code == 1
    assert shown.stdout.index("date_order") < shown.stdout.index("kept")


def test_a_bundle_in_order_and_a_source_that_is_called(extractor: tuple[Extractor, str]) -> None:
    servicer, address = extractor
    arguments = ["source", "check", "--from", "results", "--source", "town"]
    found = CliRunner().invoke(app, arguments, env={"TRANSLOAD_EXTRACTOR_ADDRESS": address})
    assert (found.exit_code, found.stdout) == (0, "/exports/novo: it can be read; 0 warnings, 0 remarks\n")
    servicer.response.is_content_checked = False
    found = CliRunner().invoke(app, [*arguments, "--extractor", address])
    assert "looked at by the audit" in found.stdout


def test_without_an_extractor_it_says_how_to_start_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRANSLOAD_EXTRACTOR_ADDRESS", raising=False)
    result = CliRunner().invoke(app, ["source", "check", "--from", "results", "--source", "town"])
    assert result.exit_code == 3
    assert "transload up" in result.stderr


def test_the_gravest_come_first() -> None:
    assert [row[0] for row in rows_of([REMARK, STOP])] == ["stop", "info"]
    assert summary([REMARK, STOP]) == "1 findings stop the reading of a table or of everything; 0 warnings, 1 remarks"
