"""Changes to a rule: whether it moves, its paths, its transforms, its default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from services.common.errors import MappingError
from services.transformer.catalogue import CATALOGUE
from services.transformer.paths import parse_path
from services.transformer.workbook.decisions import LEAVE, MOVE
from services.transformer.workbook.sheet import Refused, choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.transformer.links import Links
    from services.transformer.workbook.layer import Layer


NOTHING: Final[Mapping[str, Any]] = {"value": None}
"""A rule that gives no value."""
PATHS_SEPARATOR: Final = ";"
_CHAIN_CHARACTERS_MAX: Final = 10_000


def written_chain(steps: Sequence[str | dict[str, Any]]) -> str:
    """Write a chain of transforms as it is written in the mapping, without the brackets around it."""
    return yaml.dump(list(steps), default_flow_style=True, allow_unicode=True, width=100_000, sort_keys=False).strip()[1:-1] if steps else ""


def read_chain(written: str) -> list[Any]:
    """Read a chain of transforms.

    Raises:
        Refused: it cannot be read, or names a transform that is not there.
    """
    try:
        steps = yaml.safe_load(f"[{written}]") if len(written) <= _CHAIN_CHARACTERS_MAX else None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(
            f"{written!r} cannot be read; write names separated by commas, options in braces: strip, {{truncate: {{length: 80}}}}"
        ) from error
    if not isinstance(steps, list):
        raise Refused(f"no chain of transforms of at most {_CHAIN_CHARACTERS_MAX} characters")
    for step in steps:
        name = next(iter(step)) if isinstance(step, dict) and len(step) == 1 else step
        if not isinstance(name, str) or name not in CATALOGUE:
            raise Refused(f"there is no transform {name!r}", sorted(CATALOGUE))
    return list(steps)


Place = tuple[str, int, str, str]
"""Entity, position of the target, `fields` or `custom`, name."""


def _raw_rule(layer: Layer, place: Place) -> dict[str, Any]:
    """Answer a rule as it is written, the one of a fragment where the target has none of its own."""
    entity, position, part, name = place
    target = layer.targets(entity)[position]
    raw = (target.get(part) or {}).get(name)
    if raw is None:
        for fragment in target.get("include") or []:
            raw = layer.get("fragments", fragment, part, name) or raw
    return dict(raw) if isinstance(raw, dict) else {"from": raw}


def write_rule(layer: Layer, place: Place, raw: Any) -> None:
    """Write a rule into the overrides: lists are replaced whole, so the entity's targets are written as they will be. None takes the rule away."""
    entity, position, part, name = place
    targets = layer.targets(entity)
    rules = targets[position].setdefault(part, {})
    if raw is None:
        rules.pop(name, None)
    else:
        rules[name] = raw
    if not rules:
        targets[position].pop(part)
    layer.set(("entities", entity, "targets"), targets)


def decision_edit(place: Place) -> Any:
    """Answer the change of the decision: leave the field out, or back to what the mapping says."""
    entity, position, part, name = place

    def apply(layer: Layer, written: str) -> None:
        word = choice(written, (MOVE, LEAVE))
        if word == LEAVE:
            write_rule(layer, place, dict(NOTHING))
            return
        # Back to what the mapping says without the wish to leave it.
        base = layer.base.get("entities", {}).get(entity, {}).get("targets") or []
        raw = (base[position].get(part) or {}).get(name) if position < len(base) else None
        write_rule(layer, place, raw if raw != NOTHING else None)

    return apply


def paths_edit(place: Place, links: Links, alias: str) -> Any:
    """Answer the change of the source paths."""

    def apply(layer: Layer, written: str) -> None:
        paths = [path.strip() for path in written.split(PATHS_SEPARATOR) if path.strip()]
        if not paths:
            raise Refused("must not be empty; to leave the field out, write leave under Decision")
        for path in paths:
            try:
                parse_path(path, links, alias)
            except MappingError as error:
                raise Refused(error.message) from error
        write_rule(layer, place, _raw_rule(layer, place) | {"from": paths[0] if len(paths) == 1 else paths})

    return apply


def chain_edit(place: Place) -> Any:
    """Answer the change of the transforms."""

    def apply(layer: Layer, written: str) -> None:
        _set_key(layer, place, "transforms", read_chain(written) or None)

    return apply


def default_edit(place: Place) -> Any:
    """Answer the change of the default."""

    def apply(layer: Layer, written: str) -> None:
        _set_key(layer, place, "default", written.strip() or None)

    return apply


def _set_key(layer: Layer, place: Place, key: str, value: Any) -> None:
    raw = _raw_rule(layer, place)
    if value is None:
        raw.pop(key, None)
    else:
        raw[key] = value
    write_rule(layer, place, raw)
