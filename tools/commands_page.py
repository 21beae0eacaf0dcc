"""Writes `docs/commands.md`: every command of `transload` with its arguments and options, in the words of its own help.

`python tools/commands_page.py` writes the page; a test compares it.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from transload.cli.main import app  # noqa: E402 - the repository is only now on the path

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "commands.md"
COMMON_MIN = 10
"""An option that so many commands have with the same words is described once."""
INTRODUCTION = """# Commands

Written by `python tools/commands_page.py` from the commands themselves; a test fails when it is out of date. What they are for, and in which order
they follow on one another, is in [operations.md](operations.md). `transload --install-completion` lets the shell complete them, `--show-completion`
prints how.
"""


def commands(command: Any = None, path: tuple[str, ...] = ("transload",)) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its whole name."""
    command = command or typer.main.get_command(app)
    if not hasattr(command, "list_commands"):
        yield " ".join(path), command
        return
    # Asked for and not looked up: some groups find their commands when one is wanted.
    for name in sorted(command.list_commands(None)):
        yield from commands(command.get_command(None, name), (*path, name))


def render() -> str:
    """Return the page."""
    every = list(commands())
    usual = Counter(_row(one) for _, command in every for one in command.params if _is_option(one))
    common = sorted(row for row, count in usual.items() if count >= COMMON_MIN)
    parts = [INTRODUCTION, "## Options of many commands\n", _table(common)]
    for name, command in every:
        shown = " ".join([name, *(_argument(one) for one in command.params if not _is_option(one))])
        own = [row for one in command.params if (row := _row(one)) not in common]
        shared = [_names(one) for one in command.params if _row(one) in common]
        also = f"Also: {', '.join(shared)}.\n" if shared else ""
        parts += [f"## {name}\n", f"`{shown}`\n", f"{_words(command.help)}\n", _table(own), also]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| {names} | {words} |" for names, words in rows]
    return "\n".join(["| Option or argument | What it is |", "|---|---|", *lines, ""]) if rows else ""


def _row(one: Any) -> tuple[str, str]:
    return _names(one), _words(one.help).replace("|", "\\|")


def _names(one: Any) -> str:
    names = [*one.opts, *one.secondary_opts] if _is_option(one) else [str(one.metavar or one.name).upper()]
    return ", ".join(f"`{name}`" for name in names)


def _argument(one: Any) -> str:
    name = str(one.metavar or one.name).upper() + ("..." if one.nargs != 1 else "")
    return name if one.required else f"[{name}]"


def _is_option(one: Any) -> bool:
    return str(one.param_type_name) == "option"


def _words(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").strip()


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
