"""Where traces and metrics go: pushed to a collector, served to Prometheus, or both. Imported only where one of them is wanted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import start_http_server

from services.common.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

METRICS_INTERVAL_MILLISECONDS: Final = 10_000
SHUTDOWN_TIMEOUT_MILLISECONDS: Final = 5_000
SPANS_MAX: Final = 16_384
"""Spans that may wait for the collector. OpenTelemetry's own 2,048 are some seconds of a load; above it the oldest are lost."""
QUEUE_VARIABLE: Final = "OTEL_BSP_MAX_QUEUE_SIZE"


def export(service_name: str, replica: str, *, pushes: bool, listen: str) -> Callable[[], None]:
    """Starts exporters and answers what flushes and stops them.

    Args:
        service_name: `transload-loader` and so on.
        replica: of the service.
        pushes: to the collector that OpenTelemetry's own variables name.
        listen: host:port that Prometheus scrapes; empty: nowhere.

    Raises:
        ConfigurationError: `listen` cannot be listened on.
    """
    resource = Resource.create({"service.namespace": "transload", "service.name": service_name, "service.instance.id": replica})
    stops: list[Callable[[], object]] = []
    readers: list[MetricReader] = []
    if listen:
        stops.append(_serve(listen))
        readers.append(PrometheusMetricReader(scope_info_enabled=False))
    if pushes:
        stops.append(_trace(resource))
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=METRICS_INTERVAL_MILLISECONDS))
    provider = MeterProvider(resource=resource, metric_readers=readers)
    metrics.set_meter_provider(provider)
    stops.append(lambda: provider.shutdown(SHUTDOWN_TIMEOUT_MILLISECONDS))

    def shutdown() -> None:
        for stop in stops:
            stop()

    return shutdown


def _trace(resource: Resource) -> Callable[[], object]:
    provider = TracerProvider(resource=resource)
    size: dict[str, Any] = {} if os.environ.get(QUEUE_VARIABLE) else {"max_queue_size": SPANS_MAX}
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), **size))
    trace.set_tracer_provider(provider)

    def stop() -> None:
        provider.force_flush(SHUTDOWN_TIMEOUT_MILLISECONDS)
        provider.shutdown()

    return stop


def _serve(listen: str) -> Callable[[], object]:
    """Serves the metrics as text in a thread of its own; without TLS, and to everybody who reaches the port."""
    host, _, port = listen.rpartition(":")
    try:
        server, _thread = start_http_server(int(port), addr=host.strip("[]") or "127.0.0.1")
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigurationError(
            f"TRANSLOAD_METRICS_LISTEN: {listen} is no host:port that can be listened on", metadata={"setting": "TRANSLOAD_METRICS_LISTEN"}
        ) from error

    def stop() -> None:
        server.shutdown()
        server.server_close()

    return stop
