"""`transload sandbox pipedrive`, `transload sandbox results`: simulators, and generators of export bundles, as programs of their own.

They take the place of this process, so that signals and exit codes are theirs. Nothing of theirs is imported here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from transload.cli import output
from transload.embedded.stand_ins import find_stand_in, stand_in_names

EXIT_NOT_INSTALLED = 1
_NEEDED = ("sandbox", "openpyxl", "uvicorn", "httptools", "uvloop", "starlette", "multipart")

_HELP = "Run a simulator to rehearse against, or write an export bundle; its options follow, also --help."
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class _StandIns(TyperGroup):
    """A command for each stand-in there is, ours and those of other packages; they are looked for when one is wanted."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        del ctx
        return stand_in_names()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The one of this name, which passes all that follows on; None where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        kind = find_stand_in(cmd_name)
        if kind.kind == "simulator":
            words = f"An account of {kind.title} to call; `transload sandbox {cmd_name} --help` lists its options."
        else:
            words = f"Write an export of {kind.title}: `transload sandbox {cmd_name} --out FOLDER --size 150 [--zip] [--xlsx] [--changes 1]`."
        one = typer.Typer(add_completion=False)
        one.command(cmd_name, context_settings=_PASSED_ON, help=words)(_passing_on(kind.module))
        return get_command(one)


def _passing_on(module: str) -> Callable[[typer.Context], None]:
    def become(context: typer.Context) -> None:
        _become(module, context.args)

    return become


app = typer.Typer(cls=_StandIns, help=_HELP, no_args_is_help=True)


def _become(module: str, arguments: Sequence[str]) -> NoReturn:
    missing = [one for one in _NEEDED if find_spec(one) is None]
    if missing:
        output.stderr.print(f"The simulators are not installed ({', '.join(missing)} missing): pip install 'transload[sandbox]'", markup=False)
        raise typer.Exit(EXIT_NOT_INSTALLED)
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell is wanted
