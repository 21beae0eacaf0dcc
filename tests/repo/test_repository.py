"""What the documents promise is in the repository, and nothing that must not be."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from services.common.instruments import INSTRUMENTS
from services.ledger.domain import IssueKind, OutcomeResult
from transload.v1 import error_reason_pb2

ROOT = Path(__file__).resolve().parents[2]
TRACKED = [ROOT / line for line in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()]
TEXTS = [
    path
    for path in TRACKED
    if path.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".txt", ".proto", ".html", ".j2", ".csv", ""} and path.is_file()
]


def test_every_error_reason_is_documented() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    names = [name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()]  # noqa: SIM118 - an enum wrapper, not a dict
    missing = [name for name in names if name != "UNSPECIFIED" and f"`{name}`" not in page]
    assert not missing


READER_METHODS = {"str", "int", "float", "bool", "secret", "path"}


def settings_read_by(path: Path) -> set[str]:
    """Every name given to a reader of the environment, and every variable an option of the command takes its default from."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr in READER_METHODS:
            found |= {f"TRANSLOAD_{name}" for name in constants(node.args[:1]) if re.fullmatch(r"[A-Z][A-Z0-9_]+", name)}
        found |= constants([keyword.value for keyword in node.keywords if keyword.arg == "envvar"])
    return found


def constants(nodes: Iterable[ast.AST]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    read = {name for folder in ("services", "transload") for path in (ROOT / folder).rglob("*.py") for name in settings_read_by(path)}
    assert len(read) > 40
    documented = set(re.findall(r"^\| `(TRANSLOAD_[A-Z0-9_]+)`", page, re.MULTILINE))
    assert sorted(read - documented) == []
    assert documented - read <= {"TRANSLOAD_CONNECTIONS_DIR", "TRANSLOAD_TOKEN"}  # looked up at each use, not read as a setting


def sources_of(folder: str) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.py")))


def test_every_event_kind_and_metric_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    kinds = re.findall(r'(?:EventDraft\(\s*(?:kind=)?|\bkind = |_event\()"([a-z]+\.[a-z_]+)"', sources_of("services/ledger"))
    kinds += [f"record.{one.value}" for one in (*OutcomeResult, *IssueKind) if one.value not in {"unknown", "not_tried"}]
    metrics = [one.name for one in INSTRUMENTS]
    assert len(set(kinds)) > 30
    assert len(metrics) > 8
    assert sorted({name for name in (*kinds, *metrics) if f"`{name}`" not in page}) == []


def test_every_key_of_the_audit_report_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    tree = ast.parse((ROOT / "services" / "transformer" / "profile" / "report.py").read_text(encoding="utf-8"))
    profile = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "profile_source")
    report = next(node for node in ast.walk(profile) if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)).value
    assert isinstance(report, ast.Dict)
    keys = constants(key for key in report.keys if key is not None)
    assert keys
    assert [key for key in sorted(keys) if f"| `{key}` |" not in page] == []


def test_no_option_of_the_command_takes_a_secret() -> None:
    """Arguments stand in every list of processes; secrets come from the environment and from files."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    options = set(re.findall(r"`(--[a-z-]+)", page))
    assert len(options) > 40
    named = {option for option in options if re.search(r"token|secret|password|key|certificate", option)}
    # The ledger's public key, and what kind of token a simulated account has.
    assert named == {"--key", "--token-kind"}


def test_readme_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", readme)) <= targets


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)} → {target}"
        for path in TRACKED
        if path.suffix == ".md" and path.is_file()
        for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert not broken


def test_every_connector_has_its_parts() -> None:
    for folder in sorted((ROOT / "services" / "extractor" / "connectors").iterdir()):
        if not folder.is_dir() or folder.name in {"__pycache__", "bundle"}:  # what all sources read from bundles share is none itself
            continue
        mapping = ROOT / "services" / "transformer" / "mappings" / f"{folder.name}.yaml"
        assert yaml.safe_load(mapping.read_text(encoding="utf-8"))["source"] == folder.name
        assert (ROOT / "sandbox" / folder.name).is_dir()
        assert folder.name in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("pattern", [r"(?<![\w.])/(?:root|home|work)/\w", r"pypi\.org|pythonhosted|registry\.npmjs", r"\b(?:TODO|FIXME)\b"])
def test_no_file_names_what_must_not_be_named(pattern: str) -> None:
    own = Path(__file__).resolve()
    found = [str(path.relative_to(ROOT)) for path in TEXTS if path != own and re.search(pattern, path.read_text(encoding="utf-8", errors="ignore"))]
    assert not found
