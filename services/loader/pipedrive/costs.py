"""The versioned cost table: what operations there are and what each costs in tokens."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEARCH: Final = "/search"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of Pipedrive's API.

    Attributes:
        name: our name, `collection.verb`.
        method: HTTP method.
        path: path with `{id}` and the like left open.
        token_count: cost in tokens, the same for every call (API.md 2.2).
        is_search: counts in the search window too.
    """

    name: str
    method: str
    path: str
    token_count: int
    is_search: bool

    @property
    def is_repeatable(self) -> bool:
        """Whether doing it twice is doing it once: everything but POST."""
        return self.method != "POST"

    @property
    def is_download(self) -> bool:
        """Whether the answer is the bytes of a file, not JSON."""
        return self.path.endswith("/download")


@cache
def operations() -> Mapping[str, Operation]:
    """Answers all operations by name, from `token_costs.csv`."""
    rows = csv.DictReader(line for line in _table().splitlines() if not line.startswith("#"))
    found = {
        row["operation"]: Operation(row["operation"], row["method"], row["path"], int(row["token_count"]), _SEARCH in row["path"]) for row in rows
    }
    return MappingProxyType(found)


@cache
def version() -> str:
    """Answers the version of the table, the date of its state: `2026-08-18`."""
    found = re.search(r"^#.*Version (\d{4}-\d{2}-\d{2})", _table())
    if found is None:
        raise ValueError("token_costs.csv does not name its version")
    return found.group(1)


def _table() -> str:
    return resources.files("services.loader.pipedrive").joinpath("token_costs.csv").read_text(encoding="utf-8")


def operation(name: str) -> Operation:
    """Answers one operation. Raises KeyError for a name the table does not have."""
    return operations()[name]
