"""Tables of the messages people look at most: migrations, sums, audit report, plan, record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from transload.cli import output
from transload.cli.progress import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from transload.v1 import migration_service_pb2 as pb
    from transload.v1.transformer_service_pb2 import MappingFinding

# What is read first comes first; sections and columns not named follow in their own order.
REPORT_SECTIONS = (
    "summary",
    "source_budget",
    "extraction",
    "extraction_problems",
    "remarks",
    "entities",
    "status_distribution",
    "owners",
    "data_quality",
)
REPORT_COLUMNS = ("entity", "field", "state", "check", "records", "label", "to_move", "owner", "pipedrive_user", "samples")
SCHEMA_SECTION = "schema"
STATE_COLUMNS = ("extracted", "loaded", "matched", "skipped", "rejected", "waiting", "pending")


def migrations_table(migrations: Iterable[pb.Migration]) -> Table:
    """One line per migration."""
    rows = [
        (
            migration.migration_id,
            output.enum_word(migration, "state"),
            f"{migration.connector}: {migration.source_connection} → {migration.target_connection}",
            describe(migration),
            migration.open_review_count,
        )
        for migration in migrations
    ]
    return output.table("", ("migration", "state", "from → to", "doing", "in review"), rows, right_from=4)


def summary_table(summary: pb.Summary) -> Table:
    """X-04: per source entity extracted = loaded + matched + skipped + rejected + waiting (+ pending)."""
    rows = [
        (
            entity.source_entity + (" (look-up)" if entity.is_reference_data else ""),
            *(getattr(entity, f"{column}_count") for column in STATE_COLUMNS),
        )
        for entity in summary.entities
    ]
    totals = [sum(int(row[index]) for row in rows) for index in range(1, len(STATE_COLUMNS) + 1)]
    footer = ("sum", *(f"{total:,}" for total in totals))
    return output.table("Source records", ("entity", *STATE_COLUMNS), rows, right_from=1, footer=footer)


def targets_table(summary: pb.Summary) -> Table:
    """What stands in Pipedrive, per target entity."""
    columns = ("expected", "loaded", "matched", "skipped", "rejected", "waiting", "undone", "pending")
    rows = [(target.target_entity, *(getattr(target, f"{column}_count") for column in columns)) for target in summary.targets]
    return output.table("Records in Pipedrive", ("target", *columns), rows, right_from=1)


def tokens_line(summary: pb.Summary) -> str:
    """What was spent, and how sample and load keep to their plan."""
    line = f"{summary.token_count:,} Pipedrive tokens spent"
    if not summary.planned_token_count:
        return line
    line += f", {summary.load_token_count:,} of them by sample and load, for which {summary.planned_token_count:,} were planned"
    if not summary.load_token_count:
        return line
    return f"{line} ({summary.load_token_count / summary.planned_token_count - 1:+.1%})"


def sums_agree(summary: pb.Summary) -> bool:
    """Whether every entity's sums add up and nothing is pending."""
    return all(
        entity.extracted_count
        == entity.loaded_count + entity.matched_count + entity.skipped_count + entity.rejected_count + entity.waiting_count + entity.pending_count
        and entity.pending_count == 0
        for entity in summary.entities
    )


RESULTS = ("created", "updated", "unchanged", "matched", "merged", "deleted", "waiting", "rejected")
CONFLICTS = ("conflict_source", "conflict_target", "conflict_ask")
GONE = ("gone_keep", "gone_flag", "gone_ask", "gone_delete")


def results_table(latest: pb.Run) -> Table:
    """What a run brought about, per target entity; conflicts are counted by field."""
    columns = (*RESULTS, *CONFLICTS, *GONE)
    counts: dict[str, dict[str, int]] = {}
    for result in latest.results:
        counts.setdefault(result.target_entity, {})[result.result] = result.count
    shown = [column for column in columns if column in RESULTS[:3] or any(column in own for own in counts.values())]
    rows = [(entity, *(own.get(column, 0) for column in shown)) for entity, own in counts.items()]
    totals = [sum(own.get(column, 0) for own in counts.values()) for column in shown]
    heads = [column.replace("conflict_", "conflicts: ").replace("gone_", "gone: ") for column in shown]
    return output.table("What became of it", ("target", *heads), rows, right_from=1, footer=("sum", *(f"{total:,}" for total in totals)))


