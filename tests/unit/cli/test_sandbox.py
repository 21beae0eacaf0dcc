"""`transload sandbox` becomes the simulator, or says in one line what it lacks."""

import importlib.machinery
import os
import sys

import pytest
from typer.testing import CliRunner

from transload.cli import sandbox
from transload.cli.main import app


class BecameError(Exception):
    """Stands in for the end of this process."""


@pytest.mark.parametrize("name", ["pipedrive", "stel_order", "servicetracker", "novo_work_order", "octopuspro", "results"])
def test_all_arguments_are_passed_on_as_they_are(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[list[str]] = []

    def execv(program: str, arguments: list[str]) -> None:
        assert program == sys.executable
        became.append(arguments)
        raise BecameError

    monkeypatch.setattr(os, "execv", execv)
    arguments = ["--port", "0", "--seed=3", "--help", "-x", "word", "--token"]
    result = CliRunner().invoke(app, ["sandbox", name, *arguments])
    assert isinstance(result.exception, BecameError)
    assert became == [[sys.executable, "-m", f"sandbox.{name}", *arguments]]


def test_missing_extra_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(module: str) -> importlib.machinery.ModuleSpec | None:
        return None if module == "uvicorn" else importlib.machinery.ModuleSpec(module, None)

    monkeypatch.setattr(sandbox, "find_spec", find)
    result = CliRunner().invoke(app, ["sandbox", "pipedrive"])
    assert result.exit_code == 1
    assert " ".join(result.stderr.split()) == "The simulators are not installed (uvicorn missing): pip install 'transload[sandbox]'"
