"""The quality check finds what is wrong, names it by key, and finds nothing where nothing is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from services.extractor.connectors.stel_order.entities import BY_SOURCE_NAME
from services.transformer.mapping.reading import connector_mapping_text, load_mapping
from services.transformer.quality import QualityCheck, date_format
from services.transformer.sums import wrong_sum
from tests.unit.transformer.profile_account import account, mapping_for
from tests.unit.transformer.support import Snapshot

CREATED = "creation-date"


def check(records: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    snapshot = Snapshot(dict(records))
    with QualityCheck(mapping_for(snapshot), snapshot) as quality:
        for entity in snapshot.entities():
            for envelope in snapshot.iterate(entity):
                quality.take(envelope)
        return quality.findings()


def found(records: dict[str, list[dict[str, Any]]], words: str) -> list[str]:
    return [key for row in check(records) if words in row["check"] for key in row["samples"]]


CLIENT: dict[str, Any] = {"legal-name": "Aceros SA", "email": "info@aceros.example", "phone": "600 123 123"}

# Deliberate defects of generated accounts, and the words of the finding that must name them.
DEFECTS = {
    "name_too_long": "name too long",
    "name_missing": "name missing",
    "email_invalid": "invalid e-mail",
    "mixed_date_format": "date written as",
    "contact_without_account": "contact without client",
    "contact_of_missing_client": "contact without client",
    "contact_of_deleted_client": "contact without client",
    "asset_without_account": "asset without client",
    "asset_of_missing_client": "asset without client",
    "duplicate_reference": "duplicate",
    "broken_date": "broken date",
    "unknown_state": "unknown state",
    "document_without_client": "document without client",
    "document_of_missing_client": "document without client",
    "missing_parent": "predecessor is missing",
    "currency_differs_from_parent": "currency differs",
    "sums_do_not_recompute": "sums do not recompute",
    "receipt_of_missing_invoice": "payment without invoice",
}


@pytest.mark.requirement("L-01", "L-16")
def test_every_deliberate_defect_of_an_account_is_found_by_key() -> None:
    snapshot, builder = account()
    with QualityCheck(mapping_for(snapshot), snapshot) as quality:
        for entity in snapshot.entities():
            for envelope in snapshot.iterate(entity):
                quality.take(envelope)
        findings = quality.findings()
    planted = [defect for defect in builder.defects if defect.kind in DEFECTS]
    assert {defect.kind for defect in planted} == set(DEFECTS)
    for defect in planted:
        key = f"{BY_SOURCE_NAME[defect.collection]}/{defect.id}"
        named = [row["check"] for row in findings if key in row["samples"]]
        assert any(DEFECTS[defect.kind] in words for words in named), (defect, named)


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    clients = [{"id": number, **CLIENT, "legal-name": f"Aceros {number}", "email": f"a{number}@b.example"} for number in range(1, 4)]
    assert check({"client": clients}) == []


@pytest.mark.requirement("L-01")
def test_duplicates_ignore_case_and_blanks() -> None:
    clients = [
        {"id": 1, **CLIENT},
        {"id": 2, **CLIENT, "legal-name": " aceros  SA", "email": None},
        {"id": 3, **CLIENT, "legal-name": "Otra", "email": ""},
    ]
    assert found({"client": clients}, "duplicate") == ["client/1", "client/2"]
    assert found({"client": clients}, "missing e-mail") == ["client/2", "client/3"]


def test_findings_hold_no_values() -> None:
    clients = [{"id": 1, **CLIENT, "email": "secreto @ no"}, {"id": 2, **CLIENT, "phone": "llamar a Pepe"}]
    assert "secreto" not in repr(check({"client": clients}))
    assert "Pepe" not in repr(check({"client": clients}))


@pytest.mark.parametrize(
    ("email", "is_found"),
    [
        ("a@b.es", False),
        ("a@b.es; c@d.es", False),
        ("a@b.es/c@d.es", False),
        ("josé@españa.es", False),
        ("a@b", True),
        ("a b@c.es", True),
        ("@b.es", True),
    ],
)
def test_emails(email: str, is_found: bool) -> None:
    assert bool(found({"client": [{"id": 1, **CLIENT, "email": email}]}, "invalid e-mail")) is is_found


@pytest.mark.parametrize(("phone", "is_found"), [("600123123", False), ("+351 912 345 678 / 600123123", False), ("no tiene", True), ("12", True)])
def test_phones(phone: str, is_found: bool) -> None:
    assert bool(found({"client": [{"id": 1, **CLIENT, "phone": phone}]}, "invalid phone")) is is_found


@pytest.mark.requirement("L-01")
def test_dates_are_judged_by_field() -> None:
    orders: list[dict[str, Any]] = [{"id": number, "date": f"2026-01-0{number}T00:00:00+0000"} for number in range(1, 6)]
    orders += [{"id": 6, "date": "06/01/2026"}, {"id": 7, "date": "2026-02-31T00:00:00+0000"}, {"id": 8, "date": "pronto"}]
    assert found({"sales_order": orders}, "date written as 02/03/2026") == ["sales_order/6"]
    assert found({"sales_order": orders}, "broken date") == ["sales_order/7", "sales_order/8"]


def test_texts_in_which_a_date_happens_to_stand_are_no_dates() -> None:
    clients = [
        {"id": number, **CLIENT, "comments": text} for number, text in enumerate(["2026-01-01", "llamar", "otra vez", "01/02/2026", "no"], start=1)
    ]
    assert found({"client": clients}, "date") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2026-03-02T10:15:00+0000", "2026-03-02T10:15:00+0000"), ("2/3/26", "02/03/2026"), ("02.03.2026", "02.03.2026"), ("mañana", None)],
)
def test_date_formats(text: str, expected: str | None) -> None:
    assert date_format(text) == expected


LINES = [{"line-type": "ITEM", "total-amount": 60.0}, {"line-type": "ITEM", "total-amount": 40.0}, {"line-type": "SECTION", "total-amount": 7}]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, ""),
        ({"discount-percentage": 10, "subtotal-amount": 90, "tax-total-amount": 18.9, "total-amount": 108.9, "tax-breakdown": []}, ""),
        ({"subtotal-amount": 100.02, "total-amount": 121.02}, "subtotal-amount"),
        ({"tax-total-amount": 20, "total-amount": 120}, "tax-total-amount"),
        ({"total-amount": 122}, "total-amount"),
        ({"total-amount": 121.01}, ""),
        ({"income-tax-enabled": True, "income-tax-percentage": 15, "total-amount": 106}, ""),
        ({"lines": [*LINES, {"line-type": "ITEM", "total-amount": 5, "deleted": True}]}, ""),
        ({"lines": None, "subtotal-amount": None}, ""),
        ({"total-amount": "mucho"}, ""),
    ],
)
@pytest.mark.requirement("L-01")
def test_sums(changes: dict[str, Any], wrong: str) -> None:
    document = {
        "lines": LINES,
        "discount-percentage": 0,
        "subtotal-amount": 100,
        "tax-total-amount": 21,
        "total-amount": 121,
        "tax-breakdown": [{"subtotal-amount": 100, "tax-percentage": 21, "total-amount": 21}],
    }
    sums = load_mapping(connector_mapping_text("stel_order")).quality.entities["work_order"].sums
    assert sums is not None
    assert wrong_sum({**document, **changes}.get, sums) == wrong


@pytest.mark.requirement("G-06")
def test_missing_ids_and_late_entries_are_found() -> None:
    days = {1: 1, 2: 2, 3: 3, 5: 5, 6: 2, 7: 7, 8: 8, 9: 9, 10: 10, 11: 11}
    orders = [{"id": number, CREATED: f"2026-01-{day:02}T08:00:00+0000"} for number, day in days.items()]
    assert found({"work_order": orders}, "missing ids") == ["work_order/4"]
    assert found({"work_order": orders}, "entered late") == ["work_order/6"]


@pytest.mark.requirement("G-06")
def test_ids_that_do_not_follow_time_say_nothing() -> None:
    orders = [{"id": number, CREATED: f"2026-01-{30 - number:02}T08:00:00+0000"} for number in range(1, 20)]
    assert found({"work_order": orders}, "entered late") == []


def test_deleted_records_are_not_judged_but_their_ids_are_not_missing() -> None:
    orders = [
        {"id": 1, CREATED: "2026-01-01"},
        {"id": 2, CREATED: "2026-01-02", "deleted": True, "total-amount": 5},
        {"id": 3, CREATED: "2026-01-03"},
    ]
    assert found({"work_order": orders}, "missing ids") == []


def test_samples_are_few_however_many_are_wrong() -> None:
    rows = check({"client": [{"id": number, "legal-name": "x"} for number in range(1, 100)]})
    duplicate = next(row for row in rows if row["check"] == "duplicate")
    assert duplicate["records"] == 99
    assert len(duplicate["samples"]) == 10


def test_what_the_connector_found_is_told_in_its_own_words() -> None:
    finding = {"code": "date_order_ambiguous", "severity": "stop", "entity": "work_order", "column": "Date Added", "count": 7, "message": "say it"}
    rows = check({"bundle_finding": [{"id": "finding/1", **finding, "samples": ["row 2: 1/2/2025"]}, {"id": "bundle", "kind": "bundle"}]})
    assert rows == [
        {
            "entity": "work_order",
            "check": "date order ambiguous",
            "field": "Date Added",
            "records": 7,
            "samples": ["row 2: 1/2/2025"],
            "advice": "say it",
            "severity": "stop",
        }
    ]
