"""What really goes over the network, against a web server on the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common import telemetry
from services.common.staging import Staging
from services.extractor.http import source_client
from tests.fixtures.stel_order.stand_in import row
from tests.fixtures.stel_order.world import World

TOKEN = "secret-of-a-link"


class Server:
    """STEL Order's interface and file server in one; keeps the raw query of each call."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.url = ""

    async def orders(self, request: web.Request) -> web.Response:
        self.queries.append(request.rel_url.raw_query_string)
        pdf = f"{self.url}/files/1.pdf?token={TOKEN}"
        return web.json_response([row(1, path="app.stelorder.com/app/workOrders/1", signed=True, **{"pdf-path": pdf})])

    async def moved(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(f"/files/real.pdf?{request.rel_url.raw_query_string}")

    async def file(self, request: web.Request) -> web.StreamResponse:
        assert "APIKEY" not in request.headers
        response = web.StreamResponse(headers={"Content-Type": "application/pdf"})
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 10_000)
        return response


@pytest.fixture
async def server(unused_tcp_port: int) -> AsyncIterator[Server]:
    server = Server()
    server.url = f"http://127.0.0.1:{unused_tcp_port}"
    application = web.Application()
    application.router.add_get("/app/workOrders", server.orders)
    application.router.add_get("/files/1.pdf", server.moved)
    application.router.add_get("/files/real.pdf", server.file)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    yield server
    await runner.cleanup()


class WireWorld(World):
    """A world whose source is a real server and whose staging is a real folder."""

    def http_client(self, headers: Any, *, follow_redirects: bool = False, platform: str = "") -> Any:
        return partial(source_client, timeout_seconds=5.0)(headers, follow_redirects=follow_redirects)


@pytest.mark.requirement("L-06", "L-11")
async def test_calls_and_downloads_over_a_real_connection(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(telemetry, "tracer", lambda: provider.get_tracer("test"))
    world = WireWorld()
    staging = Staging.open(tmp_path.as_uri())
    monkeypatch.setattr(world, "store", staging)
    monkeypatch.setattr("tests.fixtures.stel_order.world.BASE_URL", f"{server.url}/app")

    await world.extract(entities=["work_order", "document_pdf"], changed_since=datetime(2025, 12, 1, tzinfo=UTC))

    # The plus of the offset would be read as a blank if it were not encoded.
    assert [sorted(query.replace("%3A", ":").split("&")) for query in server.queries] == [
        ["limit=500", "utc-last-modification-date=2025-12-01T00:00:00%2B0000"]
    ]
    pages = list(world.ledger.recorded.values())
    assert [page.entity for page in pages] == ["work_order", "document_pdf"]
    files = list((tmp_path / "files").iterdir())
    assert [path.stat().st_size for path in files] == [1_000_000]
    assert (await staging.get_page(pages[1].digest)).find(TOKEN.encode()) == -1

    finished = spans.get_finished_spans()
    page_spans = {span.name: span for span in finished}
    assert set(page_spans) == {"extractor.page", "source.call", "source.file"}
    assert pages[1].trace_parent.split("-")[1] == f"{page_spans['extractor.page'].context.trace_id:032x}"
    assert page_spans["source.file"].context.trace_id == page_spans["extractor.page"].context.trace_id
    assert TOKEN not in "".join(span.to_json() for span in finished)
