"""Licences, bill of materials and audit: made from what is locked, and plain about what is not known."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools import audit, licences, sbom

ROOT = Path(__file__).resolve().parents[2]


def test_every_package_has_a_licence_we_allow_and_the_page_lists_it() -> None:
    done = subprocess.run([sys.executable, "-m", "tools.licences", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("MPL-2.0 AND (Apache-2.0 OR GPL-2.0-only)", True),
        ("AGPL-3.0-or-later WITH Classpath-exception-2.0", False),
        ("Something Else", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_when_allowed_licences_meet_it(licence: str, is_allowed: bool) -> None:
    assert licences.is_allowed(licence) == is_allowed


def test_an_unknown_licence_is_refused_by_name(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(licences, "licence_of", lambda name: "" if name == "click" else "MIT")
    monkeypatch.setattr(sys, "argv", ["licences.py", "--check"])
    assert licences.main() == 1
    assert "click" in capsys.readouterr().err


def test_the_bill_of_materials_is_valid_whole_and_the_same_each_time() -> None:
    text = sbom.bill()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    assert {(one["name"], one["version"]) for one in document["components"]} == set(licences.locked("runtime").items())
    assert all(one["licenses"] and one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}" for one in document["components"])
    needs = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    root = document["metadata"]["component"]["bom-ref"]
    reached, open_refs = set(), [root]
    while open_refs:
        reference = open_refs.pop()
        if reference not in reached:
            reached.add(reference)
            open_refs += needs[reference]
    assert reached == {root, *(one["bom-ref"] for one in document["components"])}, "what nothing needs should not be locked"
    assert sbom.bill() == text


ANSWER = {
    "dependencies": [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]},
        {"name": "strange", "skip_reason": "not found"},
    ]
}


def test_an_audit_names_what_is_vulnerable_and_what_could_not_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report(json.dumps(ANSWER), "", is_strict=False) == 1
    said = capsys.readouterr().out
    assert "VULNERABLE: bad 2: PYSEC-1; fixed in 3" in said
    assert "NOT AUDITED: 1 of 3 packages" in said
    assert "strange" in said
    assert "2 packages audited, 1 with known vulnerabilities" in said


@pytest.mark.parametrize(("is_strict", "code"), [(False, 0), (True, 1)])
def test_an_audit_that_learned_nothing_is_no_success_where_it_must_not_be(capsys: pytest.CaptureFixture[str], is_strict: bool, code: int) -> None:
    skipped = {"dependencies": [ANSWER["dependencies"][2]]}
    assert audit.report(json.dumps(skipped), "", is_strict=is_strict) == code
    assert "NOT AUDITED: 1 of 1" in capsys.readouterr().out
    assert audit.report("", "connection refused\n", is_strict=is_strict) == code
    assert capsys.readouterr().out == "NOT AUDITED: no answer (connection refused)\n"


def test_a_clean_audit_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.report(json.dumps({"dependencies": [ANSWER["dependencies"][0]]}), "", is_strict=True) == 0
    assert capsys.readouterr().out == "1 packages audited, 0 with known vulnerabilities\n"
