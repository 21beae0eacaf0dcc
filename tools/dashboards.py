"""Writes the Grafana dashboards in `deploy/observability/grafana`; a test compares them.

Panels name metrics by the table in `services/common/instruments.py`, so that one that is renamed there changes here too, and one that is gone fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from services.common import instruments as m

if TYPE_CHECKING:
    from services.common.instruments import Instrument

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "observability" / "grafana"
_WIDTH: Final = 24
_RATE: Final = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture.

    Attributes:
        title: what it answers.
        queries: PromQL, each with its legend.
        kind: Grafana's type of panel.
        unit: Grafana's unit.
        width: of 24.
        description: in words, for who asks.
    """

    title: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    unit: str = "short"
    width: int = 12
    description: str = ""


def name(instrument: Instrument, **labels: str) -> str:
    """Answers a selector: the series' name with labels (`migration`, `connection`, or a label's own name) that must match."""
    known = {"migration": "transload_migration_id", "connection": "transload_connection"}
    matchers = ",".join(f'{known.get(label, label)}=~"{value}"' for label, value in labels.items())
    return instrument.prometheus_name + (f"{{{matchers}}}" if matchers else "")


def of_migration(instrument: Instrument, **labels: str) -> str:
    """Answers a selector for the migrations chosen above."""
    return name(instrument, migration="$migration", **labels)


def per_second(instrument: Instrument, by: str = "", **labels: str) -> str:
    """Answers the sum of a counter's rates."""
    return f"sum{_by(by)}(rate({name(instrument, **labels)}[{_RATE}]))"


def quantile(share: float, instrument: Instrument, by: str = "") -> str:
    """Answers a quantile of a histogram."""
    return f"histogram_quantile({share}, sum{_by('le, ' + by if by else 'le')}(rate({instrument.prometheus_name}_bucket[{_RATE}])))"


def _by(labels: str) -> str:
    return f" by ({labels}) " if labels else ""


_SETTLED: Final = "loaded|matched|skipped|rejected|waiting"
_PHASE_SHARE: Final = (
    f"sum by (transload_migration_id, transload_phase) ({of_migration(m.MAPPED_RECORDS, transload_state=_SETTLED + '|undone')})"
    f" / sum by (transload_migration_id, transload_phase) ({of_migration(m.MAPPED_RECORDS)})"
)

OVERVIEW: Final = (
    Panel(
        "Records settled",
        (
            (
                f"sum({of_migration(m.SOURCE_RECORDS, transload_state=_SETTLED)}) / sum({of_migration(m.SOURCE_RECORDS)})",
                "settled",
            ),
        ),
        "gauge",
        "percentunit",
        6,
        "Source records of which it is decided what became of them: loaded, matched, skipped, rejected or waiting for a person.",
    ),
    Panel(
        "Time left",
        ((f"max({of_migration(m.REMAINING)}) or vector(0)", "left"),),
        "stat",
        "s",
        6,
        "By the plan and the budget, as it is likely; 0: no run is going.",
    ),
    Panel("For people to decide", ((f"sum({of_migration(m.REVIEW_ITEMS)}) or vector(0)", "open"),), "stat", "short", 6, "Open review items."),
    Panel(
        "Stands still",
        ((f"max by (transload_pause) ({of_migration(m.PAUSED)})", "{{transload_pause}}"),),
        "stat",
        "short",
        6,
        "1: for this kind of reason.",
    ),
    Panel("Records by what became of them", ((f"sum by (transload_state) ({of_migration(m.SOURCE_RECORDS)})", "{{transload_state}}"),)),
    Panel("Records by kind", ((f"sum by (transload_entity) ({of_migration(m.SOURCE_RECORDS)})", "{{transload_entity}}"),), "bargauge"),
    Panel("Phases", ((_PHASE_SHARE, "{{transload_migration_id}} {{transload_phase}}"),), "bargauge", "percentunit"),
    Panel("Open questions by reason", ((f"sum by (transload_reason) ({of_migration(m.REVIEW_ITEMS)})", "{{transload_reason}}"),), "bargauge"),
    Panel(
        "Tokens",
        (
            (f"sum({of_migration(m.TOKENS_PLANNED)})", "planned for sample and load"),
            (f"sum({of_migration(m.TOKENS_SPENT)})", "spent"),
            (f"sum({of_migration(m.TOKENS_TO_SPEND)})", "still planned"),
        ),
    ),
    Panel("Where it stands", ((f"{of_migration(m.MIGRATION_STATE)} == 1", "{{transload_migration_id}} {{transload_state}}"),), "stat"),
)

