"""The Results layout against generated bundles: everything is read, in every form it is exported in, and nothing is taken for something else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.bundles.writer import BundleWriter
from sandbox.results.build import Account, Plan, key_of
from sandbox.results.generator import generate
from sandbox.results.schema import COLUMNS
from sandbox.results.writing import write_bundle
from services.common.connections import Connection
from services.extractor.connector import START, ConnectorContext, EntityMalformedError, RawRecord
from services.extractor.connectors.results.connector import Results
from tests.fakes.clock import FakeClock
from tests.fixtures.bundle.toy import EVERYTHING, Frozen, NoGate

TABLES = {
    "user": "users",
    "lookup": "lookups",
    "user_defined_field": "user_defined_fields",
    "stage": "opportunity_stages",
    "quickbooks_customer": "quickbooks/customers",
    "company": "contacts",
    "contact": "associates",
    "product": "products",
    "deal": "opportunities",
    "project": "projects",
    "document": "documents",
    "document_line": "document_lines",
    "payment": "payments",
    "activity": "activities",
    "job": "field_service/jobs",
    "attachment": "attachments",
    "media": "field_service/media",
}


@asynccontextmanager
async def results(place: Path, frozen: Frozen | None = None, **options: Any) -> AsyncIterator[Results]:
    """Open a bundle."""

    def no_client(headers: Mapping[str, str], *, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:
        raise AssertionError("a bundle needs no network")

    context = ConnectorContext(Connection("source", str(place)), options, NoGate(), frozen or Frozen(), FakeClock(), no_client)
    async with Results.connect(context) as connector:
        yield connector


async def read(place: Path, **options: Any) -> dict[str, list[RawRecord]]:
    """Read everything."""
    async with results(place, **options) as connector:
        return {
            entity.name: [record async for page in connector.read(entity.name, START, EVERYTHING) for record in page.records]
            for entity in Results.entities
        }


def account(size: int = 30) -> Account:
    return generate(Plan(seed=3, size=size))


@pytest.mark.requirement("RS-01", "RS-02", "D-05", "L-06")
async def test_every_row_of_every_file_is_read_once(tmp_path: Path) -> None:
    made = account()
    found = await read(write_bundle(made, BundleWriter(tmp_path / "b")))
    assert set(TABLES) | {"bundle_finding"} == set(found)
    assert set(TABLES.values()) == set(COLUMNS)
    for entity, table in TABLES.items():
        assert [record.source_id for record in found[entity]] == [key_of(table, row) for row in made.tables[table]], table
    stops = [record.data for record in found["bundle_finding"] if record.data.get("severity") == "stop"]
    assert stops == []


@pytest.mark.requirement("X-05", "RS-06")
@pytest.mark.parametrize("form", ["zip", "xlsx"])
async def test_packed_or_as_workbooks_it_is_the_same(tmp_path: Path, form: str) -> None:
    made = account(14)
    plain = await read(write_bundle(made, BundleWriter(tmp_path / "plain")))
    other = await read(write_bundle(made, BundleWriter(tmp_path / "other", is_zip=form == "zip", is_xlsx=form == "xlsx")))
    for entity in TABLES:
        for one, two in zip(plain[entity], other[entity], strict=True):
            assert (one.source_id, one.is_archived) == (two.source_id, two.is_archived)
            assert flat(two.data) == flat(one.data), (entity, one.source_id)


def flat(data: Any) -> dict[str, Any]:
    """Write own fields as text: workbooks hold them typed, tables of text only where the column proves it."""
    own = {f"{group}.{name}": as_text(value) for group in ("properties", "other_columns") for name, value in (data.get(group) or {}).items()}
    return {name: value for name, value in data.items() if name not in {"properties", "other_columns"}} | own


def as_text(value: object) -> str:
    words = {"true": "Yes", "false": "No"}
    written = f"{value:g}" if isinstance(value, float) else str(value)
    return words.get(written.casefold(), written)


@pytest.mark.requirement("RS-05")
@pytest.mark.parametrize("heads", ["Outcome,Disposition", "Disposition,Outcome"])
async def test_an_export_with_outcome_and_disposition_loses_neither(tmp_path: Path, heads: str) -> None:
    place = write_bundle(account(14), BundleWriter(tmp_path / "b"))
    (place / "activities.csv").write_text(f"Activity ID,Subject,{heads}\n1,Call,Reached,Sold\n", encoding="utf-8")
    async with results(place) as connector:
        pages = [page async for page in connector.read("activity", START, EVERYTHING)]
    (activity,) = [record for page in pages for record in page.records]
    first, second = heads.split(",")
    said = {first: "Reached", second: "Sold"}
    assert activity.data["outcome"] == said["Outcome"]
    assert activity.data["other_columns"] == {"Disposition": said["Disposition"]}, "it stands in the note, under its own name"


@pytest.mark.requirement("D-05")
async def test_a_file_of_persons_is_never_taken_for_companies(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "contacts.csv").write_text(
        "Contact ID,First Name,Last Name,Company,Email\n1,Ann,Baker,Baker Inc.,ann@baker.example\n", encoding="utf-8"
    )
    (folder / "companies.csv").write_text("Contact ID,Contact Name\n7,Baker Inc.\n", encoding="utf-8")
    async with results(folder, time_zone="UTC") as connector:
        with pytest.raises(EntityMalformedError, match="Contact Name"):
            _ = [page async for page in connector.read("company", START, EVERYTHING)]
    (folder / "layout.yaml").write_text(
        "entities:\n  company: {source_name: companies}\n"
        "  contact: {source_name: contacts, columns: {contact_id: {heads: [Contact ID]}, company_id: {heads: [Company ID]}}}\n",
        encoding="utf-8",
    )
    found = await read(folder, time_zone="UTC")
    assert [record.data["name"] for record in found["company"]] == ["Baker Inc."]
    assert [record.data["last_name"] for record in found["contact"]] == ["Baker"]


@pytest.mark.requirement("G-12", "RS-08")
async def test_photos_signatures_and_files_of_the_share_are_found(tmp_path: Path) -> None:
    made = account()
    place = write_bundle(made, BundleWriter(tmp_path / "b"))
    found = await read(place)
    async with results(place) as connector:
        for entity in ("media", "attachment"):
            for record in found[entity]:
                if record.source_id in made.defects_of("file_missing"):
                    continue
                assert record.link is not None
                async with connector.open_file(record.link) as file:
                    assert await anext(aiter(file.chunks))
    on_share = made.defects_of("file_on_share")
    assert on_share
    assert {record.data["owner_entity"] for record in found["media"]} == {"job"}
    assert {record.data["owner_entity"] for record in found["attachment"]} >= {"company", "contact", "deal", "project"}


@pytest.mark.requirement("X-05")
async def test_odd_values_are_read_as_what_they_mean(tmp_path: Path) -> None:
    made = account()
    found = await read(write_bundle(made, BundleWriter(tmp_path / "b")))
    companies = {record.source_id: record.data for record in found["company"]}
    for row in made.tables["contacts"]:
        assert companies[row["Contact ID"]].get("balance") == (None if row["Balance"] is None else float(row["Balance"]))
    assert any(one.get("balance", 0) < 0 for one in companies.values()), "(120.00) is a negative amount"
    for contact_id in made.defects_of("empty_date"):
        if contact_id in companies:
            assert "Contract Renewal" not in companies[contact_id].get("properties", {}), "12/30/1899 is no date"
    assert {record.source_id: record.data.get("probability") for record in found["stage"]}["New Business/Proposal"] == 60
    years = {record.data["date"][:4] for record in found["payment"]}
    assert years <= {"2024", "2025", "2026"}, "two digits of a year are told by the layout"
