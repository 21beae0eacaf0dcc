"""Every requirement id has a test, and the page that says so is up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = _load("requirements_table")
FOUND: dict[str, list[str]] = TABLE.collect()


@pytest.mark.parametrize("identifier", list(TABLE.REQUIREMENTS))
def test_requirement_has_a_test(identifier: str) -> None:
    is_shown = TABLE.is_shown(identifier, FOUND.get(identifier, []))
    if identifier in TABLE.NOT_YET:
        assert not is_shown, f"{identifier} is shown by now: take it out of NOT_YET in tools/requirements_table.py"
    else:
        assert is_shown, f"no test is marked @pytest.mark.requirement({identifier!r}), or for an object none of tests/e2e"


def test_no_object_is_forgotten() -> None:
    counts = {prefix: sum(name.startswith(f"{prefix}-") for name in TABLE.REQUIREMENTS) for prefix in (*TABLE.OBJECTS, "L", "G", "X", "D")}
    assert counts == {"ST": 10, "SO": 10, "NV": 11, "OP": 12, "RS": 10, "L": 16, "G": 12, "X": 8, "D": 8}


def test_marks_name_known_requirements() -> None:
    assert set(FOUND) <= set(TABLE.REQUIREMENTS)


def test_page_is_up_to_date() -> None:
    assert TABLE.PAGE.read_text(encoding="utf-8") == TABLE.render(FOUND), "run `python tools/requirements_table.py`"
