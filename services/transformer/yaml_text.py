"""Writes YAML so that every text comes back as it was: line ends that YAML would fold, and marks it would drop, are written as escapes."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_WIDTH: Final = 140
_FOLDED: Final = re.compile("[\x85\u2028\u2029\ufeff]")


class _Dumper(yaml.SafeDumper):
    """Writes texts with other line ends than a line feed in double quotes."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = '"' if _FOLDED.search(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump(document: Any) -> str:
    """Write a document in block style, keys in their order."""
    written: str = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_WIDTH, default_flow_style=False)
    return written
