"""What a customer gets to read and to decide on: the scope, the workbook out and back in, the reference documents. By the `transload` command."""

import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from openpyxl import load_workbook

from tests.e2e.harness import Rehearsal, installation
from tests.e2e.test_command_line import Command
from tests.e2e.workbooks import edit_workbook
from transload.scope import digest_of

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@dataclass(slots=True)
class Papers:
    """An audited account with everything written of it, then a workbook that was edited, imported and followed up to the sample."""

    folder: Path
    scope: dict[str, Any]
    page: str
    audit: dict[str, Any]
    exported: dict[str, Any]
    unchanged: dict[str, Any]
    refused: dict[str, Any]
    refused_text: str
    version_after_refusal: int
    tried: dict[str, Any]
    imported: dict[str, Any]
    again: str
    before: dict[str, Any]
    after: dict[str, Any]
    scope_after: dict[str, Any]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def papers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Papers]:
    folder: Path = tmp_path_factory.mktemp("papers")
    async with installation(folder) as installed, installed.rehearsal(source=("--clients", "12"), sample_size=60) as rehearsal:
        await rehearsal.step("audit")
        command = Command(installed.stack.addresses["ledger"], folder, rehearsal.migration_id)
        scope = await command.data("scope", "--html", str(folder / "scope.html"))
        await command.text("export", "--out", str(folder / "export"))
        workbook = folder / "mapping.xlsx"
        exported = await command.data("mapping", "export-workbook", str(workbook))
        unchanged = await command.data("mapping", "import-workbook", str(workbook))
        wrong = folder / "wrong.xlsx"
        edit_workbook(workbook, wrong, WRONG)
        refused = json.loads((await command.text("mapping", "import-workbook", str(wrong), "--json", exit_status=1)).strip())
        refused_text = await command.text("mapping", "import-workbook", str(wrong), exit_status=1)
        version = (await command.data("mapping", "show"))["version"]
        edited = folder / "edited.xlsx"
        edit_workbook(workbook, edited, EDITS)
        tried = await command.data("mapping", "import-workbook", str(edited), "--dry-run")
        imported = await command.data("mapping", "import-workbook", str(edited))
        again = await command.text("mapping", "import-workbook", str(edited), exit_status=1)
        before = json.loads(await rehearsal.pipedrive.export())["state"]
        yield Papers(
            folder=folder,
            scope=scope,
            page=(folder / "scope.html").read_text(encoding="utf-8"),
            audit=await command.data("audit", "show"),
            exported=exported,
            unchanged=unchanged,
            refused=refused,
            refused_text=refused_text,
            version_after_refusal=version,
            tried=tried,
            imported=imported,
            again=again,
            before=before,
            after=await _load_a_sample(rehearsal),
            scope_after=await command.data("scope"),
        )


WRONG = {
    ("Policies", "deal_value", "Value"): "sometimes",
    ("Policies", "archived", "Value"): "load",
    ("Pipelines", "pipeline/quotes", "Name"): '=HYPERLINK("http://example.com")',
    ("Owners", "9", "E-mail"): "nobody@example.com",
}
EDITS = {
    ("Policies", "deal_value", "Value"): "every",
    ("Pipelines", "pipeline/quotes", "Name"): "Offers",
    ("Custom fields", "organization.tax_id", "Name"): "NIF",
    ("Custom fields", "organization.fax", "Decision"): "leave",
    ("Fields", "entities.client.targets[0].custom.phone2", "Decision"): "leave",
    ("Owners", "9", "E-mail"): "mateo.ruiz@example.com",
}


async def _load_a_sample(rehearsal: Rehearsal) -> dict[str, Any]:
    await rehearsal.confirm()
    await rehearsal.step("schema")
    await rehearsal.step("sample")
    state: dict[str, Any] = json.loads(await rehearsal.pipedrive.export())["state"]
    return state


@pytest.mark.requirement("L-01", "G-05")
async def test_the_scope_agrees_with_the_audit_and_its_own_sums(papers: Papers) -> None:
    scope, audit = papers.scope, papers.audit
    assert scope["summary"]["records"] + scope["summary"]["looked_up"] == audit["summary"]["records"]
    assert scope["summary"]["looked_up"] == sum(row["records"] for row in scope["looked_up"]) > 0
    assert scope["summary"]["moving"] == audit["summary"]["to_move"] == sum(row["moves"] for row in scope["moves"])
    kinds = [row["entity"] for name in ("moves", "stays", "looked_up") for row in scope[name] if row["records"]]
    assert sorted(kinds) == sorted(entity for entity, row in audit["entities"].items() if row["records"])
    assert len(scope["data_quality"]) == audit["summary"]["quality_findings"] > 0
    assert all(finding["advice"] and finding["samples"] for finding in scope["data_quality"])
    assert scope["head_room"]["custom_fields"]["needed"] >= scope["summary"]["new_fields"] > 50
    assert {row["state"] for row in scope["owners"]} >= {"matched", "unmatched"}
    assert scope["plan"]
    assert scope["assumptions"]
    assert [row["state"] for row in scope["steps"]][:3] == ["done", "next", "to come"]
    assert scope["digest"] == digest_of(scope)


