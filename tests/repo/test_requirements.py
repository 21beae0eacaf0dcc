"""Every requirement id has a test, and the page that says so is up to date."""

from __future__ import annotations

import pytest

from tools import requirements_table

FOUND: dict[str, list[str]] = requirements_table.collect()


@pytest.mark.parametrize("identifier", list(requirements_table.REQUIREMENTS))
def test_requirement_has_a_test(identifier: str) -> None:
    is_shown = requirements_table.is_shown(identifier, FOUND.get(identifier, []))
    if identifier in requirements_table.NOT_YET:
        assert not is_shown, f"{identifier} is shown by now: take it out of NOT_YET in tools/requirements_table.py"
    else:
        assert is_shown, f"no test is marked @pytest.mark.requirement({identifier!r}), or for an object none of tests/e2e"


def test_no_object_is_forgotten() -> None:
    counts = {
        prefix: sum(name.startswith(f"{prefix}-") for name in requirements_table.REQUIREMENTS)
        for prefix in (*requirements_table.OBJECTS, "L", "G", "X", "D")
    }
    assert counts == {"ST": 10, "SO": 10, "NV": 11, "OP": 12, "RS": 10, "L": 16, "G": 12, "X": 8, "D": 8}


def test_marks_name_known_requirements() -> None:
    assert set(FOUND) <= set(requirements_table.REQUIREMENTS)


def test_page_is_up_to_date() -> None:
    assert requirements_table.PAGE.read_text(encoding="utf-8") == requirements_table.render(FOUND), "run `python tools/requirements_table.py`"
