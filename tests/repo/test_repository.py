"""What the documents promise is in the repository, and nothing that must not be."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

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


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names: set[str] = set()
    for path in (ROOT / "services").rglob("settings.py"):
        names |= {f"TRANSLOAD_{name}" for name in re.findall(r'reader\.\w+\(\s*"([A-Z][A-Z0-9_]+)"', path.read_text(encoding="utf-8"))}
    assert names
    assert not sorted(name for name in names if name not in page)


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
        if not folder.is_dir() or folder.name.startswith("__"):
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
