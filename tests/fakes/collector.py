"""An OpenTelemetry collector: a real OTLP server on a free port that keeps what it is sent."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from grpc import aio
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True, slots=True)
class SpanView:
    """One span, its ids in hex."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    """Empty for the root of a trace."""
    links: tuple[str, ...]
    """Span ids."""
    attributes: dict[str, Any]
    texts: tuple[str, ...]
    """Everything in it that could hold a text: its name, attributes, events, links' attributes, status."""


@dataclass(slots=True)
class Collector:
    """What was received."""

    endpoint: str = ""
    spans: dict[str, SpanView] = field(default_factory=dict)
    """By span id."""
    metric_texts: set[str] = field(default_factory=set)
    """Names, units, descriptions and attribute values of all metrics."""
    metric_names: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)

    @property
    def environ(self) -> dict[str, str]:
        """What makes a process export to here, soon rather than in large parts."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200", "no_proxy": "127.0.0.1"}

    def find(self, service: str, name: str, **attributes: Any) -> list[SpanView]:
        """Answer the spans of a service with this name and these attributes (`_` stands for the dots after `transload.`)."""
        wanted = {f"transload.{key}": value for key, value in attributes.items()}
        return [
            span
            for span in self.spans.values()
            if span.service == service and span.name == name and all(span.attributes.get(key) == value for key, value in wanted.items())
        ]

    def causes(self, span: SpanView) -> dict[str, SpanView]:
        """Answer everything a span came from: its parents and links, theirs, and so on; itself too."""
        found: dict[str, SpanView] = {}
        waiting = [span.span_id]
        while waiting:
            cause = self.spans.get(waiting.pop())
            if cause is not None and cause.span_id not in found:
                found[cause.span_id] = cause
                waiting += [cause.parent_id, *cause.links]
        return found

    def lost_parents(self) -> list[SpanView]:
        """Answer the spans whose parent or link never arrived."""
        return [span for span in self.spans.values() if any(one and one not in self.spans for one in (span.parent_id, *span.links))]


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            self._collector.services.add(service)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self._collector.spans[span.span_id.hex()] = SpanView(
                        service=service,
                        name=span.name,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        links=tuple(link.span_id.hex() for link in span.links),
                        attributes=_attributes(span.attributes),
                        texts=(span.name, span.status.message, *_texts_of(span.attributes), *_texts_around(span)),
                    )
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._collector.metric_names.add(metric.name)
                    self._collector.metric_texts.update((metric.name, metric.unit, metric.description))
                    for points in (metric.sum.data_points, metric.gauge.data_points, metric.histogram.data_points):
                        for point in points:
                            self._collector.metric_texts.update(_texts_of(point.attributes))
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _texts_around(span: Any) -> Iterator[str]:
    for event in span.events:
        yield event.name
        yield from _texts_of(event.attributes)
    for link in span.links:
        yield from _texts_of(link.attributes)


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


def _texts_of(pairs: Iterable[Any]) -> Iterator[str]:
    return (str(value) for value in _attributes(pairs).values())


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Listen while the block runs."""
    kept = Collector()
    server = aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(kept), server)  # type: ignore[no-untyped-call]
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(kept), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    kept.endpoint = f"http://127.0.0.1:{port}"
    await server.start()
    try:
        yield kept
    finally:
        await server.stop(None)
