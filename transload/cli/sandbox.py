"""`transload sandbox pipedrive`, `transload sandbox results`: simulators, and generators of export bundles, as programs of their own.

They take the place of this process, so that signals and exit codes are theirs. Nothing of theirs is imported here.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import NoReturn

import typer

from transload.cli import output

EXIT_NOT_INSTALLED = 1
_NEEDED = ("sandbox", "openpyxl", "uvicorn", "httptools", "uvloop", "starlette", "multipart")

_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(help="Run a simulator to rehearse against, or write an export bundle; its options follow, also --help.", no_args_is_help=True)


@app.command("pipedrive", context_settings=_PASSED_ON)
def pipedrive(context: typer.Context) -> None:
    """A Pipedrive account: `transload sandbox pipedrive --port 8090 --plan growth --seats 5 --seed 1`."""
    _become("pipedrive", context.args)


@app.command("stel_order", context_settings=_PASSED_ON)
def stel_order(context: typer.Context) -> None:
    """A STEL Order account: `transload sandbox stel_order --port 8091 --key K`."""
    _become("stel_order", context.args)


@app.command("novo_work_order", context_settings=_PASSED_ON)
def novo_work_order(context: typer.Context) -> None:
    """Write a Novo Work Order export: `transload sandbox novo_work_order --out FOLDER --size 150 [--zip] [--xlsx] [--changes 1]`."""
    _become("novo_work_order", context.args)


@app.command("octopuspro", context_settings=_PASSED_ON)
def octopuspro(context: typer.Context) -> None:
    """Write an OctopusPro export: `transload sandbox octopuspro --out FOLDER --size 150 [--zip] [--xlsx] [--changes 1]`."""
    _become("octopuspro", context.args)


@app.command("results", context_settings=_PASSED_ON)
def results(context: typer.Context) -> None:
    """Write a Results export: `transload sandbox results --out FOLDER --size 150 [--zip] [--xlsx] [--changes 1]`."""
    _become("results", context.args)


def _become(name: str, arguments: list[str]) -> NoReturn:
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        output.stderr.print(f"The simulators are not installed ({', '.join(missing)} missing): pip install 'transload[sandbox]'", markup=False)
        raise typer.Exit(EXIT_NOT_INSTALLED)
    os.execv(sys.executable, [sys.executable, "-m", f"sandbox.{name}", *arguments])  # noqa: S606 - no shell is wanted