def findings_table(findings: Iterable[MappingFinding]) -> Table:
    """What the mapping linter says."""
    rows = [(output.enum_word(finding, "severity"), finding.requirement, finding.path, finding.message) for finding in findings]
    return output.table("Findings", ("severity", "id", "where", "what"), rows)


def review_table(items: Iterable[pb.ReviewItem]) -> Table:
    """Review items, one line each."""
    rows = [
        (
            item.review_item_id,
            item.reason,
            item.source_key,
            "waits" if item.is_blocking else "flag",
            item.message,
            item.resolution or " | ".join(item.resolutions),
        )
        for item in items
    ]
    return output.table("Review", ("id", "reason", "record", "", "what", "resolution"), rows)


def plan_table(plan: pb.PlanRollbackResponse) -> Table:
    """The steps of a rollback."""
    rows = [
        (output.enum_word(step, "phase"), step.target_entity, step.delete_count, step.restore_count, step.token_count, step.read_token_count)
        for step in plan.steps
    ]
    sums = (sum(step.delete_count for step in plan.steps), sum(step.restore_count for step in plan.steps))
    footer = ("sum", "", *sums, plan.token_count, sum(step.read_token_count for step in plan.steps))
    columns = ("phase", "target", "delete", "restore", "tokens", "of them reading")
    return output.table("Rollback plan", columns, rows, right_from=2, footer=footer)


def rollback_sentences(plan: pb.PlanRollbackResponse) -> list[str]:
    """What the table of a rollback plan does not say."""
    lines = []
    if plan.load_token_count:
        part = plan.token_count / plan.load_token_count
        lines.append(f"{plan.token_count:,} tokens, {part:.0%} of the {plan.load_token_count:,} that were spent on loading.")
    if plan.day_count:
        days = "within the day" if plan.day_count == 1 else f"on {plan.day_count:,} days"
        lines.append(f"With the whole daily budget it is done {days}; the calls take {plan.seconds_at_least / 60:.0f} min at least.")
    if plan.in_doubt_count:
        lines.append(f"{plan.in_doubt_count:,} records have no known outcome yet; they are looked up first.")
    if plan.kept_count:
        lines.append(f"{plan.kept_count:,} records that were kept because of people's edits are deleted, too.")
    if plan.outside_count:
        lines.append(f"{plan.outside_count:,} records that stay refer to something taken back; `transload rollback --kept` lists them afterwards.")
    return lines


def rollback_result(migration: pb.Migration, plan: pb.PlanRollbackResponse) -> list[str]:
    """What a rollback cost, beside its plan and the load, and whether something was kept."""
    spent = migration.latest_run.token_count
    words = f"Spent {spent:,} tokens"
    if planned := migration.latest_run.planned_token_count:
        words += f", {(spent - planned) / planned:+.1%} against the plan"
    if plan.load_token_count:
        words += f", {spent / plan.load_token_count:.1%} of what was spent on loading"
    lines = [f"{words}."]
    if migration.kept_count:
        lines.append(f"{migration.kept_count:,} records were kept because of people's edits: `transload rollback --kept` lists them.")
    return lines


def kept_table(records: Iterable[pb.KeptRecord]) -> Table:
    """What rollbacks kept, one line each."""
    rows = [(one.key, one.target_id, one.reason, ", ".join(one.fields), one.message) for one in records]
    return output.table("Kept in Pipedrive", ("record", "id", "why", "fields", "what"), rows)