OPERATOR: Final = (
    Panel("Services", (('up{job="transload"}', "{{instance}}"),), "stat", "short", 6),
    Panel("Going now", ((f"sum by (transload_run_kind) ({of_migration(m.RUNNING)})", "{{transload_run_kind}}"),), "stat", "short", 6),
    Panel("In doubt", ((f"sum({of_migration(m.IN_DOUBT)})", "records"),), "stat", "short", 6, "Calls whose outcome is being found out by listing."),
    Panel("Oldest unsettled", ((f"max({of_migration(m.UNSETTLED_AGE)})", "age"),), "stat", "s", 6),
    Panel("Calls to Pipedrive", ((per_second(m.TARGET_CALLS, "http_response_status_code"), "{{http_response_status_code}}"),), unit="reqps"),
    Panel(
        "Refused and repeated",
        ((per_second(m.TARGET_THROTTLED), "429"), (per_second(m.TARGET_RETRIES, "transload_reason"), "again: {{transload_reason}}")),
        unit="reqps",
    ),
    Panel(
        "Time of calls, 95 %",
        ((quantile(0.95, m.HTTP_SECONDS, "job, http_request_method"), "{{http_request_method}}"), (quantile(0.95, m.QUOTA_WAIT), "wait for a lease")),
        unit="s",
    ),
    Panel("Time of gRPC, 95 %", ((quantile(0.95, m.RPC_SECONDS, "rpc_method"), "{{rpc_method}}"),), unit="s"),
    Panel("Pages and records read", ((per_second(m.SOURCE_PAGES), "pages"), (per_second(m.SOURCE_READ), "records")), unit="cps"),
    Panel("Calls to sources", ((per_second(m.SOURCE_CALLS, "transload_plan"), "{{transload_plan}}"),), unit="reqps"),
    Panel("Records mapped", ((per_second(m.MADE_RECORDS, "transload_target_entity"), "{{transload_target_entity}}"),), unit="cps"),
    Panel(
        "Waiting in the streams",
        ((f"max by (messaging_destination_name) ({name(m.LAG)})", "{{messaging_destination_name}}"), (f"max({name(m.UNANSWERED)})", "in hand")),
    ),
    Panel(
        "Time of a message, 95 %", ((quantile(0.95, m.PROCESS_SECONDS, "messaging_destination_name"), "{{messaging_destination_name}}"),), unit="s"
    ),
    Panel("Messages by answer", ((per_second(m.CONSUMED, "transload_answer"), "{{transload_answer}}"), (per_second(m.SENT), "sent")), unit="cps"),
)

QUOTA: Final = (
    Panel("Available to a load", ((f"sum({name(m.TOKENS_AVAILABLE, connection='$connection')})", "tokens"),), "stat", "short", 6),
    Panel("Left of the day", ((f"sum({name(m.TOKENS_LEFT, connection='$connection')})", "tokens"),), "stat", "short", 6),
    Panel("Of a day", ((f"sum({name(m.TOKENS_LIMIT, connection='$connection')})", "tokens"),), "stat", "short", 6),
    Panel("Spent today", ((f"sum({name(m.TOKENS_USED, connection='$connection')})", "tokens"),), "stat", "short", 6),
    Panel(
        "The day's tokens",
        (
            (f"sum by (transload_connection) ({name(m.TOKENS_LEFT, connection='$connection')})", "left {{transload_connection}}"),
            (f"sum by (transload_connection) ({name(m.TOKENS_USED, connection='$connection')})", "used {{transload_connection}}"),
        ),
    ),
    Panel(
        "Kept back",
        (
            (
                f"sum by (transload_connection, transload_reserve) ({name(m.TOKENS_RESERVED, connection='$connection')})",
                "{{transload_connection}} {{transload_reserve}}",
            ),
        ),
        description="For a rollback, for the company's other apps, and for calls under way.",
    ),
    Panel(
        "Tokens by operation",
        ((f"topk(10, {per_second(m.TARGET_TOKENS, 'transload_operation', connection='$connection')})", "{{transload_operation}}"),),
    ),
    Panel(
        "The window",
        (
            (f"sum by (transload_connection) ({name(m.WINDOW_USED, connection='$connection')})", "used {{transload_connection}}"),
            (f"sum by (transload_connection) ({name(m.WINDOW_LIMIT, connection='$connection')})", "places {{transload_connection}}"),
        ),
    ),
    Panel(
        "Planned and not spent",
        ((f"sum by (transload_connection) ({name(m.TOKENS_TO_SPEND, connection='$connection')})", "{{transload_connection}}"),),
    ),
    Panel("Wait for a lease, 95 %", ((quantile(0.95, m.QUOTA_WAIT), "95 %"), (quantile(0.5, m.QUOTA_WAIT), "half")), unit="s"),
)

