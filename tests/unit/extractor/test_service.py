"""The service's edges: requests, options, settings, and what is told to the ledger over gRPC."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from google.protobuf import timestamp_pb2

from services.common.backoff import Backoff
from services.common.errors import (
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PreconditionError,
    UnauthorizedError,
    UnavailableError,
)
from services.extractor.connectors.stel_order.connector import StelOrder
from services.extractor.ledger import LedgerClient
from services.extractor.ports import PageRecord, Report, State
from services.extractor.registry import CONNECTORS
from services.extractor.servicer import ExtractorServicer, spec_from_proto
from services.extractor.settings import ExtractorSettings
from tests.fixtures.stel_order.stand_in import StandIn, failure, rows
from tests.fixtures.stel_order.world import LeapingClock, World
from transload.v1 import extractor_service_pb2 as pb
from transload.v1 import ledger_service_pb2, records_pb2

CONTEXT: Any = None


def spec(**changes: Any) -> pb.ExtractionSpec:
    return pb.ExtractionSpec(**{"migration_id": "m1", "extraction_id": "x1", "connector": "stel_order", "connection": "stel", **changes})


def test_spec_is_read() -> None:
    since = timestamp_pb2.Timestamp()
    since.FromDatetime(datetime(2026, 2, 1, tzinfo=UTC))
    read = spec_from_proto(spec(changed_since=since, includes_archived=True, entities=["client"], options_json='{"plan": "pro"}', file_bytes_max=7))
    assert read.scope.changed_since == datetime(2026, 2, 1, tzinfo=UTC)
    assert read.scope.includes_archived
    assert read.entities == {"client"}
    assert read.options == {"plan": "pro"}
    assert spec_from_proto(spec()).scope.changed_since is None


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"migration_id": "../up"}, "migration_id"),
        ({"extraction_id": ""}, "extraction_id"),
        ({"connection": ""}, "connection"),
        ({"connector": "nothing"}, "connector"),
        ({"options_json": "{"}, "options_json"),
        ({"options_json": "[]"}, "options_json"),
        ({"file_bytes_max": -1}, "file_bytes_max"),
    ],
)
def test_malformed_specs_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequestError, match=named):
        spec_from_proto(spec(**changes))


@pytest.mark.parametrize(
    "options", [{"plan": "gold"}, {"calls_per_day": -1}, {"calls_per_minute": "60"}, {"calls_per_day": True}, {"day_zone": "Mars/Base"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(options))):
        StelOrder.limits(options)


@pytest.mark.requirement("L-01")
def test_options_override_the_plan() -> None:
    limits = StelOrder.limits({"plan": "Business", "calls_per_minute": 30, "day_zone": "Europe/Madrid", "counts_files": False})
    assert (limits.plan, limits.calls_per_minute, limits.calls_per_day, limits.counts_files) == ("business", 30, 1000, False)


async def test_describes_entities_in_reading_order() -> None:
    servicer = ExtractorServicer(World().extractions())
    response = await servicer.DescribeSource(pb.DescribeSourceRequest(connector="stel_order"), CONTEXT)
    assert [one.name for one in response.entities] == [one.name for one in CONNECTORS["stel_order"].entities]
    assert response.entities[0].source_name == "employees"
    assert {one.name for one in response.entities if one.is_reference_data} >= {"document_state", "address", "tax_line"}


async def test_check_says_what_is_wrong() -> None:
    request = pb.CheckSourceRequest(connector="stel_order", connection="stel")
    world = World(StandIn({"employees": rows(1)}))
    response = await ExtractorServicer(world.extractions()).CheckSource(request, CONTEXT)
    assert response.base_url == "https://stel.test/app"
    assert sum(world.ledger.used.values()) == 1

    world.source.script = [("employees", failure("E000006", 403))]
    await ExtractorServicer(world.extractions()).CheckSource(request, CONTEXT)

    world.source.script = [("*", OSError("network"))] * 2
    with pytest.raises(UnavailableError, match="URL") as unreachable:
        await ExtractorServicer(world.extractions()).CheckSource(request, CONTEXT)
    assert unreachable.value.reason == "SOURCE_UNREACHABLE"

    world.key = "wrong"
    with pytest.raises(UnauthorizedError):
        await ExtractorServicer(world.extractions()).CheckSource(request, CONTEXT)
    with pytest.raises(ConfigurationError):
        await ExtractorServicer(world.extractions()).CheckSource(pb.CheckSourceRequest(connector="stel_order", connection="other"), CONTEXT)


async def test_an_extraction_is_started_once_shown_and_cancelled() -> None:
    world = World(StandIn({"clients": rows(2)}))
    begun, turn = asyncio.Event(), asyncio.Event()
    freely = world.ledger.debit

    async def held(*args: Any) -> Any:
        begun.set()
        await turn.wait()
        return await freely(*args)

    world.ledger.debit = held  # type: ignore[assignment]
    servicer = ExtractorServicer(world.extractions())
    start = pb.StartExtractionRequest(spec=spec(entities=["client"]))
    assert (await servicer.StartExtraction(start, CONTEXT)).is_started
    assert not (await servicer.StartExtraction(start, CONTEXT)).is_started
    await asyncio.wait_for(begun.wait(), timeout=5)
    status = await servicer.GetExtraction(pb.GetExtractionRequest(extraction_id="x1"), CONTEXT)
    assert status.entity == "client"
    await servicer.CancelExtraction(pb.CancelExtractionRequest(extraction_id="x1"), CONTEXT)
    with pytest.raises(NotFoundError):
        await servicer.GetExtraction(pb.GetExtractionRequest(extraction_id="x1"), CONTEXT)
    await servicer.CancelExtraction(pb.CancelExtractionRequest(extraction_id="x1"), CONTEXT)
    turn.set()
    assert (await servicer.StartExtraction(start, CONTEXT)).is_started


class StandingClock(LeapingClock):
    """Sleeps for ever; says when somebody sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.is_asleep.set()
        await asyncio.Event().wait()


