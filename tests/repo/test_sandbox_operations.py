"""The page on the simulator's operations is up to date and complete."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = _load("sandbox_operations")


def test_page_is_up_to_date() -> None:
    assert TABLE.PAGE.read_text(encoding="utf-8") == TABLE.render(), "run `python tools/sandbox_operations.py`"


def test_every_operation_served_is_an_official_one() -> None:
    official = {TABLE.key_of(row["method"], row["path"]) for row in TABLE.official()}
    assert sorted(TABLE.served().keys() - official) == []


def test_deprecated_operations_take_a_switch() -> None:
    removed = {TABLE.key_of(row["method"], row["path"]) for row in TABLE.official() if row["source"] == "v1-removed"}
    served = TABLE.served()
    assert removed & served.keys()
    assert {served[key] for key in removed & served.keys()} == {"--deprecated-v1 on"}
