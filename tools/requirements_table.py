"""Writes `docs/requirements.md`: each requirement id and the tests that show it, read from the marks in `tests/`.

`python tools/requirements_table.py` rewrites the page; with `--check` it only says whether the page is what the tests say.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "requirements.md"

# What each id asks for, in our words; the ids of the rows this version serves.
REQUIREMENTS: dict[str, str] = {
    "SO-01": "A client becomes an organization; its primary contact a linked person; its own properties custom fields",
    "SO-02": "A contact becomes a person of its organization, with mail, phone, title, fax, address and comments",
    "SO-03": "A product becomes a product with price, unit, category, tax, stock and warehouse",
    "SO-04": "A quote becomes a deal labelled Quote with real line items and a readable note",
    "SO-05": "An order becomes a deal labelled Order with number, date and shipping address",
    "SO-06": "An invoice becomes a closed deal; a paid one has an activity that records the payment",
    "SO-07": "A work order becomes a deal with status, technician, schedule, place, lines and a summary note",
    "SO-08": "An asset fills fields of its organization and becomes a note on it",
    "SO-09": "A payment becomes an activity on the deal and a row of the payments sheet",
    "SO-10": "A user is matched by e-mail; an unmatched one falls back and is flagged before anything moves",
    "L-01": "Audit of the source and the target",
    "L-02": "Mapping confirmed by a person; nothing moves before",
    "L-03": "Value maps; an unmapped value is found before the load",
    "L-04": "Owners matched before deals",
    "L-05": "Schema created in Pipedrive, once, and undoable",
    "L-06": "Extraction within the source's limits, resumable",
    "L-07": "Validation; invalid values reach the skip file with a reason",
    "L-08": "Sample, closed under relations, with a field-by-field diff",
    "L-09": "The full load is locked until the diff of this mapping is approved",
    "L-10": "Full load in dependency order, reconciled phase by phase",
    "L-11": "Delta as often as wanted, without overwriting people's edits",
    "L-12": "Reference exports of what does not move",
    "L-13": "Reconciliation of every field of every record",
    "L-14": "Audit trail, exportable, tamper-evident",
    "L-15": "Rollback from any point, dry run first",
    "L-16": "Review queue, resolvable one by one or by policy",
    "G-01": "Field hashes are resolved per account",
    "G-02": "The audit says what the token cannot see",
    "G-03": "Token budget and burst limits are kept",
    "G-04": "Automations are listed, not moved",
    "G-05": "Caps on fields and open deals are planned for",
    "G-06": "Late mobile data is detected",
    "G-09": "Payment-gateway references are kept as text",
    "X-01": "Relations stay linked",
    "X-02": "Original times are kept",
    "X-03": "Every custom field arrives or is reported",
    "X-04": "Every input record ends in exactly one state; the sums add up",
    "X-05": "Dates, money and phones in the target's form",
    "X-06": "Nothing is written to the source",
    "X-07": "Oversize files by policy",
    "X-08": "Any script and any hostile text arrives unchanged",
    "D-01": "One sale's documents are linked and its value counts once",
    "D-02": "A closed quote is won when an order descends from it",
    "D-03": "Asset status from a custom property, else reported",
    "D-08": "Where seed and API disagree, the API decides",
}


def collect() -> dict[str, list[str]]:
    """Requirement id → test functions marked with it, as `path::name`."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module_ids = _module_marks(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for identifier in sorted({*module_ids, *(name for decorator in node.decorator_list for name in _ids(decorator))}):
                    found[identifier].append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def _module_marks(tree: ast.Module) -> list[str]:
    """Ids of a module-level `pytestmark`."""
    return [
        identifier
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets)
        for call in ast.walk(node.value)
        for identifier in _ids(call)
    ]


def _ids(node: ast.AST) -> list[str]:
    """Ids of one `pytest.mark.requirement(...)` call."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "requirement":
        return [argument.value for argument in node.args if isinstance(argument, ast.Constant) and isinstance(argument.value, str)]
    return []


def render(found: dict[str, list[str]]) -> str:
    """The page."""
    lines = [
        "# Requirements and the tests that show them",
        "",
        "Generated by `python tools/requirements_table.py` from the `requirement` marks in `tests/`; a test fails when it is out of date.",
        "",
        "| id | what | tests |",
        "|---|---|---|",
    ]
    for identifier, words in REQUIREMENTS.items():
        tests = "<br>".join(f"`{name.removeprefix('tests/')}`" for name in found.get(identifier, [])) or "**none**"
        lines.append(f"| {identifier} | {words} | {tests} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or check it. Returns the exit status."""
    page = render(collect())
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page else 1
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
