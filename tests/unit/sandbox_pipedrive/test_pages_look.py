"""How amounts, numbers, dates and names look."""

from datetime import date

import pytest

from sandbox.pipedrive.pages import look


def _plain(text: str) -> str:
    return text.replace(look.NO_BREAK, " ")


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (12345.6, "EUR", "EUR 12,345.60"),
        (0, "EUR", "EUR 0.00"),
        (-5, "USD", "USD \u22125.00"),
        (1500, "JPY", "JPY 1,500"),
        (1.5, "KWD", "KWD 1.500"),
        (0.0345, "EUR", "EUR 0.0345"),
        (99_999_999_999.99, "EUR", "EUR 99,999,999,999.99"),
        (7, None, "7.00"),
        (None, "EUR", ""),
    ],
)
def test_money(amount: float | None, currency: str | None, shown: str) -> None:
    assert _plain(look.money(amount, currency)) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(3, "3"), (1234.5, "1,234.5"), (2.10, "2.1"), (-0.25, "\u22120.25"), (1e6, "1,000,000"), (1e300, "1e+300"), (1e-9, "0"), (None, "")],
)
def test_number(value: float | None, shown: str) -> None:
    assert look.number(value) == shown


@pytest.mark.parametrize(("text", "shown"), [("2026-03-01", "1 Mar 2026"), ("0000-00-00", "0000-00-00"), ("", ""), (None, "")])
def test_day(text: str | None, shown: str) -> None:
    assert _plain(look.day(text)) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("2026-03-01T23:30:00Z", "2 Mar 2026, 00:30"), ("2026-07-01T10:00:00Z", "1 Jul 2026, 12:00"), ("soon", "soon"), (None, "")],
)
def test_moment_is_in_the_zone_of_the_company(text: str | None, shown: str) -> None:
    assert _plain(look.moment(text, "Europe/Madrid")) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-03-10", "today"),
        ("2026-03-11", "tomorrow"),
        ("2026-03-20", "20 Mar 2026"),
        ("2026-03-09", "1 day overdue"),
        ("2026-03-01", "9 days overdue"),
        ("2020-03-01", "due 1 Mar 2020"),
        ("9999", "9999"),
    ],
)
def test_due_date(text: str, shown: str) -> None:
    assert _plain(look.near(text, date(2026, 3, 10))) == shown


@pytest.mark.parametrize(
    ("text", "shown"), [("01:30", "1 h 30 min"), ("00:15:00", "15 min"), ("02:00", "2 h"), ("00:00", "0 min"), (None, ""), ("x", "x")]
)
def test_duration(text: str | None, shown: str) -> None:
    assert _plain(look.duration(text)) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KB"), (5 << 20, "5 MB"), (3 << 40, "3,072 GB")])
def test_size(count: int, shown: str) -> None:
    assert _plain(look.size(count)) == shown


@pytest.mark.parametrize(
    ("name", "shown"), [("Ada Admin", "AA"), ("Zoé", "Z"), ("Juan de la Cruz", "JC"), ("(x) Smith", "S"), ("", "?"), ("山田 太郎", "山太")]
)
def test_initials(name: str, shown: str) -> None:
    assert look.initials(name) == shown


def test_names_are_sorted_without_case_accents_and_leading_marks() -> None:
    assert sorted(["zoe", "«Émile»", "Álvaro", "beta", '"Alfa"', "ALBA"], key=look.sortable) == ["ALBA", '"Alfa"', "Álvaro", "beta", "«Émile»", "zoe"]
    assert look.sortable("---") == "---"
