"""Every metric, as data: what it is called, in which unit, and by what it is told apart.

Names are OpenTelemetry's where it has one, else begin with `transload.`; units are UCUM. Attributes take few values: ids of migrations, names of
connections, entities, phases, states, reasons, operations - never ids of records, and nothing personal. The table in `docs/operations.md` and the
test of dashboards and alert rules are made from this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from services.common import telemetry

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram


class Kind(StrEnum):
    """How values become one."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric."""

    name: str
    kind: Kind
    unit: str
    """UCUM."""
    description: str
    services: tuple[str, ...]
    attributes: tuple[str, ...] = ()

    @property
    def prometheus_name(self) -> str:
        """The name under which Prometheus sees it; of a histogram without `_bucket`, `_sum`, `_count`."""
        name = re.sub(r"[^a-zA-Z0-9]+", "_", self.name)
        unit = _PROMETHEUS_UNITS.get(self.unit, "")
        if unit and not name.endswith(f"_{unit}"):
            name = f"{name}_{unit}"
        return f"{name}_total" if self.kind is Kind.COUNTER else name

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its time series in Prometheus."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.prometheus_name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.prometheus_name,)


_PROMETHEUS_UNITS: Final = {"s": "seconds", "By": "bytes"}
_ALL: Final = ("ledger", "extractor", "transformer", "loader")
_LEDGER: Final = ("ledger",)
_EXTRACTOR: Final = ("extractor",)
_TRANSFORMER: Final = ("transformer",)
_LOADER: Final = ("loader",)

MIGRATION: Final = "transload.migration.id"
CONNECTION: Final = "transload.connection"
ENTITY: Final = "transload.entity"
TARGET_ENTITY: Final = "transload.target_entity"
PHASE: Final = "transload.phase"
STATE: Final = "transload.state"
REASON: Final = "transload.reason"
RUN_KIND: Final = "transload.run.kind"
PAUSE: Final = "transload.pause"
RESERVE: Final = "transload.reserve"
OPERATION: Final = "transload.operation"
STREAM: Final = "messaging.destination.name"
CONSUMER: Final = "messaging.consumer.group.name"
ANSWER: Final = "transload.answer"
PLAN: Final = "transload.plan"
STATUS: Final = "http.response.status_code"

_SECONDS_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _counter(name: str, unit: str, description: str, services: tuple[str, ...], *attributes: str) -> Instrument:
    return Instrument(name, Kind.COUNTER, unit, description, services, attributes)


def _seconds(name: str, description: str, services: tuple[str, ...], *attributes: str) -> Instrument:
    return Instrument(name, Kind.HISTOGRAM, "s", description, services, attributes)


def _gauge(name: str, unit: str, description: str, services: tuple[str, ...], *attributes: str) -> Instrument:
    return Instrument(name, Kind.GAUGE, unit, description, services, attributes)


# Migrations, from the ledger's sums.
SOURCE_RECORDS: Final = _gauge(
    "transload.migration.source.records", "{record}", "Source records by what became of them", _LEDGER, MIGRATION, ENTITY, STATE
)
MAPPED_RECORDS: Final = _gauge("transload.migration.records", "{record}", "Mapped records by phase and state", _LEDGER, MIGRATION, PHASE, STATE)
IN_DOUBT: Final = _gauge("transload.migration.in_doubt", "{record}", "Records of whose call the outcome is not known", _LEDGER, MIGRATION)
UNSETTLED_AGE: Final = _gauge(
    "transload.migration.unsettled.age", "s", "Age of the oldest announced create without an outcome; 0: none", _LEDGER, MIGRATION
)
REVIEW_ITEMS: Final = _gauge("transload.migration.review_items", "{item}", "Open review items", _LEDGER, MIGRATION, REASON)
TOKENS_PLANNED: Final = _gauge("transload.migration.tokens.planned", "{token}", "Tokens planned for sample and load", _LEDGER, MIGRATION, CONNECTION)
TOKENS_SPENT: Final = _gauge("transload.migration.tokens.spent", "{token}", "Tokens spent by all runs", _LEDGER, MIGRATION, CONNECTION)
TOKENS_TO_SPEND: Final = _gauge(
    "transload.migration.tokens.left", "{token}", "Tokens still planned up to the end of the reconciliation", _LEDGER, MIGRATION, CONNECTION
)
REMAINING: Final = _gauge("transload.migration.remaining", "s", "Time the plan still takes, as it is likely", _LEDGER, MIGRATION)
OPEN_PHASE: Final = _gauge("transload.migration.phase", "{phase}", "Number of the open phase; 0: none", _LEDGER, MIGRATION, PHASE)
RUNNING: Final = _gauge("transload.migration.running", "{run}", "1: a run of this kind is going", _LEDGER, MIGRATION, RUN_KIND)
MIGRATION_STATE: Final = _gauge("transload.migration.state", "{migration}", "1: the migration stands here", _LEDGER, MIGRATION, STATE)
PAUSED: Final = _gauge(
    "transload.migration.paused", "{migration}", "1: no work is taken, for this kind of reason; 0: not for this", _LEDGER, MIGRATION, PAUSE
)
HEAD_AGE: Final = _gauge("transload.audit.head.age", "s", "Age of the newest signed head of the audit trail", _LEDGER, MIGRATION)
UNSIGNED_EVENTS: Final = _gauge("transload.audit.unsigned.events", "{event}", "Events after the newest signed head", _LEDGER, MIGRATION)

