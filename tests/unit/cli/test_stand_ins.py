"""Stand-ins are found where they lie and say themselves what they are; no list names them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.extractor.registry import CONNECTORS
from transload.cli.main import app
from transload.embedded.errors import StackError
from transload.embedded.stand_ins import SIMULATORS, find_stand_in, stand_in_names

ENTRY = f"[{SIMULATORS}]\nbrook = brook_stand_in.simulator\n"


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "brook_stand_in", raising=False)


def foreign(folder: Path, description: str | None) -> Path:
    """Write a package as pip leaves it, with an entry point."""
    (folder / "brook_stand_in").mkdir(parents=True)
    (folder / "brook_stand_in" / "__init__.py").write_text("")
    if description is not None:
        (folder / "brook_stand_in" / "stand_in.yaml").write_text(description)
    facts = folder / "brook_stand_in-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: brook-stand-in\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(ENTRY)
    return folder


def test_every_source_has_one_by_its_folder() -> None:
    assert set(stand_in_names()) == {*CONNECTORS, "pipedrive"}
    stel, novo, tracker = (find_stand_in(name) for name in ("stel-order", "novo_work_order", "servicetracker"))
    assert (stel.title, stel.kind, stel.module, stel.size_option, stel.url_path) == (
        "STEL Order",
        "simulator",
        "sandbox.stel_order",
        "--clients",
        "/app",
    )
    assert stel.connector_options("pro") == {"plan": "pro"}
    assert (novo.title, novo.kind, novo.connector_options("")) == ("Novo Work Order", "generator", {})
    assert (tracker.secret.option, tracker.secret.part, tracker.secret.others) == (
        "--client-secret-file",
        "client_secret",
        {"client_id": "transload"},
    )


@pytest.mark.parametrize(
    ("description", "title", "size_option"), [(None, "Brook", "--size"), ("title: The Brook\nsize_option: --rows\n", "The Brook", "--rows")]
)
def test_one_of_another_package_describes_itself_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: str | None, title: str, size_option: str
) -> None:
    monkeypatch.syspath_prepend(foreign(tmp_path, description))
    found = find_stand_in("brook")
    assert (found.title, found.kind, found.module, found.size_option) == (title, "simulator", "brook_stand_in.simulator", size_option)
    assert "brook" in stand_in_names()
    assert "brook" in CliRunner().invoke(app, ["sandbox", "--help"]).output


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StackError, match="nothing stands in for 'brook'; there are: novo_work_order, octopuspro, pipedrive"):
        find_stand_in("brook")
    with pytest.raises(StackError, match=r"nothing stands in for '\.\.common'"):
        find_stand_in("..common")
    monkeypatch.syspath_prepend(foreign(tmp_path, "size: 3\n"))
    with pytest.raises(StackError, match=r"(?s)stand_in.yaml of brook_stand_in is wrong.*size"):
        find_stand_in("brook")
