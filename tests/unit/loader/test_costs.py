"""The cost table: every operation the code names, and the published constants."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from services.loader.pipedrive.costs import operation, operations, version

PUBLISHED = Path(__file__).resolve().parents[4] / "shared" / "reference" / "pipedrive" / "token-costs.csv"
CODE = Path(__file__).resolve().parents[3] / "services" / "loader"


def test_every_operation_the_code_names_is_in_the_table() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in CODE.rglob("*.py"))
    named = set(re.findall(r'"([a-z_]+\.(?:list|get|create|update|delete|me|summary)\w*)"', text))
    assert named
    assert named <= set(operations())


@pytest.mark.requirement("G-03", "L-01")
@pytest.mark.parametrize(
    ("name", "method", "path", "token_count"),
    [
        ("deals.list", "GET", "/api/v2/deals", 10),
        ("deals.get", "GET", "/api/v2/deals/{id}", 1),
        ("deals.create", "POST", "/api/v2/deals", 5),
        ("deals.delete", "DELETE", "/api/v2/deals/{id}", 3),
        ("line_items.create_bulk", "POST", "/api/v2/deals/{id}/products/bulk", 25),
        ("line_items.delete_bulk", "DELETE", "/api/v2/deals/{id}/products", 15),
        ("deals.list_archived", "GET", "/api/v2/deals/archived", 20),
        ("pipelines.list", "GET", "/api/v2/pipelines", 5),
        ("notes.create", "POST", "/api/v1/notes", 10),
        ("files.delete", "DELETE", "/api/v1/files/{id}", 6),
        ("users.list", "GET", "/api/v1/users", 20),
        ("users.me", "GET", "/api/v1/users/me", 2),
    ],
)
def test_costs_are_the_published_ones(name: str, method: str, path: str, token_count: int) -> None:
    found = operation(name)
    assert (found.method, found.path, found.token_count) == (method, path, token_count)


@pytest.mark.requirement("G-03")
def test_the_whole_table_is_the_published_one() -> None:
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED} is not there")
    with PUBLISHED.open(encoding="utf-8") as file:
        published = {(row["method"], row["path"]): int(row["token_cost"]) for row in csv.DictReader(file)}
    ours = {(found.method, found.path.replace("/api/v1/", "/v1/")): found.token_count for found in operations().values()}
    assert {place: published.get(place) for place in ours} == ours


def test_the_table_names_its_version() -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", version())


def test_only_posts_may_not_be_repeated() -> None:
    assert {found.method for found in operations().values() if not found.is_repeatable} == {"POST"}
