"""Equal rows of an export as one."""

from __future__ import annotations

from services.transformer.distinct_rows import distinct_rows


def test_equal_rows_are_one_in_the_order_they_first_came() -> None:
    rows = [["b", 1, None], ["a", True, "x"], ["b", 1, None], ["b", 1.5, ""]]
    assert list(distinct_rows(rows)) == [["b", 1, None, 2], ["a", True, "x", 1], ["b", 1.5, "", 1]]


def test_no_rows_are_none() -> None:
    assert list(distinct_rows([])) == []
