"""Traces, metrics and logs.

Without `OTEL_EXPORTER_OTLP_ENDPOINT` and `TRANSLOAD_METRICS_LISTEN` no SDK is installed: OpenTelemetry's API then does nothing, exports nothing and
prints nothing.
Logs are JSON lines on stderr, an event name plus fields; ids and keys only, never personal data or secrets.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.common import secrecy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.context import Context

SCOPE: Final = "transload"
ENDPOINT_VARIABLE: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
LISTEN_VARIABLE: Final = "TRANSLOAD_METRICS_LISTEN"

_PROPAGATOR: Final = TraceContextTextMapPropagator()
# Finds the provider when it is first used; asking for a tracer each time costs a look at the environment.
_TRACER: Final = trace.get_tracer(SCOPE)


def setup(service_name: str, *, replica: str = "local", log_level: str = "INFO", environ: Mapping[str, str] = os.environ) -> Callable[[], None]:
    """Starts JSON logs and, when `environ` asks for them, exporters. Answers what flushes and stops them.

    Raises:
        ConfigurationError: metrics cannot be served where they shall be.
    """
    _log_to_stderr(service_name, replica, log_level)
    if not is_measuring(environ):
        return _nothing
    # Imported here: the SDK and its exporters take a third of a second and 20 MB that a process that tells nobody must not pay.
    from services.common.exporters import export  # noqa: PLC0415

    return export(f"{SCOPE}-{service_name}", replica, pushes=is_exporting(environ), listen=environ.get(LISTEN_VARIABLE, "").strip())


def is_exporting(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a collector is named in the environment, so that there are spans."""
    return bool(environ.get(ENDPOINT_VARIABLE)) and not _is_disabled(environ)


def is_measuring(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether anybody is told of metrics: a collector, or who asks at `TRANSLOAD_METRICS_LISTEN`."""
    return (bool(environ.get(ENDPOINT_VARIABLE)) or bool(environ.get(LISTEN_VARIABLE, "").strip())) and not _is_disabled(environ)


def _is_disabled(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def tracer() -> trace.Tracer:
    """Answers our tracer; its spans cost next to nothing while no collector is named."""
    return _TRACER


def meter() -> metrics.Meter:
    """Answers our meter."""
    return metrics.get_meter(SCOPE)


def inject(headers: dict[str, str]) -> dict[str, str]:
    """Adds the current trace context to `headers` and answers them."""
    _PROPAGATOR.inject(headers)
    return headers


def extract(headers: Mapping[str, str] | None) -> Context:
    """Reads the trace context a peer put into `headers`."""
    return _PROPAGATOR.extract(headers or {})


def current_traceparent() -> str:
    """Answers the W3C `traceparent` of the current span, empty when nothing is recorded."""
    return inject({}).get("traceparent", "")


def link_from(traceparent: str) -> trace.Link | None:
    """Answers a link to the span that `traceparent` names, or None when it names none."""
    if not traceparent:
        return None
    context = trace.get_current_span(extract({"traceparent": traceparent})).get_span_context()
    return trace.Link(context) if context.is_valid else None


def links_from(traceparents: Iterable[str]) -> list[trace.Link]:
    """Answers links to all spans named, each once."""
    return [link for text in dict.fromkeys(traceparents) if (link := link_from(text)) is not None]


class EventLogger:
    """Writes one JSON line per event."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, event: str, /, **fields: object) -> None:
        """Writes what only a developer wants to see."""
        self._logger.debug(event, extra={"fields": fields})

    def info(self, event: str, /, **fields: object) -> None:
        """Writes what happened."""
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, /, **fields: object) -> None:
        """Writes what went wrong and will be tried again."""
        self._logger.warning(event, extra={"fields": fields})

    def error(self, event: str, /, **fields: object) -> None:
        """Writes what went wrong and needs a person."""
        self._logger.error(event, extra={"fields": fields})

    def exception(self, event: str, error: BaseException, /, **fields: object) -> None:
        """Writes a bug with its traceback."""
        self._logger.error(event, exc_info=error, extra={"fields": fields})


def get_logger(name: str) -> EventLogger:
    """Answers the logger of a module; `name` is its `__name__`."""
    return EventLogger(logging.getLogger(name))


class _JsonFormatter(logging.Formatter):
    def __init__(self, service_name: str, replica: str) -> None:
        super().__init__()
        self._service_name = service_name
        self._replica = replica

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "service": self._service_name,
            "replica": self._replica,
            "logger": record.name,
            "event": record.getMessage(),
        }
        context = trace.get_current_span().get_span_context()
        if context.is_valid:
            line["trace_id"] = trace.format_trace_id(context.trace_id)
            line["span_id"] = trace.format_span_id(context.span_id)
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return secrecy.masked(json.dumps(line, ensure_ascii=False, default=str))


def _log_to_stderr(service_name: str, replica: str, log_level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(service_name, replica))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for ours in ("services", "transload"):
        logging.getLogger(ours).setLevel(log_level)
    # A client that leaves in the middle of a stream is no error of ours; gRPC logs it as one, with a traceback.
    logging.getLogger("grpc._cython.cygrpc").addFilter(lambda record: "ExecuteBatchError raised in core" not in record.getMessage())
    # The NATS client logs every reconnection attempt with a traceback; `jetstream` says the same in one line.
    logging.getLogger("nats").setLevel(logging.CRITICAL)


def _nothing() -> None:
    return None
