"""Writes `docs/requirements.md`: each requirement id and the tests that show it, read from the marks in `tests/`.

`python tools/requirements_table.py` rewrites the page; a test compares it.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "requirements.md"

# What each id asks for, in our words.
REQUIREMENTS: dict[str, str] = {
    "ST-01": "A customer is split: company, domain, industry, billing address to an organization, its primary and every further contact to persons",
    "ST-02": "A work order becomes a deal with stage, status and priority; visits, installed parts and sign-offs are activities on it",
    "ST-03": "An asset fills fields of its organization; its service history becomes activities; several by policy",
    "ST-04": "A contract fills start, end and status of its organization, tier and renewal of the deals under it",
    "ST-05": "A technician is matched by e-mail; an unmatched one is named in a text field and queued",
    "ST-06": "Notes and attachments keep their text, images and files",
    "ST-07": "An entry of the activity log becomes an activity with its time and technician",
    "ST-08": "An invoice fills the deal's value, status and payment date; its document is a file",
    "ST-09": "A site is an organization of its own or part of its customer's address, by policy",
    "ST-10": "Custom objects and fields are discovered, typed and created before data moves",
    "SO-01": "A client becomes an organization; its primary contact a linked person; its own properties custom fields",
    "SO-02": "A contact becomes a person of its organization, with e-mail, phone, mobile, title, fax, address and comments",
    "SO-03": "A product becomes a product with price, unit, category, tax, stock and warehouse",
    "SO-04": "A quote becomes a deal labelled Quote with real line items and a readable note",
    "SO-05": "An order becomes a deal labelled Order with number, date and shipping address",
    "SO-06": "An invoice becomes a closed deal; a paid one has an activity that records the payment",
    "SO-07": "A work order becomes a deal with status, technician, schedule, place, lines and a summary note",
    "SO-08": "An asset fills fields of its organization and becomes a note on it",
    "SO-09": "A payment becomes an activity on the deal and a row of the payments sheet",
    "SO-10": "A user is matched by e-mail; an unmatched one falls back and is flagged before anything moves",
    "NV-01": "A work order becomes a deal; its status a stage, its account the organization, its description a note or a field",
    "NV-02": "Labour entries are activities of their own type; parts used and status changes activities or notes",
    "NV-03": "An asset becomes an organization with serial, type and last service, below its account's or a placeholder",
    "NV-04": "Parents of assets are relations of organizations; below two levels flattened, with the whole line as text",
    "NV-05": "Preventive maintenance is one activity for each occurrence in the window, with its steps; the past is notes",
    "NV-06": "A technician or requester becomes a person with its role",
    "NV-07": "A department is an option of the person or a label of the organization, value by value",
    "NV-08": "Costs fill fields of the deal; its value is the total by option",
    "NV-09": "An attachment becomes a file on the deal or organization",
    "NV-10": "A part becomes a structured note and a field on the equipment's organization",
    "NV-11": "Status and priority are stages and options, value by value",
    "OP-01": "A customer becomes a person, with a company name an organization too, linked",
    "OP-02": "A booking becomes a deal and an activity for its time",
    "OP-03": "A field worker is matched by e-mail; unmatched ones are queued before bookings move",
    "OP-04": "A service becomes a product with price and duration",
    "OP-05": "An invoice fills the booking's deal; its document is a file on an activity",
    "OP-06": "Each payment, part payment and refund becomes an activity of its own",
    "OP-07": "A quote becomes a deal in an early stage, accepted or rejected by label and status",
    "OP-08": "Custom fields of customers become typed fields of the person with their options",
    "OP-09": "Custom fields of bookings become fields of the deal; a signature an activity and a file",
    "OP-10": "Forms become fields, notes and files, and a written inventory",
    "OP-11": "Automations are listed with the Pipedrive automation we recommend",
    "OP-12": "The FAQ is a file or long text of the product, and an inventory",
    "RS-01": "A company becomes an organization, its duplicates found by domain before insert",
    "RS-02": "A contact becomes a person linked to its organization",
    "RS-03": "A deal keeps stage, value, owner and close date; without a company it is decided by policy",
    "RS-04": "Pipelines and stages with their probabilities are created first",
    "RS-05": "An activity keeps type, subject, content, date, duration and outcome",
    "RS-06": "Custom fields are created with their type",
    "RS-07": "Every owner is matched by e-mail before deals move; unmatched ones are flagged and block",
    "RS-08": "Attachments are checked in the audit; oversize ones by policy",
    "RS-09": "A deal without company gets a placeholder, a designated organization, or a person's decision",
    "RS-10": "Products stand before line items",
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
    "G-07": "Fields nobody documented are found by describe calls",
    "G-08": "The layout of a bundle is configured by tenant",
    "G-09": "Payment-gateway references are kept as text",
    "G-10": "Records with two sources of truth are flagged where they differ",
    "G-11": "Fields of the tenant are discovered from the bundle",
    "G-12": "Photos and signatures come from the bundle's folder, linked by id",
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
    "D-04": "Files over the limit are flagged or linked; split only when asked",
    "D-05": "What the product calls a contact is a company; the mapping uses the words of the requirement",
    "D-06": "The bundle is the supported way; a REST way stays possible behind the same seam",
    "D-07": "Roles are bound to objects by tenant, proposed from describe and confirmed",
    "D-08": "Where seed and API disagree, the API decides",
}

NOT_YET: frozenset[str] = frozenset()
"""Ids that no test shows so far; a test fails when one of them has come to be shown and still stands here."""
OBJECTS = ("ST", "SO", "NV", "OP", "RS")
"""Prefixes of the source objects. They count only when an end-to-end test reads the result back."""
_ID = re.compile(r"\b(?:ST|SO|NV|OP|RS|L|G|X|D)-\d\d\b")
_YAML_KEY = re.compile(r"\s*([A-Za-z_][\w-]*):")
_PLACES = ("services",)
_PLACES_MAX = 6


def is_shown(identifier: str, tests: list[str]) -> bool:
    """Say whether tests show a requirement: an object's row only end to end, from the source to what Pipedrive holds."""
    return any(name.startswith("tests/e2e/") for name in tests) if identifier.partition("-")[0] in OBJECTS else bool(tests)