def print_report(report: dict[str, Any]) -> None:
    """The audit report, section by section, as far as tables serve; `--json` has all of it."""
    for section in _in_order(report, REPORT_SECTIONS):
        content = report[section]
        if section == SCHEMA_SECTION:
            output.stdout.print(
                f"Fields: {sum(map(len, content.values())):,} in {len(content):,} entities; see --json or the reference export", markup=False
            )
            continue
        if isinstance(content, dict) and content and all(isinstance(value, dict) for value in content.values()):
            columns = _in_order(
                {key: None for value in content.values() for key, entry in value.items() if not isinstance(entry, dict | list)}, REPORT_COLUMNS
            )
            if columns:
                rows = [(name, *(value.get(column, "") for column in columns)) for name, value in content.items()]
                output.stdout.print(output.table(_title(section), ("", *columns), rows))
        elif isinstance(content, list) and content and all(isinstance(entry, dict) for entry in content):
            columns = _in_order({key: None for entry in content for key in entry}, REPORT_COLUMNS)
            rows = [tuple(_compact(entry.get(column, "")) for column in columns) for entry in content]
            output.stdout.print(output.table(_title(section), columns, rows))
        elif isinstance(content, dict):
            output.stdout.print(output.table(_title(section), ("", ""), [(name, _compact(value)) for name, value in content.items()]))
        else:
            output.stdout.print(f"{_title(section)}: {_compact(content)}", markup=False)


def print_record(record: pb.GetRecordResponse) -> None:
    """The whole journey of one record: source, pages, mapped values, calls, outcomes, events."""
    output.stdout.print(f"Source record {record.source_key}: {record.source_state}", markup=False)
    page_rows = [(page.page_id, page.record_count, page.digest[:16], page.read_time.ToJsonString()) for page in record.pages]
    output.stdout.print(output.table("Read in", ("page", "records", "digest", "time"), page_rows))
    for lineage in record.lineage:
        field_rows = [
            (
                field.label or field.target_field,
                field.source_path,
                _json_text(field.source_value_json),
                _json_text(field.mapped_value_json),
                field.rule,
            )
            for field in lineage.fields
        ]
        title = f"{lineage.key}" + (f" · {lineage.reason}: {lineage.message}" if lineage.reason else "")
        output.stdout.print(output.table(title, ("target field", "from", "source value", "mapped value", "rule"), field_rows))
    record_rows = [(view.key, view.state, view.target_id, view.reason, view.message) for view in record.records]
    output.stdout.print(output.table("In Pipedrive", ("record", "state", "id", "reason", "message"), record_rows))
    event_rows = [
        (event.sequence, event.event_time.ToJsonString(), event.kind, event.actor, event.target_id, event.result, _details(event.payload_json))
        for event in record.events
    ]
    output.stdout.print(output.table("Events", ("#", "time", "kind", "actor", "target id", "result", "details"), event_rows))
    if record.review_items:
        output.stdout.print(review_table(record.review_items))


def _in_order(names: Iterable[str], first: Sequence[str]) -> list[str]:
    """Names with the given ones first."""
    present = list(names)
    return [name for name in first if name in present] + [name for name in present if name not in first]


def _details(payload_json: bytes) -> str:
    """What an event's payload says in a few lines: the fields a decision is about and who decided, a merge, the Pipedrive calls."""
    payload = json.loads(payload_json) if payload_json else {}
    if not isinstance(payload, dict):
        return ""
    lines = []
    if payload.get("fields"):
        lines.append(", ".join(payload["fields"]) + (f" (by {payload['by']})" if payload.get("by") else ""))
    if payload.get("to_target_id"):
        lines.append(f"{payload.get('from_target_id')} merged into {payload['to_target_id']}")
    if payload.get("policy"):
        lines.append(f"policy {payload['policy']}")
    for one in payload.get("candidates", []):
        name = f"{one.get('target_id') or one.get('candidate')} “{one.get('title', '')}”"
        lines.append(f"{name} {one.get('score', 0):.2f}: {', '.join(one.get('reasons', []))}")
    calls = payload.get("calls", [])
    lines.extend(f"{call.get('method')} {call.get('path')} → {call.get('status')} ({call.get('token_count')} tokens)" for call in calls)
    return "\n".join(lines)


def _title(section: str) -> str:
    return section.replace("_", " ").capitalize()


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _json_text(content: bytes) -> str:
    return content.decode("utf-8", "replace")
