"""The page on the simulator's operations is up to date and complete."""

from __future__ import annotations

from tools import sandbox_operations


def test_page_is_up_to_date() -> None:
    assert sandbox_operations.PAGE.read_text(encoding="utf-8") == sandbox_operations.render(), "run `python tools/sandbox_operations.py`"


def test_every_operation_served_is_an_official_one() -> None:
    official = {sandbox_operations.key_of(row["method"], row["path"]) for row in sandbox_operations.official()}
    assert sorted(sandbox_operations.served().keys() - official) == []


def test_deprecated_operations_take_a_switch() -> None:
    removed = {sandbox_operations.key_of(row["method"], row["path"]) for row in sandbox_operations.official() if row["source"] == "v1-removed"}
    served = sandbox_operations.served()
    assert removed & served.keys()
    assert {served[key] for key in removed & served.keys()} == {"--deprecated-v1 on"}