LEDGER: Final = (
    Panel("Commits", ((f"sum(rate({m.COMMIT_SECONDS.prometheus_name}_count[{_RATE}]))", "a second"),), "stat", "cps", 6),
    Panel("Events", ((per_second(m.LEDGER_EVENTS), "a second"),), "stat", "cps", 6),
    Panel("Outbox", ((f"max({name(m.OUTBOX)})", "messages"),), "stat", "short", 6),
    Panel("Sums read in", ((f"max({name(m.LOOK_SECONDS)})", "seconds"),), "stat", "s", 6, "What these metrics cost the ledger each time."),
    Panel(
        "Time of a commit",
        tuple((quantile(share, m.COMMIT_SECONDS), f"{share:.0%}") for share in (0.5, 0.95, 0.99)),
        unit="s",
        description="From the wish to write until the commit, the wait for other writers included.",
    ),
    Panel("Age of the signed head", ((f"max by (transload_migration_id) ({of_migration(m.HEAD_AGE)})", "{{transload_migration_id}}"),), unit="s"),
    Panel("Events no head covers", ((f"max by (transload_migration_id) ({of_migration(m.UNSIGNED_EVENTS)})", "{{transload_migration_id}}"),)),
    Panel(
        "Calls of the ledger",
        ((f'sum by (rpc_method) (rate({m.RPC_SECONDS.prometheus_name}_count{{rpc_service=~".*LedgerService"}}[{_RATE}]))', "{{rpc_method}}"),),
        unit="reqps",
    ),
)

DASHBOARDS: Final = {
    "overview": ("Transload: migration", OVERVIEW, "How far a migration is, what is open, and when it ends: for who leads the project."),
    "operator": ("Transload: operator", OPERATOR, "What the services do, what waits, what goes wrong."),
    "quota": ("Transload: quota", QUOTA, "What of Pipedrive's budget is left, who keeps what back, and how the window is used."),
    "ledger": ("Transload: ledger", LEDGER, "Whether the ledger keeps up and the audit trail is signed."),
}


def dashboard(uid: str, title: str, panels: tuple[Panel, ...], description: str) -> dict[str, Any]:
    """Answers one dashboard as Grafana reads it."""
    variables = [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]
    variables += [
        _variable("migration", m.RUNNING.prometheus_name, "transload_migration_id"),
        _variable("connection", m.TOKENS_AVAILABLE.prometheus_name, "transload_connection"),
    ]
    shown, x, y = [], 0, 0
    for number, panel in enumerate(panels, start=1):
        height = 5 if panel.width < _WIDTH // 2 else 8
        if x + panel.width > _WIDTH:
            x, y = 0, y + (5 if panels[number - 2].width < _WIDTH // 2 else 8)
        shown.append(_shown(number, panel, {"x": x, "y": y, "w": panel.width, "h": height}))
        x += panel.width
    return {
        "uid": f"transload-{uid}",
        "title": title,
        "description": description,
        "tags": ["transload"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "panels": shown,
    }


def _variable(label: str, metric: str, of: str) -> dict[str, Any]:
    query = f"label_values({metric}, {of})"
    chosen = {"text": ["All"], "value": ["$__all"]}
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "name": label,
        "type": "query",
        "datasource": source,
        "query": {"query": query, "refId": label},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": chosen,
    }


def _shown(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    is_instant = panel.kind != "timeseries"
    targets = [
        {
            "refId": chr(ord("A") + order),
            "expr": query,
            "legendFormat": legend,
            "instant": is_instant,
            "range": not is_instant,
            "exemplar": not is_instant,
        }
        for order, (query, legend) in enumerate(panel.queries)
    ]
    bounds = {"min": 0, "max": 1} if panel.unit == "percentunit" else {"min": 0}
    return {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "type": panel.kind,
        "gridPos": place,
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": {"unit": panel.unit, **bounds}, "overrides": []},
        "targets": targets,
    }


def written() -> dict[Path, str]:
    """Answers every file with its text."""
    return {FOLDER / f"{uid}.json": json.dumps(dashboard(uid, *parts), indent=1, ensure_ascii=False) + "\n" for uid, parts in DASHBOARDS.items()}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, content in written().items():
        file.write_text(content, encoding="utf-8")
