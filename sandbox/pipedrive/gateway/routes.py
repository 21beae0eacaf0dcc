"""One operation with its documented cost in tokens, and the way from a path to it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sandbox.pipedrive.gateway.call import Call, Result

Handler = Callable[[Call], Result | Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation."""

    method: str
    template: str
    version: int
    tokens: int
    handler: Handler
    is_search: bool = False
    has_query: bool = True
    """Whether the operation reads its query itself; otherwise version 2 refuses any parameter."""
    needs_admin: bool = False

    @property
    def operation(self) -> str:
        """Name in the journal."""
        return f"{self.method} {self.template}"


@dataclass(slots=True)
class _Node:
    """One position in the tree of paths."""

    literals: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    methods: dict[str, Route] = field(default_factory=dict)


class Router:
    """Finds the operation of a path. A literal segment wins over a parameter."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._roots = {1: _Node(), 2: _Node()}
        for route in routes:
            node = self._roots[route.version]
            for segment in _segments(route.template)[1]:
                if segment.startswith("{"):
                    node.parameter = node.parameter or _Node()
                    node = node.parameter
                else:
                    node = node.literals.setdefault(segment, _Node())
            node.methods[route.method] = route

    def find(self, path: str) -> tuple[int, dict[str, Route], tuple[str, ...]]:
        """Return the version, the operations by method (none for an unknown path) and the parameters of a path."""
        version, segments = _segments(path)
        found = _walk(self._roots[version], segments) if version else None
        return (version or 1, {}, ()) if found is None else (version, *found)


def _walk(node: _Node, segments: list[str]) -> tuple[dict[str, Route], tuple[str, ...]] | None:
    if not segments:
        return (node.methods, ()) if node.methods else None
    following = node.literals.get(segments[0])
    if following is not None and (found := _walk(following, segments[1:])) is not None:
        return found
    if node.parameter is not None and (found := _walk(node.parameter, segments[1:])) is not None:
        return found[0], (segments[0], *found[1])
    return None


def _segments(path: str) -> tuple[int, list[str]]:
    """Return the version (0 for none) and the segments after it. Version 1 has two prefixes, version 2 one."""
    for prefix, version in (("/api/v2/", 2), ("/v1/", 1), ("/api/v1/", 1)):
        if path.startswith(prefix):
            return version, path[len(prefix) :].rstrip("/").split("/")
    return 0, []
