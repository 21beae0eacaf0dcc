"""A bundle that cannot be read as it is: said with what decides, before and in the audit, which goes on once a person has decided."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from sandbox.bundles import hostile
from tests.e2e.harness import Installation, Rehearsal, installation
from transload.cli.main import app
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SIZE = 8
ZONE = "America/New_York"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("bundles")) as installed:
        yield installed


def export_of(rehearsal: Rehearsal) -> Path:
    """The one export that was delivered."""
    (export,) = rehearsal.bundles.folder.iterdir()
    return export


def check(rehearsal: Rehearsal) -> tuple[int, list[dict[str, object]]]:
    """Run `transload source check` against the extractor of the stack."""
    address = rehearsal.installation.stack.addresses["extractor"]
    arguments = ["source", "check", "--from", "results", "--source", f"{rehearsal.migration_id}-source", "--extractor", address, "--json"]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, json.loads(result.stdout)["findings"]


def rows_of(export: Path, table: str) -> int:
    (place,) = export.rglob(f"{table}.csv")
    text = place.read_bytes().decode("utf-8-sig", "replace")
    delimiter = "\t" if "\t" in text.splitlines()[0] else ","
    return sum(1 for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if any(row)) - 1


@pytest.mark.requirement("L-01", "L-06", "X-04")
async def test_an_audit_that_asks_goes_on_when_it_is_answered(installed: Installation) -> None:
    async with installed.rehearsal(connector="results", size=SIZE) as rehearsal:
        export = export_of(rehearsal)
        (export / "manifest.json").unlink()
        status, found = await asyncio.to_thread(check, rehearsal)
        assert status == 1
        assert {one["option"] for one in found if one["severity"] == "stop" and not one.get("entity")} == {"time_zone"}
        await rehearsal.start("audit")
        asked = await rehearsal.finish()
        assert asked.pause_kind == pb.PAUSE_KIND_ERROR
        assert "time_zone" in asked.pause_message

        layout = export / "layout.yaml"
        layout.write_text(f"formats: {{time_zone: {ZONE}, date_order: mdy}}\n")
        await rehearsal.client.resume(rehearsal.migration_id)
        rehearsal.expect_success(await rehearsal.finish(), "audit")
        audit = json.loads(await rehearsal.client.get_audit(rehearsal.migration_id))
        told = {row["check"] for row in audit["data_quality"] if row.get("severity")}
        assert "time zone missing" not in told
        assert told
        summary = await rehearsal.summary()
        counts = {one.source_entity: one.extracted_count for one in summary.entities}
        for entity, table in (("company", "contacts"), ("contact", "associates"), ("deal", "opportunities"), ("activity", "activities")):
            assert counts[entity] == rows_of(export, table), entity


@pytest.mark.requirement("X-08")
async def test_a_zip_that_leads_out_is_never_read(installed: Installation) -> None:
    async with installed.rehearsal(connector="results", size=SIZE) as rehearsal:
        table = b"Contact ID,Contact Name\n1,Ann\n"
        hostile.zip_with(rehearsal.bundles.folder / "results-export-20270101-0900.zip", {"contacts.csv": table, "../../evil.csv": table})
        await rehearsal.start("audit")
        refused = await rehearsal.finish()
        assert refused.pause_kind == pb.PAUSE_KIND_ERROR
        assert "leads out" in refused.pause_message
