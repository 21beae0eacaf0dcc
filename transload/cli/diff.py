"""`transload diff`: the sample, field by field, in the terminal, as JSON, and as a page for the person who signs (L-08, L-09)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from jinja2 import Environment, PackageLoader, select_autoescape

from transload.cli import output
from transload.cli.session import AddressOption, JsonOption, MigrationOption, connect_migration, run
from transload.client import Client
from transload.v1 import migration_service_pb2 as pb

VERDICT_WORDS = {
    pb.DIFF_VERDICT_SAME: "same",
    pb.DIFF_VERDICT_DIFFERENT: "different",
    pb.DIFF_VERDICT_MISSING: "missing",
    pb.DIFF_VERDICT_UNMAPPED: "unmapped",
    pb.DIFF_VERDICT_LEFT: "left",
}

CAPTION_FIELDS = frozenset({"name", "title", "subject"})
CAPTION_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class SampleDiff:
    """The whole diff of a sample; a sample is at most some hundred source records, so it fits in memory."""

    migration: pb.Migration
    mapping_digest: str
    diff_digest: str
    coverage: tuple[str, ...]
    field_count: int
    different_count: int
    records: tuple[pb.DiffRecord, ...]


async def fetch(client: Client, migration_id: str) -> SampleDiff:
    """Reads the diff of the last sample page by page."""
    migration = await client.get_migration(migration_id)
    pages = [page async for page in client.iterate_diff(migration_id)]
    first = pages[0]
    return SampleDiff(
        migration=migration,
        mapping_digest=first.mapping_digest,
        diff_digest=first.diff_digest,
        coverage=tuple(first.coverage),
        field_count=first.field_count,
        different_count=first.different_count,
        records=tuple(record for page in pages for record in page.records),
    )


def diff(
    *,
    html: Annotated[Path | None, typer.Option("--html", help="Write a self-contained page for the person who signs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every field, not only those that differ.")] = False,
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Show the diff of the last sample: source value, target field, value read back from Pipedrive."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            sample = await fetch(client, migration_id)
        if html:
            html.parent.mkdir(parents=True, exist_ok=True)
            html.write_text(render_html(sample), encoding="utf-8")
            output.stderr.print(f"Written to {html}", markup=False)
        if json_output:
            output.print_json(as_data(sample))
        elif not html:
            print_diff(sample, everything=everything)

    run(act())


def as_data(sample: SampleDiff) -> dict[str, Any]:
    """The diff as plain data."""
    return {
        "migration_id": sample.migration.migration_id,
        "mapping_digest": sample.mapping_digest,
        "diff_digest": sample.diff_digest,
        "coverage": list(sample.coverage),
        "field_count": sample.field_count,
        "different_count": sample.different_count,
        "records": [output.as_data(record) for record in sample.records],
    }


def print_diff(sample: SampleDiff, *, everything: bool) -> None:
    """The diff for a terminal: a line per record, its fields below."""
    rows = []
    for record in sample.records:
        shown = [field for field in record.fields if everything or field.verdict != pb.DIFF_VERDICT_SAME]
        if not shown and not everything and not record.message:
            continue
        rows.append((record.source_key, record.key, record.state, record.target_id, record.message, "", ""))
        rows.extend(
            (
                "",
                f"  {field.label or field.target_field}",
                VERDICT_WORDS.get(field.verdict, ""),
                field.source_path,
                _text(field.source_value_json),
                _text(field.mapped_value_json),
                _text(field.target_value_json),
            )
            for field in shown
        )
    if rows:
        columns = ("source", "record / field", "verdict", "id / from", "source value", "mapped", "in Pipedrive")
        output.stdout.print(output.table("", columns, rows))
    counts = Counter(record.state for record in sample.records)
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
    output.stdout.print(f"{len(sample.records):,} records ({states}); {sample.field_count:,} fields compared, {sample.different_count:,} differ")
    for line in sample.coverage:
        output.stdout.print(f"  {line}", markup=False)
    output.stdout.print(
        f"Look at all of it: transload diff --html diff.html\nApprove it:        transload approve --diff {sample.diff_digest}", markup=False
    )


def render_html(sample: SampleDiff) -> str:
    """One page with everything in it: no scripts, styles or pictures from elsewhere; every value escaped."""
    environment = Environment(loader=PackageLoader("transload.cli", "templates"), autoescape=select_autoescape(default=True, default_for_string=True))
    environment.filters["plain"] = _text
    environment.filters["caption"] = _caption
    by_entity = Counter(record.target_entity or record.source_key.partition("/")[0] for record in sample.records)
    return environment.get_template("diff.html.j2").render(
        sample=sample,
        verdicts=VERDICT_WORDS,
        by_entity=sorted(by_entity.items()),
        open_records=sum(not record.target_id for record in sample.records),
        state=output.enum_word(sample.migration, "state"),
    )


def _caption(record: pb.DiffRecord) -> str:
    """What a person calls the record: its name, title or subject."""
    for field in record.fields:
        if field.target_field in CAPTION_FIELDS and field.mapped_value_json:
            text = _text(field.mapped_value_json)
            return text if len(text) <= CAPTION_CHARACTERS_MAX else text[:CAPTION_CHARACTERS_MAX] + "…"
    return ""


def _text(content: bytes) -> str:
    """A JSON value as a person reads it: strings without quotes, the rest as JSON, nothing as an empty string."""
    if not content:
        return ""
    value = json.loads(content)
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