def places() -> dict[str, list[str]]:
    """Requirement id → where the product names it: modules, and mappings with the key that follows the comment."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for folder in _PLACES for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".yaml"}):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            for identifier in dict.fromkeys(_ID.findall(line)):
                key = _key_after(lines, number) if path.suffix == ".yaml" else ""
                place = f"{path.relative_to(ROOT)}{' ' + key if key else ''}"
                if place not in found[identifier]:
                    found[identifier].append(place)
    return found


def _key_after(lines: list[str], number: int) -> str:
    """Return the first YAML key from a line on; it is what a comment speaks of."""
    for line in lines[number:]:
        if not line.lstrip().startswith("#") and (match := _YAML_KEY.match(line)):
            return match[1]
    return ""


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
        "Generated by `python tools/requirements_table.py` from the `requirement` marks in `tests/` and the ids in code and mappings; a test fails",
        "when it is out of date. ST, SO, NV, OP, RS: the objects of the five sources, counted only when an end-to-end test reads them back.",
        "L: the steps of a migration. G: known traps. X: rules for all. D: where documents disagree.",
        "",
        f"{len(REQUIREMENTS) - len(NOT_YET)} of {len(REQUIREMENTS)} are shown.",
        "",
        "| id | what | where | tests |",
        "|---|---|---|---|",
    ]
    where = places()
    for identifier, words in REQUIREMENTS.items():
        none = "not yet" if identifier in NOT_YET else "**none**"
        tests = "<br>".join(f"`{name.removeprefix('tests/')}`" for name in found.get(identifier, [])) or none
        named = where.get(identifier, [])
        more = f"<br>and {len(named) - _PLACES_MAX} more" if len(named) > _PLACES_MAX else ""
        product = "<br>".join(f"`{place}`" for place in named[:_PLACES_MAX]) + more
        lines.append(f"| {identifier} | {words} | {product} | {tests} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(collect()), encoding="utf-8")
