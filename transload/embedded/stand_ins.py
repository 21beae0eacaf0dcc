"""What stands in for a source, or for Pipedrive, in rehearsals and tests: a simulator that is called, or a generator that writes export bundles.

Ours are the packages `sandbox.<name>`; one of another package is the module its entry point names, in the group `transload.simulators` or
`transload.generators`. Either may have a file `stand_in.yaml` in the same package, with what differs from the defaults of `StandIn`. No list names
them.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from transload.embedded.errors import StackError

SIMULATORS: Final = "transload.simulators"
GENERATORS: Final = "transload.generators"
OWN_PACKAGE: Final = "sandbox"
DESCRIPTION: Final = "stand_in.yaml"


class Secret(BaseModel):
    """How a simulator is told the secret of its account, and where a connection to it holds that secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    option: str = "--key-file"
    """The simulator's option for the file with the secret."""
    part: str = "key"
    """The part of the connection that holds it."""
    others: dict[str, str] = {}
    """Further parts of the connection, the same for all."""


class StandIn(BaseModel):
    """A stand-in, as its `stand_in.yaml` describes it; everything may be missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    module: str
    """What `python -m` runs."""
    title: str = ""
    """The source's name for people."""
    kind: Literal["simulator", "generator"] = "generator"
    size_option: str = "--size"
    """The option for how much it holds."""
    plans: tuple[str, ...] = ()
    """Its plans, the one with most calls last."""
    options: dict[str, Any] = {}
    """Options of the connector that suit it; `{plan}` stands for the plan."""
    secret: Secret = Secret()
    url_path: str = ""
    """Of a simulator: what follows its address in the connection's URL."""

    def connector_options(self, plan: str) -> dict[str, Any]:
        """Answer the options of the connector that suit it when it has this plan."""
        return {key: value.format(plan=plan) if isinstance(value, str) and plan else value for key, value in self.options.items()}


def stand_in_names() -> list[str]:
    """Answer the names of all there are, in alphabetical order."""
    own = find_spec(OWN_PACKAGE)
    places = own.submodule_search_locations if own is not None else None
    found = {one.name for one in iter_modules(places or ()) if one.ispkg and find_spec(f"{OWN_PACKAGE}.{one.name}.__main__") is not None}
    return sorted(found | {one.name for group in (SIMULATORS, GENERATORS) for one in entry_points(group=group)})


def find_stand_in(name: str) -> StandIn:
    """Answer the stand-in of a source.

    Raises:
        StackError: there is none of this name, or its description is wrong; the message says what to do.
    """
    name = name.replace("-", "_")
    for group, kind in ((SIMULATORS, "simulator"), (GENERATORS, "generator")):
        for entry in entry_points(group=group, name=name):
            return _described(name, entry.value, entry.value.rpartition(".")[0] or entry.value, {"kind": kind})
    module = f"{OWN_PACKAGE}.{name}"
    if name not in (names := stand_in_names()):
        raise StackError(f"nothing stands in for {name!r}; there are: {', '.join(names) or 'none, the package sandbox is not installed'}")
    return _described(name, module, module, {})


def _described(name: str, module: str, package: str, told: dict[str, str]) -> StandIn:
    place = files(package).joinpath(DESCRIPTION)
    try:
        found = yaml.safe_load(place.read_text(encoding="utf-8")) if place.is_file() else {}
        return StandIn.model_validate({"title": name.replace("_", " ").title(), **found, **told, "name": name, "module": module})
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise StackError(f"{DESCRIPTION} of {package} is wrong: {error}") from error