# The ledger and the streams.
LEDGER_EVENTS: Final = _counter("transload.ledger.events", "{event}", "Events appended to the audit trail", _LEDGER)
COMMIT_SECONDS: Final = _seconds("transload.ledger.transaction.duration", "Time from the wish to write until the commit", _LEDGER)
OUTBOX: Final = _gauge("transload.outbox.messages", "{message}", "Messages the ledger could not hand to NATS yet", _LEDGER)
LAG: Final = _gauge("transload.stream.lag", "{message}", "Messages of a stream that nobody has fetched", _LEDGER, STREAM, CONSUMER)
UNANSWERED: Final = _gauge("transload.stream.unanswered", "{message}", "Messages in hand", _LEDGER, STREAM, CONSUMER)
LOOK_SECONDS: Final = _gauge("transload.gauges.look.duration", "s", "Time the ledger took to read its sums for these metrics", _LEDGER)

# Source.
SOURCE_PAGES: Final = _counter("transload.source.pages", "{page}", "Pages read, staged and recorded", _EXTRACTOR, ENTITY)
SOURCE_READ: Final = _counter("transload.source.records", "{record}", "Records read", _EXTRACTOR, ENTITY)
SOURCE_CALLS: Final = _counter("transload.source.calls", "{call}", "Calls taken from the source's budget", _EXTRACTOR, PLAN)
SOURCE_WAITS: Final = _counter("transload.source.waits", "{wait}", "Times reading had to wait", _EXTRACTOR, REASON)
SOURCE_FILE_BYTES: Final = _counter("transload.source.file.bytes", "By", "Bytes of files downloaded", _EXTRACTOR)

# Mapping.
MADE_RECORDS: Final = _counter("transload.transformer.records", "{record}", "Mapped records made", _TRANSFORMER, TARGET_ENTITY)
MADE_ISSUES: Final = _counter("transload.transformer.issues", "{issue}", "Records that are not plain success", _TRANSFORMER, REASON)

# Pipedrive.
HTTP_SECONDS: Final = _seconds(
    "http.client.request.duration",
    "Time a call to source or Pipedrive took",
    ("extractor", "loader"),
    "http.request.method",
    STATUS,
    "url.template",
    "error.type",
)
TARGET_CALLS: Final = _counter("transload.pipedrive.calls", "{call}", "Calls to Pipedrive", _LOADER, CONNECTION, OPERATION, STATUS)
TARGET_TOKENS: Final = _counter("transload.pipedrive.tokens", "{token}", "Tokens spent", _LOADER, CONNECTION, OPERATION)
TARGET_THROTTLED: Final = _counter("transload.pipedrive.throttled", "{call}", "Calls refused with 429", _LOADER, CONNECTION)
TARGET_RETRIES: Final = _counter("transload.pipedrive.retries", "{call}", "Calls made again", _LOADER, CONNECTION, REASON)
TOKENS_AVAILABLE: Final = _gauge(
    "transload.pipedrive.tokens.available", "{token}", "Tokens a load may spend now; 0 where the loader stands in for another", _LOADER, CONNECTION
)
TOKENS_LEFT: Final = _gauge("transload.pipedrive.tokens.left", "{token}", "Tokens left of the day", _LOADER, CONNECTION)
TOKENS_LIMIT: Final = _gauge("transload.pipedrive.tokens.limit", "{token}", "Tokens of a day; 0: no header has told it yet", _LOADER, CONNECTION)
TOKENS_USED: Final = _gauge("transload.pipedrive.tokens.used", "{token}", "Tokens this installation spent today", _LOADER, CONNECTION)
TOKENS_RESERVED: Final = _gauge(
    "transload.pipedrive.tokens.reserved", "{token}", "Tokens kept back for a rollback, for other apps, for calls under way (leased)", _LOADER,
    CONNECTION, RESERVE,
)  # fmt: skip
WINDOW_USED: Final = _gauge("transload.pipedrive.window.used", "{call}", "Places taken in the rolling window", _LOADER, CONNECTION)
WINDOW_LIMIT: Final = _gauge("transload.pipedrive.window.limit", "{call}", "Places of the rolling window", _LOADER, CONNECTION)
QUOTA_WAIT: Final = _seconds("transload.quota.wait", "Time a call waited for its lease", _LOADER)
QUOTA_SHADOW: Final = _counter("transload.quota.shadow", "{call}", "Calls shadow mode would have held up or refused", _LOADER, REASON)

# Between the services.
SENT: Final = _counter("messaging.client.sent.messages", "{message}", "Messages published", ("ledger", "transformer"), STREAM)
CONSUMED: Final = _counter("messaging.client.consumed.messages", "{message}", "Messages answered", ("transformer", "loader"), STREAM, ANSWER)
PROCESS_SECONDS: Final = _seconds("messaging.process.duration", "Time a message took to handle", ("transformer", "loader"), STREAM, ANSWER)
RPC_SECONDS: Final = _seconds("rpc.server.call.duration", "Time a call took to serve", _ALL, "rpc.service", "rpc.method", "rpc.response.status_code")
REFUSALS: Final = _counter("transload.access.refusals", "{call}", "Calls refused (access.md)", _ALL, REASON, "rpc.method")

INSTRUMENTS: Final = tuple(value for value in tuple(globals().values()) if isinstance(value, Instrument))
"""All of them."""


def counter(instrument: Instrument) -> Counter:
    """Makes a counter."""
    return telemetry.meter().create_counter(instrument.name, unit=instrument.unit, description=instrument.description)


def histogram(instrument: Instrument) -> Histogram:
    """Makes a histogram of seconds."""
    return telemetry.meter().create_histogram(
        instrument.name, unit=instrument.unit, description=instrument.description, explicit_bucket_boundaries_advisory=_SECONDS_BOUNDS
    )
