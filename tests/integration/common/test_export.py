from __future__ import annotations

import asyncio
import os
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

from grpc import aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

SCRIPT = """
from services.common import telemetry
flush = telemetry.setup("loader", replica="loader-1")
with telemetry.tracer().start_as_current_span("work"):
    telemetry.meter().create_counter("records").add(3)
flush()
"""


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.received: list[trace_service_pb2.ExportTraceServiceRequest] = []

    async def Export(self, request: Any, context: Any) -> Any:
        self.received.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self) -> None:
        self.received: list[metrics_service_pb2.ExportMetricsServiceRequest] = []

    async def Export(self, request: Any, context: Any) -> Any:
        self.received.append(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


async def test_naming_a_collector_switches_the_export_on() -> None:
    traces, metrics = Traces(), Metrics()
    collector = aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(traces, collector)  # type: ignore[no-untyped-call]
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(metrics, collector)  # type: ignore[no-untyped-call]
    port = collector.add_insecure_port("127.0.0.1:0")
    await collector.start()
    environ = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "no_proxy": "127.0.0.1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    await collector.stop(None)
    assert (process.returncode, output) == (0, b"")
    resource = traces.received[0].resource_spans[0].resource
    attributes = {attribute.key: attribute.value.string_value for attribute in resource.attributes}
    assert (attributes["service.name"], attributes["service.instance.id"]) == ("transload-loader", "loader-1")
    assert traces.received[0].resource_spans[0].scope_spans[0].spans[0].name == "work"
    assert metrics.received[0].resource_metrics[0].scope_metrics[0].metrics[0].name == "records"


SERVING = """
import sys
from services.common import instruments, telemetry
flush = telemetry.setup("loader", replica="loader-1")
assert not telemetry.is_exporting() and telemetry.is_measuring()
instruments.counter(instruments.TARGET_CALLS).add(3, {instruments.CONNECTION: "crm"})
assert not telemetry.tracer().start_span("work").is_recording()
print("ready", flush=True)
sys.stdin.readline()
flush()
"""


async def test_naming_an_address_serves_metrics_as_text(free_port: Callable[[], int]) -> None:
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | {"TRANSLOAD_METRICS_LISTEN": f"127.0.0.1:{port}"}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVING, env=environ, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def scrape() -> str:
        with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            return str(response.read().decode())

    text = await asyncio.to_thread(scrape)
    assert 'transload_pipedrive_calls_total{transload_connection="crm"} 3.0' in text
    assert 'service_instance_id="loader-1"' in text
    again = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVING, env=environ, stdout=pipe, stderr=pipe)
    _, errors = await again.communicate()
    assert again.returncode != 0
    assert b"TRANSLOAD_METRICS_LISTEN" in errors
    output, _ = await process.communicate(b"\n")
    assert (process.returncode, output) == (0, b"")