async def started(world: World) -> tuple[ExtractorServicer, asyncio.Task[None]]:
    extractions = world.extractions()
    servicer = ExtractorServicer(extractions)
    start = pb.StartExtractionRequest(spec=spec(entities=["client"], options_json='{"calls_per_minute": 0, "calls_per_day": 0}'))
    assert (await servicer.StartExtraction(start, CONTEXT)).is_started
    task = extractions._jobs["x1"].task
    assert task is not None
    return servicer, task


RESUME = pb.StartExtractionRequest(spec=spec(entities=["client"], options_json='{"calls_per_minute": 0, "calls_per_day": 0}'))


@pytest.mark.requirement("L-06")
async def test_resuming_wakes_an_extraction_that_waits_for_the_next_day() -> None:
    clock = StandingClock()
    world = World(StandIn({"clients": rows(2)}, script=[("clients", failure("E000002"))] * 2), clock=clock)
    servicer, task = await started(world)
    for _ in range(2):  # the second time the source refuses again, and it waits again
        await asyncio.wait_for(clock.is_asleep.wait(), timeout=5)
        clock.is_asleep.clear()
        assert (await servicer.GetExtraction(pb.GetExtractionRequest(extraction_id="x1"), CONTEXT)).HasField("resume_time")
        assert not (await servicer.StartExtraction(RESUME, CONTEXT)).is_started
    await asyncio.wait_for(task, timeout=5)
    assert world.ids("client") == ["1", "2"]


@pytest.mark.requirement("L-06")
async def test_cancelling_and_starting_asks_the_source_at_once() -> None:
    clock = StandingClock()
    world = World(StandIn({"clients": rows(2)}, script=[("clients", failure("E000002"))]), clock=clock)
    servicer, _ = await started(world)
    await asyncio.wait_for(clock.is_asleep.wait(), timeout=5)
    await servicer.CancelExtraction(pb.CancelExtractionRequest(extraction_id="x1"), CONTEXT)
    assert (await servicer.StartExtraction(RESUME, CONTEXT)).is_started
    task = servicer._extractions._jobs["x1"].task
    assert task is not None
    await asyncio.wait_for(task, timeout=5)
    assert world.ids("client") == ["1", "2"]


@pytest.mark.requirement("L-06")
async def test_resuming_with_a_corrected_connection_begins_anew_from_the_checkpoints() -> None:
    clock = StandingClock()
    world = World(StandIn({"clients": rows(600)}), clock=clock)
    world.source.on_call = lambda source, url: source.script.append(("clients", OSError("gone"))) if url.params.get("start") else None
    servicer, _ = await started(world)
    await asyncio.wait_for(clock.is_asleep.wait(), timeout=5)
    world.source.on_call, world.source.script = None, []
    world.environ["TRANSLOAD_CONNECTION_STEL_KEY"] = world.source.key = "new-key"
    assert (await servicer.StartExtraction(RESUME, CONTEXT)).is_started
    task = servicer._extractions._jobs["x1"].task
    assert task is not None
    await asyncio.wait_for(task, timeout=5)
    assert len(world.ids("client")) == 600
    assert world.source.requests[-1].headers["APIKEY"] == "new-key"


