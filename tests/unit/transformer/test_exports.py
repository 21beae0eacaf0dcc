"""The reference exports: complete, readable by spreadsheets, and holding no secret."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from services.transformer.exports import BYTE_ORDER_MARK, CHUNK_BYTES, cell, masked, not_moved, write_exports
from tests.unit.transformer.profile_account import account, mapping_for
from tests.unit.transformer.support import Snapshot


def export(snapshot: Snapshot) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    last = ""
    for name, content in write_exports(snapshot, mapping_for(snapshot)):
        assert len(content) <= CHUNK_BYTES
        assert name == last or name not in files, "the pieces of a file follow one another"
        files[name] = files.get(name, b"") + content
        last = name
    return files


def rows_of(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(BYTE_ORDER_MARK)
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return account()[0]


@pytest.fixture(scope="module")
def files(snapshot: Snapshot) -> dict[str, bytes]:
    return export(snapshot)


@pytest.mark.requirement("L-12", "SO-07")
def test_work_orders_are_written_in_full(snapshot: Snapshot, files: dict[str, bytes]) -> None:
    rows = rows_of(files["work-orders.csv"])
    assert len(rows) == snapshot.count("work_order")
    first = next(iter(snapshot.iterate("work_order")))
    row = next(row for row in rows if row["Record"] == first.source_key)
    assert row["Number"] == first.data["full-reference"]
    assert row["Date"] == first.data["date"][:10]
    assert row["State"]
    assert row["Client"]
    raw = [json.loads(line) for line in files["work-orders.jsonl"].splitlines()]
    assert [one["record"] for one in raw] == [one.source_key for one in snapshot.iterate("work_order")]
    assert raw[0]["data"]["lines"] == first.data["lines"]


@pytest.mark.requirement("L-12", "SO-09", "G-09")
def test_payments_sheet_has_every_receipt_and_refund(snapshot: Snapshot, files: dict[str, bytes]) -> None:
    rows = rows_of(files["payments.csv"])
    assert len(rows) == snapshot.count("ordinary_invoice_receipt") + snapshot.count("refund_invoice_receipt")
    assert sum(float(row["Amount"]) for row in rows) == pytest.approx(
        sum(one.data["amount"] for entity in ("ordinary_invoice_receipt", "refund_invoice_receipt") for one in snapshot.iterate(entity))
    )
    assert any("pasarela" in row["Concept"] for row in rows)


@pytest.mark.requirement("L-12", "X-04")
def test_everything_without_a_target_is_exported(snapshot: Snapshot, files: dict[str, bytes]) -> None:
    left = not_moved(mapping_for(snapshot), snapshot.entities())
    assert {"potential_client", "incident", "event", "refund_invoice"} <= set(left)
    for entity in left:
        assert len(rows_of(files[f"not-moved-{entity}.csv"])) == snapshot.count(entity)
        assert len(files[f"not-moved-{entity}.jsonl"].splitlines()) == snapshot.count(entity)


@pytest.mark.requirement("L-12", "G-04")
def test_rebuild_reference_lists_settings_by_name(files: dict[str, bytes]) -> None:
    text = files["rebuild-reference.md"].decode()
    for words in (
        "Automations",
        "## Document states",
        "En pausa",
        "## Incident types",
        "## Event types",
        "## Calendars",
        "## Recurring appointments",
        "G-04",
    ):
        assert words in text


@pytest.mark.requirement("L-12")
def test_recurring_appointments_are_recognised() -> None:
    events = [{"id": number, "subject": "Revisión", "account-id": 7, "start-date": f"2026-{number:02}-05T09:00:00+0000"} for number in range(1, 5)]
    events += [{"id": 9, "subject": "Visita", "account-id": 7, "start-date": "2026-01-05T09:00:00+0000"}]
    text = export(Snapshot({"event": events}))["rebuild-reference.md"].decode()
    assert "| Revisión | client/7 |  | 4 | 2026-01-05 | 2026-04-05 | about 31 days (not regular) |" in text
    assert "Visita" not in text


@pytest.mark.requirement("L-12", "L-01")
def test_fields_sheet_lists_the_schema(files: dict[str, bytes]) -> None:
    rows = {(row["Entity"], row["Field"]): row for row in rows_of(files["fields.csv"])}
    assert rows["client", "bank-account"]["Left out because"]
    assert "Norte" in rows["client", "custom-fields.Zona comercial"]["Values"]


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+34 600", "'+34 600"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =cmd|' /C calc'!A0", "'  =cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("-5", "-5"),
        (-5.5, "-5.5"),
        ("+34600123456", "'+34600123456"),
        ("-1.25", "-1.25"),
        ("-1_0", "'-1_0"),
        ("-inf", "'-inf"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("-a", "'-a"),
        ("plain", "plain"),
        ("株式会社", "株式会社"),
        (True, "Yes"),
        (None, ""),
        (["a", "b"], "a, b"),
        ("a\x00b", "ab"),
    ],
)
def test_cells_are_never_formulas(value: Any, expected: str) -> None:
    assert cell(value) == expected


def test_links_and_bank_details_stay_out(files: dict[str, bytes]) -> None:
    everything = b"".join(files.values())
    assert b"token=" not in everything
    assert b"ES9121" not in everything


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("pdf-path", "https://files.example/d/secret.pdf", "https://files.example/***"),
        ("website", "https://www.example.com/about", "https://www.example.com/about"),
        ("website", "https://www.example.com/?t=1", "https://www.example.com/***"),
        ("url", "https://user:pass@files.example/x", "https://files.example/***"),
        ("path", "app.stelorder.com/app/clients/1", "app.stelorder.com/app/clients/1"),
    ],
)
def test_masking(key: str, value: str, expected: str) -> None:
    assert masked({key: value, "bank-account": {"iban": "ES91"}}) == {key: expected}


def test_markdown_cannot_be_broken_out_of() -> None:
    text = export(Snapshot({"incident_type": [{"id": 1, "name": "a | b\n# <script>"}]}))["rebuild-reference.md"].decode()
    assert "a \\| b # &lt;script>" in text


def test_empty_snapshot_still_gives_the_files_with_headings() -> None:
    files = export(Snapshot())
    assert {"work-orders.csv", "work-orders.jsonl", "payments.csv", "fields.csv", "rebuild-reference.md"} <= set(files)
    assert rows_of(files["work-orders.csv"]) == []


def test_large_exports_come_in_pieces() -> None:
    snapshot = Snapshot({"incident": [{"id": number, "description": "x" * 5000} for number in range(1, 60)]})
    pieces = [name for name, _ in write_exports(snapshot, mapping_for(snapshot)) if name == "not-moved-incident.jsonl"]
    assert len(pieces) > 3
    assert len(export(snapshot)["not-moved-incident.jsonl"].splitlines()) == 59
