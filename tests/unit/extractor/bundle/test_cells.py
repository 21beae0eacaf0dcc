"""Cells to values: what is read, what stays as it was written, and that nothing is ever invented."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.extractor.connectors.bundle import cells
from services.extractor.connectors.bundle.cells import TypedCell, decimal_evidence, number_reader, percent_reader


@pytest.mark.requirement("X-05")
@pytest.mark.parametrize(
    ("decimal", "text", "value"),
    [
        (".", "1234.5", 1234.5),
        (".", "$1,234.50", 1234.5),
        (".", "(120.00)", -120),
        (".", "($120.00)", -120),
        (".", "-$5", -5),
        (".", "120-", -120),
        (".", "USD 1,000", 1000),
        (".", "1'234.5", 1234.5),
        (".", "A$99.95", 99.95),
        (".", ".5", 0.5),
        (",", "1.234,56 €", 1234.56),
        (",", "1 234,5", 1234.5),
        (",", "1\u00a0234,5", 1234.5),
        (",", "12,5", 12.5),
        (".", "1.234,56", "1.234,56"),  # the other way of writing: not read as something else
        (",", "1,234.56", "1,234.56"),
        (".", "1,23", "1,23"),
        (".", "12 apples", "12 apples"),
        (".", "n/a", "n/a"),
        (".", "1.2.3", "1.2.3"),
        (".", "123456789012345678901234567890", "123456789012345678901234567890"),  # a JSON number would lose digits
        (".", "0.12345678901234567890", "0.12345678901234567890"),
        (",", TypedCell("1234.5"), 1234.5),  # a workbook's number has no sign of the country
    ],
)
def test_numbers(decimal: str, text: str, value: object) -> None:
    assert number_reader(decimal)(text) == value


@pytest.mark.parametrize(
    ("text", "proof"),
    [("1,234.5", "."), ("1.234,5", ","), ("1,234", "?"), ("1.234", "?"), ("12.5", "."), ("1,234,567", "."), ("12", ""), ("x,y", "")],
)
def test_what_a_number_proves_of_the_decimal_sign(text: str, proof: str) -> None:
    assert decimal_evidence(text) == proof


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2), st.sampled_from([".", ","]))
def test_any_amount_written_with_groups_is_read_back(amount: Decimal, decimal: str) -> None:
    text = f"{amount:,.2f}"
    if decimal == ",":
        text = text.translate(str.maketrans(",.", ".,"))
    assert Decimal(str(number_reader(decimal)(text))) == amount


@given(st.text(max_size=30), st.sampled_from([".", ","]))
def test_any_text_is_a_number_or_stays_as_it_is(text: str, decimal: str) -> None:
    for read in (number_reader(decimal), cells.integer_reader(decimal), percent_reader(decimal, is_share=True), cells.read_boolean, cells.read_time):
        value = read(text)
        assert value == text or isinstance(value, int | float) or cells.read_time(text) == value
        assert read(text) == value
        json.dumps(value)


@pytest.mark.parametrize(
    ("text", "is_share", "value"),
    [("60%", False, 60), ("60 %", True, 60), ("0.6", True, 60), ("60", False, 60), ("0.6", False, 0.6), ("1", True, 100), ("high", True, "high")],
)
def test_percents(text: str, is_share: bool, value: object) -> None:
    assert percent_reader(".", is_share=is_share)(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("Yes", True), ("n", False), ("-1", True), ("0", False), ("TRUE", True), ("x", True), ("maybe", "maybe"), ("2", "2")],
)
def test_truth_values(text: str, value: object) -> None:
    assert cells.read_boolean(text) is value or cells.read_boolean(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2:05 PM", "14:05:00"),
        ("12:00 am", "00:00:00"),
        ("12:30 p.m.", "12:30:00"),
        ("14:05:09", "14:05:09"),
        ("24:00", "24:00"),
        ("9.30", "09:30:00"),
        ("13:00 PM", "13:00 PM"),
        ("noon", "noon"),
    ],
)
def test_times(text: str, value: str) -> None:
    assert cells.read_time(text) == value


def test_lists_are_split_at_each_of_their_separators() -> None:
    assert cells.list_reader([";"])("a; b ;;c, d") == ["a", "b", "c, d"]
    assert cells.list_reader([";", "|", ","])("a; b|c , d") == ["a", "b", "c", "d"]
    assert cells.list_reader([";"])(" ; ") == []


@pytest.mark.parametrize(("text", "is_one"), [("=1+1", True), ("@SUM(A1)", True), ("-cmd|' /C calc'!A0", True), ("+61 412", False), ("-5", False)])
def test_what_looks_like_a_formula(text: str, is_one: bool) -> None:
    assert bool(cells.FORMULA.match(text)) is is_one
