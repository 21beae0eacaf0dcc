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
    assert FOUND.get(identifier), f"no test is marked @pytest.mark.requirement({identifier!r})"


def test_marks_name_known_requirements() -> None:
    assert set(FOUND) <= set(TABLE.REQUIREMENTS)


def test_page_is_up_to_date() -> None:
    assert TABLE.PAGE.read_text(encoding="utf-8") == TABLE.render(FOUND), "run `python tools/requirements_table.py`"