@pytest.mark.requirement("L-01")
async def test_the_page_is_complete_and_self_contained(papers: Papers) -> None:
    text = html.unescape(papers.page)
    for row in papers.scope["moves"]:
        assert not row["records"] or row["label"] in text
    for finding in papers.scope["data_quality"]:
        assert finding["advice"] in text
    assert papers.scope["digest"] in text
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", papers.page)
    assert "<script" not in papers.page


@pytest.mark.requirement("L-02")
async def test_a_workbook_that_was_not_edited_changes_nothing(papers: Papers) -> None:
    assert papers.exported["sheets"]["Fields"] > 100
    assert (papers.unchanged["changes"], papers.unchanged["problems"], papers.unchanged["stored_version"]) == ([], [], None)


@pytest.mark.requirement("L-02")
async def test_errors_are_named_by_cell_and_nothing_is_stored(papers: Papers) -> None:
    found = {problem["sheet"]: problem for problem in papers.refused["problems"]}
    assert found["Policies"]["allowed"] == ["chain_end", "every"]
    assert re.fullmatch(r"C\d+", found["Policies"]["cell"])
    assert "formula" in found["Pipelines"]["message"]
    assert "nobody@example.com" in found["Owners"]["message"]
    assert "nothing was stored" in papers.refused_text
    assert papers.version_after_refusal == 1


@pytest.mark.requirement("L-02")
async def test_an_edited_workbook_is_shown_as_a_diff_and_stored_once(papers: Papers) -> None:
    changed = {(one["sheet"], one["row"], one["column"]): one["new"] for one in papers.tried["changes"]}
    assert changed == EDITS
    assert papers.tried["stored_version"] is None
    assert papers.imported["stored_version"] == 2
    assert "version 1 of the mapping, and the latest is 2" in papers.again


@pytest.mark.requirement("L-02", "L-05", "X-03")
async def test_decisions_of_the_workbook_are_what_stands_in_pipedrive(papers: Papers) -> None:
    before, after = ({one["name"] for one in state["pipelines"]} for state in (papers.before, papers.after))
    assert after - before == {"Offers", "STEL Orders", "STEL Work Orders", "STEL Invoices"}
    fields = {one["field_name"]: one["field_code"] for one in papers.after["fields"] if one["entity"] == "organization"}
    assert "NIF" in fields
    assert {"STEL Tax ID", "STEL Fax"} & fields.keys() == set()
    organizations = papers.after["organizations"]
    assert any(one["custom_fields"].get(fields["NIF"]) for one in organizations)
    assert not any(one["custom_fields"].get(fields["STEL Phone 2"]) for one in organizations)
    assert any(one["custom_fields"].get(fields["STEL Phone"]) for one in organizations)


@pytest.mark.requirement("L-01")
async def test_the_scope_follows_the_mapping(papers: Papers) -> None:
    assert papers.scope_after["migration"]["mapping_version"] == 2
    assert papers.scope_after["digest"] != papers.scope["digest"]
    assert {one["decision"]: one["value"] for one in papers.scope_after["policies"]}["deal_value"] == "every"
    assert [row["state"] for row in papers.scope_after["steps"]][:5] == ["done", "done", "done", "done", "next"]


@pytest.mark.requirement("L-12", "G-04")
async def test_reference_documents_can_be_read_and_used(papers: Papers) -> None:
    folder = papers.folder / "export"
    page = html.unescape((folder / "index.html").read_text(encoding="utf-8"))
    tables = {path.name: list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))) for path in folder.glob("*.csv")}
    assert {"work-orders.csv", "payments.csv", "fields.csv", "recurring-appointments.csv"} <= set(tables)
    for name, rows in tables.items():
        assert name in page
        assert f"{len(rows) - 1:,} rows in" in page
    assert "Automations: STEL Order's interface does not show" in page
    assert "Document states" in page
    book = load_workbook(folder / "reference-export.xlsx", read_only=True)
    rows = [[str(cell or "") for cell in row] for row in book["Work orders"].iter_rows(values_only=True)]
    assert [row[:2] for row in rows] == [row[:2] for row in tables["work-orders.csv"]]
