"""Every command and option of `transload` stands in the docs, with words."""

from __future__ import annotations

import re

import pytest

from tools import commands_page

COMMANDS = dict(commands_page.commands())


def test_the_page_is_up_to_date() -> None:
    assert commands_page.PAGE.read_text(encoding="utf-8") == commands_page.render(), "run `python tools/commands_page.py`"


def test_the_tree_is_walked_to_its_leaves() -> None:
    assert {"transload scope", "transload mapping import-workbook", "transload source check", "transload sandbox pipedrive"} <= COMMANDS.keys()
    assert len(COMMANDS) > 40


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_its_arguments_and_options_are_named_and_explained(name: str) -> None:
    text = commands_page.PAGE.read_text(encoding="utf-8")
    section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
    common = text.split("\n## Options of many commands\n")[1].split("\n## ")[0]
    assert COMMANDS[name].help, "a command says what it does"
    for one in COMMANDS[name].params:
        for option in (*one.opts, *one.secondary_opts) if one.param_type_name == "option" else ():
            assert re.search(rf"`{re.escape(option)}`", section), option
            assert re.search(rf"`{re.escape(option)}`[^\n]*\| \S", section + common), f"{option} has no words"
