"""The guide's table of what a day of Pipedrive holds."""

from __future__ import annotations

from services.common.pipedrive_plans import PLANS
from tools.capacity_table import HEAD, PAGE, SEATS, rows


def test_the_table_in_the_guide_is_up_to_date() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert "\n\n" + "\n".join(rows()) + "\n\n" in page, "run `python -m tools.capacity_table`"


def test_every_plan_and_number_of_seats_has_a_line_and_seats_count() -> None:
    lines = rows()[2:]
    assert len(lines) == len(PLANS) * len(SEATS)
    assert rows()[0] == HEAD
    lite = [line for line in lines if line.startswith("| Lite |")]
    assert [line.split("|")[3].strip() for line in lite] == ["30,000", "150,000", "600,000", "3,000,000"]
