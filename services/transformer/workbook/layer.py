"""The overrides of a mapping document, and the text with other overrides in it: comments and layout of everything else stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from services.common.errors import MappingError
from services.transformer.mapping.reading import merge, read_document
from services.transformer.yaml_text import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

OVERRIDES: Final = "overrides"
_HEADER: Final = """
# ------------------------------------------------------------------ Wishes of this migration; they win over everything above

"""


class Layer:
    """The overrides of one document while they are edited.

    Attributes:
        base: the document with `account` laid over it, without overrides.
        overrides: what a person wants otherwise.
    """

    def __init__(self, text: str) -> None:
        document = read_document(text)
        self.overrides: dict[str, Any] = _unshared(document.pop(OVERRIDES, None) or {})
        account = document.pop("account", None) or {}
        self.base: dict[str, Any] = merge(document, account)

    def get(self, *keys: str) -> Any:
        """Answer a value of the whole document, overrides applied; None for none."""
        below: Any = self.base
        above: Any = self.overrides
        for position, key in enumerate(keys):
            if not isinstance(above, dict) or key not in above:
                return _get(below, keys[position:])
            above = above[key]
            if above is None:
                return None
            below = below.get(key) if isinstance(below, dict) else None
        return merge(below, above)

    def in_base(self, *keys: str) -> Any:
        """Answer a value of the document without the overrides; None for none."""
        return _get(self.base, keys)

    def set(self, keys: Sequence[str], value: Any) -> None:
        """Write a value into the overrides. What is as it was without them is not written; None takes a key away."""
        before = _get(self.base, keys)
        if before == value and isinstance(before, bool) == isinstance(value, bool):
            _drop(self.overrides, keys)
        else:
            _put(self.overrides, keys, _unshared(value))

    def targets(self, entity: str) -> list[dict[str, Any]]:
        """Answer a copy of an entity's targets; write it back with `set`."""
        found: list[dict[str, Any]] = _unshared(self.get("entities", entity, "targets") or [])
        return found


def with_overrides(text: str, overrides: dict[str, Any]) -> str:
    """Answer the text with these overrides instead of its own; nothing else of it changes, and without a difference nothing at all.

    Raises:
        MappingError: the text is no YAML.
    """
    if (read_document(text).get(OVERRIDES) or {}) == overrides:
        return text
    written = dump({OVERRIDES: overrides}) if overrides else ""
    place = _place(text)
    if place is None:
        return text.rstrip("\n") + "\n" + _HEADER + written if written else text
    start, end = place
    return text[:start] + written + text[end:]


def _place(text: str) -> tuple[int, int] | None:
    """Answer where the overrides stand: from their key to the end of their last line with content."""
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise MappingError(f"the mapping is not readable YAML: {error}") from error
    for key, value in root.value if isinstance(root, yaml.MappingNode) else ():
        if key.value == OVERRIDES:
            end = value.end_mark.index
            content = text[key.start_mark.index : end].rstrip()
            # Comments that follow the block belong to what comes after it.
            lines = content.split("\n")
            while len(lines) > 1 and lines[-1].startswith("#"):
                lines.pop()
            content = "\n".join(lines).rstrip()
            start = int(key.start_mark.index)
            end = start + len(content)
            return start, end + (1 if text[end : end + 1] == "\n" else 0)
    return None


def _unshared(value: Any) -> Any:
    """Copy a value so that nothing in it is the same object twice: what YAML anchors share would be changed in two places."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def _get(document: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(document, dict) or key not in document:
            return None
        document = document[key]
    return document


def _put(document: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = document.get(key)
        if not isinstance(inner, dict):
            inner = document[key] = {}
        document = inner
    document[keys[-1]] = value


def _drop(document: dict[str, Any], keys: Sequence[str]) -> None:
    """Take a key away, and the objects that are empty without it."""
    parents = [document]
    for key in keys[:-1]:
        inner = parents[-1].get(key)
        if not isinstance(inner, dict):
            return
        parents.append(inner)
    parents[-1].pop(keys[-1], None)
    for parent, key in zip(reversed(parents[:-1]), reversed(keys[:-1]), strict=True):
        if not parent[key]:
            parent.pop(key)
