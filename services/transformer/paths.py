"""Source paths: how a rule names a value. `legal-name`, `main-address.city-town`, `state -> name`, `latest_asset -> warranty-end-date`.

Dots go into objects, arrows go over a link to another record; over a list, both go to every element. Unknown keys give no value, never an error:
sources leave out what is empty. Links may be followed from any object that holds their field, so `product-warehouses.warehouse -> name` is
the names of all warehouses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.empty import is_empty
from services.transformer.snapshot.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from services.transformer.context import Context
    from services.transformer.links import Links, Place

Getter: TypeAlias = "Callable[[Context], Any]"

SOURCE_KEY: Final = "@key"
"""At the end of a path to a record: the record's `{entity}/{id}`."""


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path: keys to go into, separated by links to follow."""

    text: str
    root: str
    """Alias of the current element when the path starts there, else empty."""
    hops: tuple[tuple[tuple[str, ...], str], ...]
    """Keys, then the link to follow from there."""
    keys: tuple[str, ...]
    """Keys at the end."""

    @property
    def own_field(self) -> str:
        """The field of the mapped record itself that the path is; empty when it is more than that."""
        return self.keys[0] if len(self.keys) == 1 and not self.root and not self.hops else ""

    @property
    def first_key(self) -> str:
        """The field of the mapped record itself that the path reads; empty when it starts at the element or at a link."""
        keys = self.hops[0][0] if self.hops else self.keys
        return "" if self.root or not keys else keys[0]


def parse_path(text: str, links: Links, alias: str = "") -> Path:
    """Take a path apart.

    Raises:
        MappingError: an arrow follows something that is no link.
    """
    *before, last = [part.strip() for part in text.split("->")]
    root = ""
    hops = []
    for position, part in enumerate(before):
        names = _split(part)
        if position == 0 and alias and names[0] == alias:
            root, names = alias, names[1:]
        if not names or names[-1] not in links:
            raise MappingError(f"path `{text}`: `{part}` is not a link; known links: {', '.join(sorted(links.rules))}")
        hops.append((names[:-1], names[-1]))
    names = _split(last)
    if not before and alias and names[0] == alias:
        root, names = alias, names[1:]
    if names and names[-1] in links:
        hops.append((names[:-1], names[-1]))
        names = ()
    return Path(text=text, root=root, hops=tuple(hops), keys=names)


def _split(part: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in part.split("."))
    if not all(names):
        raise MappingError(f"path part `{part}` has an empty name")
    return names


def compile_path(path: Path, links: Links) -> Getter:
    """Make a function that reads the path's value from a context."""
    if path.own_field:
        key = path.own_field
        return lambda context: context.envelope.data.get(key)
    if not path.root and not path.hops:
        keys = path.keys
        return lambda context: descend(context.envelope.data, keys)

    root, hops, last = path.root, path.hops, path.keys
    if not hops:
        return _element_getter(last)
    if len(hops) == 1 and not hops[0][0]:  # nearly always
        link = hops[0][1]
        if root:
            return lambda context: descend(follow(links, link, context.element, context), last)
        return lambda context: descend(follow(links, link, context.envelope, context), last)

    def read(context: Context) -> Any:
        node: Any = context.element if root else context.envelope
        for keys, link in hops:
            if keys:
                node = descend(node, keys)
            node = follow(links, link, node, context)
            if node is None:
                return None
        return descend(node, last)

    return read


def _element_getter(keys: tuple[str, ...]) -> Getter:
    """Make a function that reads keys of the current element, which mostly is a record and the keys one of its fields."""
    if len(keys) != 1 or keys[0] == SOURCE_KEY:
        return lambda context: descend(context.element, keys)
    (key,) = keys

    def read(context: Context) -> Any:
        element = context.element
        return element.data.get(key) if type(element) is Envelope else descend(element, keys)

    return read


def follow(links: Links, link: str, node: Any, context: Context) -> Any:
    """Follow a link, once for each record that is being mapped: several fields and all lines of a document ask for the same."""
    if not isinstance(node, Envelope):
        return links.follow(link, node, context.lookup)
    key = (link, node.entity, node.id)
    memo = context.memo
    if key in memo:
        return memo[key]
    found = memo[key] = links.follow(link, node, context.lookup)
    return found


def compile_locate(link: str, links: Links) -> Callable[[Any, Context], Place | None]:
    """Make a function that says where a link leads from a record. One that asks the snapshot does so once for each record that is being mapped."""
    rule = links.rules[link]
    if rule.by is None and rule.decided is None and rule.merged_into is None:
        return lambda node, context: links.locate(link, node, context.lookup)
    name = f"{link} place"

    def locate(node: Any, context: Context) -> Place | None:
        if not isinstance(node, Envelope):
            return links.locate(link, node, context.lookup)
        key, memo = (name, node.entity, node.id), context.memo
        if key not in memo:
            memo[key] = links.locate(link, node, context.lookup)
        known: Place | None = memo[key]
        return known

    return locate


def compile_keys(keys: tuple[str, ...]) -> Getter:
    """Make a function that reads nested keys taken as they are, dots and all."""
    return lambda context: descend(context.envelope.data, keys)


def descend(node: Any, keys: tuple[str, ...]) -> Any:
    """Go into objects by keys; over a list, into every element that has a value there."""
    for position, key in enumerate(keys):
        if type(node) is dict:  # nearly always
            node = node.get(key)
            if node is None:
                return None
            continue
        if isinstance(node, list):
            rest = keys[position:]
            return [found for element in node if not is_empty(found := descend(element, rest))]
        if isinstance(node, Envelope):
            if key == SOURCE_KEY:
                return node.source_key
            node = node.data
        if not hasattr(node, "get"):
            return None
        node = node.get(key)
        if node is None:
            return None
    return node
