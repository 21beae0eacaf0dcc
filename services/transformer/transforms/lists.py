"""Transforms of lists: taking one element, counting, sorting, writing them as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from services.transformer.transforms.problem import shown
from services.transformer.transforms.texts import text_or_none, texts_of

_KEY_IN_BRACES: Final = re.compile(r"\{([^{}]+)\}")


def first_of(value: object) -> object:
    """Take the first element of a list that has a value; anything else stays as it is."""
    if isinstance(value, list):
        return next((element for element in value if element not in (None, "", [], {})), None)
    return value


def count(value: object) -> int | None:
    """Count the elements of a list; one value counts as one."""
    if isinstance(value, str) and not value.strip():
        return None
    return len(value) if isinstance(value, list) else 1


def sort(value: object, *, by: str) -> list[Any]:
    """Sort a list of objects by one of their numbers or texts; objects without it come last."""
    elements = value if isinstance(value, list) else [value]
    return sorted(elements, key=lambda element: sort_key(element.get(by) if isinstance(element, Mapping) else None))


def sort_key(value: object) -> tuple[int, float, str]:
    """Answer a key that puts numbers before texts and missing values last."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0, value, ""
    return (2, 0.0, "") if value is None else (1, 0.0, value if isinstance(value, str) else shown(value))


def each(value: object, *, template: str, needs: str | None = None) -> list[str] | None:
    """Write every object of a list as text: keys in braces are filled in.

    Objects without any of them, without the key `needs`, or whose own field `deleted` is true are left out.
    """
    elements = value if isinstance(value, list) else [value]
    written = []
    for element in elements:
        if not isinstance(element, Mapping) or element.get("deleted") is True:
            continue
        if needs is not None and text_or_none(element.get(needs)) is None:
            continue
        found = {key: text_or_none(element.get(key)) for key in _KEY_IN_BRACES.findall(template)}
        if any(found.values()):
            written.append(_KEY_IN_BRACES.sub(lambda match, known=found: known[match[1]] or "", template).strip())  # type: ignore[misc]
    return written or None


def lines(value: object, *, kind: Literal["comma", "line"] = "comma", repeated: bool = False) -> str | None:
    """Join the texts of a list, keeping their order; of equal ones only the first, unless `repeated`."""
    found = texts_of(value)
    return (", " if kind == "comma" else "\n").join(found if repeated else dict.fromkeys(found)) or None