async def test_missing_connection_fails_the_extraction_with_the_variable() -> None:
    world = World()
    extractions = world.extractions()
    assert await extractions.start(spec_from_proto(spec(connection="other")), StelOrder)
    task = extractions._jobs["x1"].task
    assert task is not None
    await task
    report = world.ledger.of()[-1]
    assert (report.state, report.reason) == (State.FAILED, "CONFIGURATION")
    assert "TRANSLOAD_CONNECTION_OTHER_URL" in report.message


async def test_bug_in_a_connector_is_reported_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(StelOrder, "version", broken)
    world = World(StandIn({"clients": rows(2)}))
    await world.extract(entities=["client"])
    report = world.ledger.of()[-1]
    assert (report.state, report.reason) == (State.FAILED, "INTERNAL")
    assert "client" in report.message


class Stub:
    """Answers like the ledger's stub; the first calls fail."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or UnavailableError("away")
        self.requests: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        async def call(request: Any) -> Any:
            self.requests.append(type(request).FromString(request.SerializeToString()))
            if self.failures:
                self.failures -= 1
                raise self.error
            return self._answer(name, request)

        return call

    @staticmethod
    def _answer(name: str, request: Any) -> Any:
        match name:
            case "ListPages":
                number = int(request.page_token or "1")
                page = records_pb2.Page(extraction_id="x1", entity="client", digest=f"d{number}", sequence=number, record_count=number)
                return ledger_service_pb2.ListPagesResponse(pages=[page], next_page_token=str(number + 1) if number < 3 else "")
            case "ListCheckpoints":
                return ledger_service_pb2.ListCheckpointsResponse(
                    checkpoints=[ledger_service_pb2.Checkpoint(entity="client", cursor="c", next_page_number=2, is_final=True)]
                )
            case "DebitSourceCalls":
                return ledger_service_pb2.DebitSourceCallsResponse(granted_count=1, used_count=7)
            case _:
                return None


def client(stub: Stub) -> LedgerClient:
    return LedgerClient(cast("Any", stub), clock=LeapingClock(), backoff=Backoff(0.1, 0.1))


async def test_absent_ledger_is_waited_for_and_a_debit_is_taken_once() -> None:
    stub = Stub(failures=3)
    grant = await client(stub).debit("stel", "2026-03-02", 300, "x1")
    assert (grant.granted_count, grant.used_count) == (1, 7)
    assert len(stub.requests) == 4
    assert len({request.request_id for request in stub.requests}) == 1
    assert stub.requests[0].call_count == 1


async def test_refusal_of_the_ledger_is_final() -> None:
    with pytest.raises(PreconditionError):
        await client(Stub(failures=1, error=PreconditionError("rolled back"))).checkpoints("x1")


async def test_pages_are_recorded_with_everything_the_ledger_needs() -> None:
    stub = Stub()
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    page = PageRecord("x1", "client", 3, "digest", "c3", "c4", moment, ["1", "2"], "00-trace")
    await client(stub).record_page("m1", page)
    request = stub.requests[0]
    assert request.page.page_id == "x1/client/3"
    assert request.page.record_count == 2
    assert list(request.source_ids) == ["1", "2"]
    assert request.page.read_time.ToDatetime(tzinfo=UTC) == moment
    assert request.page.trace_parent == "00-trace"


async def test_pages_and_checkpoints_are_read_to_the_end() -> None:
    pages = [page async for page in client(Stub()).pages("m1", after_sequence=0)]
    assert [page.digest for page in pages] == ["d1", "d2", "d3"]
    checkpoints = await client(Stub()).checkpoints("x1")
    assert checkpoints["client"].is_final
    assert checkpoints["client"].next_page_number == 2


@pytest.mark.parametrize("state", list(State))
async def test_reports_carry_state_reason_and_time(state: State) -> None:
    stub = Stub()
    moment = datetime(2026, 3, 3, tzinfo=UTC)
    await client(stub).report(Report("x1", state, "client", "SOURCE_FORBIDDEN", "words", moment))
    request = stub.requests[0]
    assert ledger_service_pb2.ExtractionState.Name(request.state) == f"EXTRACTION_STATE_{state.value}"
    assert request.resume_time.ToDatetime(tzinfo=UTC) == moment


def test_settings_have_safe_defaults_and_refuse_unknown_names() -> None:
    settings = ExtractorSettings.from_env({"TRANSLOAD_LEDGER_ADDRESS": "127.0.0.1:1"})
    assert settings.http_timeout_seconds == 45.0
    with pytest.raises(ConfigurationError, match="TRANSLOAD_LEDGER_ADDRESS"):
        ExtractorSettings.from_env({})
    with pytest.raises(ConfigurationError, match="OUTAGE_TRYS"):
        ExtractorSettings.from_env({"TRANSLOAD_LEDGER_ADDRESS": "a:1", "TRANSLOAD_EXTRACTOR_OUTAGE_TRYS": "1"})
