"""Reads a mapping from YAML, with its layers, and finds the one that comes with a connector."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from services.common.errors import MappingError, NotFoundError
from services.common.sources import installed_mapping
from services.transformer.mapping.document import Mapping

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType


_LAYERS = ("account", "overrides")
DEPTH_MAX: Final = 60
"""Objects and lists inside each other in a mapping; the files that come with the connectors need less than 20."""
VALUES_MAX: Final = 1_000_000
_TOO_DEEP: Final = f"the mapping has more than {DEPTH_MAX} objects or lists inside each other"


def merge(base: Any, layer: Any) -> Any:
    """Lay one YAML value over another: objects key by key, null takes a key away, anything else replaces."""
    if not isinstance(base, dict) or not isinstance(layer, dict):
        return layer
    merged = dict(base)
    for key, value in layer.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged[key], value) if key in merged else value
    return merged


class _Loader(yaml.CSafeLoader):  # type: ignore[misc, name-defined, unused-ignore]
    """Reads YAML and refuses a key that stands twice, which would silently lose a rule."""


def _mapping_without_repeats(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_repeats)


def read_document(text: str) -> dict[str, Any]:
    """Read a YAML document whose root is an object; an empty one counts as an empty object.

    Raises:
        MappingError: it is no YAML, or something else than an object.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is not None:
            _weigh(node, 1, {})
        document = None if node is None else loader.construct_document(node)
    except yaml.YAMLError as error:
        raise MappingError(f"the mapping is not readable YAML: {error}") from error
    except RecursionError:
        raise MappingError(_TOO_DEEP) from None
    except (ValueError, TypeError, AttributeError) as error:
        # The reader's own words for `!!int x`, `2001-99-99`, or a list as a key are Python's.
        raise MappingError("the mapping is not readable YAML: a date or a number in it is none, or a key is no text") from error
    finally:
        loader.dispose()
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise MappingError("the mapping must be an object with keys such as `entities`")
    return document


def _weigh(node: yaml.Node, depth: int, known: dict[int, int]) -> int:
    """Answer how many values a node stands for, those that aliases repeat included: a few lines can stand for more than memory holds.

    Raises:
        MappingError: there are too many, or they lie too deep inside each other.
    """
    if depth > DEPTH_MAX:
        raise MappingError(_TOO_DEEP)
    if (weight := known.get(id(node))) is not None:
        return weight
    weight = 1
    if isinstance(node, yaml.SequenceNode):
        weight += sum(_weigh(one, depth + 1, known) for one in node.value)
    elif isinstance(node, yaml.MappingNode):
        weight += sum(_weigh(key, depth + 1, known) + _weigh(value, depth + 1, known) for key, value in node.value)
    if weight > VALUES_MAX:
        raise MappingError(f"the mapping stands for more than {VALUES_MAX} values: aliases repeat too much")
    known[id(node)] = weight
    return weight


def load_mapping(text: str) -> Mapping:
    """Read a mapping from YAML, with its `account` and `overrides` laid over it.

    Raises:
        MappingError: it cannot be read; the message names the place.
    """
    document = read_document(text)
    layers = [document.pop(name, None) or {} for name in _LAYERS]
    for layer in layers:
        document = merge(document, layer)
    return mapping_of(document)


def mapping_of(document: MappingType[str, Any]) -> Mapping:
    """Validate a mapping document. Raises MappingError naming every place that is wrong, ten at most."""
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        places = [f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors(include_url=False)[:10]]
        raise MappingError("the mapping cannot be read: " + "; ".join(places)) from error


@cache
def connector_mapping_text(connector: str) -> str:
    """Answer the mapping file that comes with a connector.

    Raises:
        NotFoundError: there is none.
    """
    resource = files("services.transformer").joinpath("mappings", f"{connector}.yaml")
    if connector.replace("_", "").isalnum() and resource.is_file():
        return resource.read_text(encoding="utf-8")
    if (text := installed_mapping(connector)) is not None:
        return text
    raise NotFoundError(f"there is no mapping for the connector {connector!r}")
