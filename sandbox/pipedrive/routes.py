"""The operations served, each with its documented cost in tokens, and the way from a path to one of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from sandbox.pipedrive.account import Account
from sandbox.pipedrive.call import Call, Result
from sandbox.pipedrive.v1.activity_types import ActivityTypes
from sandbox.pipedrive.v1.files import Files
from sandbox.pipedrive.v1.notes import Notes
from sandbox.pipedrive.v1.relations import Relations
from sandbox.pipedrive.v1.summary import DealSummary
from sandbox.pipedrive.v1.users import Users, currencies
from sandbox.pipedrive.v2.activities import Activities
from sandbox.pipedrive.v2.deal_products import DealProducts
from sandbox.pipedrive.v2.deals import Deals
from sandbox.pipedrive.v2.fields import FieldDefinitions
from sandbox.pipedrive.v2.organizations import Organizations
from sandbox.pipedrive.v2.persons import Persons
from sandbox.pipedrive.v2.pipelines import Pipelines, Stages
from sandbox.pipedrive.v2.products import Products
from sandbox.pipedrive.v2.resource import Resource
from sandbox.pipedrive.v2.search import Search

Kind = tuple[str, Resource, int]
"""Name in paths, rules, cost of a list."""
_BULK_DELETE = "/api/v2/deals/{id}/products"
_SET_UP = ("Fields", "pipelines", "stages", "activityTypes")
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


def build_routes(account: Account) -> list[Route]:
    """Return all operations of an account. Costs are Pipedrive's `x-token-cost` figures."""
    routes = [*_records(account), *_deal_extras(account), *_definitions(account), *_searches(account), *_version_1(account)]
    return [replace(route, has_query=_has_query(route), needs_admin=_needs_admin(route)) for route in routes]


def _has_query(route: Route) -> bool:
    return route.method == "GET" or route.version == 1 or route.template == _BULK_DELETE


def _needs_admin(route: Route) -> bool:
    """Whether it changes the company's set-up, which takes an admin."""
    return route.method != "GET" and route.template.split("/")[3 if route.version == 2 else 2].endswith(_SET_UP)


def _records(account: Account) -> list[Route]:
    deals = Deals(account)
    kinds: list[Kind] = [
        ("deals", deals, 10),
        ("persons", Persons(account), 10),
        ("organizations", Organizations(account), 10),
        ("products", Products(account), 10),
        ("activities", Activities(account), 10),
        ("pipelines", Pipelines(account), 5),
        ("stages", Stages(account), 5),
    ]
    routes = []
    for name, resource, list_tokens in kinds:
        base = f"/api/v2/{name}"
        routes += [
            Route("GET", base, 2, list_tokens, resource.list_all),
            Route("POST", base, 2, 5, resource.create),
            Route("GET", base + "/{id}", 2, 1, resource.get),
            Route("PATCH", base + "/{id}", 2, 5, resource.update),
            Route("DELETE", base + "/{id}", 2, 3, resource.delete),
        ]
    return [*routes, Route("GET", "/api/v2/deals/archived", 2, 20, deals.list_archived)]


def _deal_extras(account: Account) -> list[Route]:
    lines = DealProducts(account)
    base = "/api/v2/deals/{id}/products"
    return [
        Route("GET", "/api/v2/deals/products", 2, 10, lines.list_of_many),
        Route("GET", base, 2, 10, lines.list_of_one),
        Route("POST", base, 2, 5, lines.create),
        Route("DELETE", base, 2, 15, lines.delete_many),
        Route("POST", base + "/bulk", 2, 25, lines.create_many),
        Route("PATCH", base + "/{product_attachment_id}", 2, 5, lines.update),
        Route("DELETE", base + "/{product_attachment_id}", 2, 3, lines.delete),
    ]


def _definitions(account: Account) -> list[Route]:
    routes = []
    for entity in ("deal", "person", "organization", "product", "activity"):
        definitions = FieldDefinitions(account, entity)
        base = f"/api/v2/{entity}Fields"
        one = base + "/{field_code}"
        routes += [Route("GET", base, 2, 10, definitions.list_all), Route("GET", one, 2, 1, definitions.get)]
        if entity == "activity":
            continue
        routes += [
            Route("POST", base, 2, 5, definitions.create),
            Route("PATCH", one, 2, 5, definitions.update),
            Route("DELETE", one, 2, 3, definitions.delete),
            Route("POST", one + "/options", 2, 5, definitions.add_options),
            Route("PATCH", one + "/options", 2, 5, definitions.change_options),
            Route("DELETE", one + "/options", 2, 3, definitions.delete_options),
        ]
    return routes


def _searches(account: Account) -> list[Route]:
    search = Search(account)
    return [
        Route("GET", "/api/v2/itemSearch", 2, 20, search.items, is_search=True),
        Route("GET", "/api/v2/itemSearch/field", 2, 20, search.by_field, is_search=True),
        *(
            Route("GET", f"/api/v2/{name}/search", 2, 20, search.of(kind), is_search=True)
            for name, kind in (("deals", "deal"), ("persons", "person"), ("organizations", "organization"), ("products", "product"))
        ),
    ]


def _version_1(account: Account) -> list[Route]:
    users, notes, files = Users(account), Notes(account), Files(account)
    types, relations = ActivityTypes(account), Relations(account)
    return [
        Route("GET", "/v1/users", 1, 20, users.list_all),
        Route("GET", "/v1/users/find", 1, 40, users.find),
        Route("GET", "/v1/users/me", 1, 2, users.me),
        Route("GET", "/v1/users/{id}", 1, 2, users.get),
        Route("GET", "/v1/deals/summary", 1, 40, DealSummary(account).get),
        Route("GET", "/v1/currencies", 1, 20, currencies),
        Route("GET", "/v1/notes", 1, 20, notes.list_all),
        Route("POST", "/v1/notes", 1, 10, notes.create),
        Route("GET", "/v1/notes/{id}", 1, 2, notes.get),
        Route("PUT", "/v1/notes/{id}", 1, 10, notes.update),
        Route("DELETE", "/v1/notes/{id}", 1, 6, notes.delete),
        Route("GET", "/v1/files", 1, 20, files.list_all),
        Route("POST", "/v1/files", 1, 10, files.create),
        Route("GET", "/v1/files/{id}", 1, 2, files.get),
        Route("PUT", "/v1/files/{id}", 1, 10, files.update),
        Route("DELETE", "/v1/files/{id}", 1, 6, files.delete),
        Route("GET", "/v1/files/{id}/download", 1, 20, files.download),
        Route("GET", "/v1/deals/{id}/files", 1, 20, files.list_of("deal_id")),
        Route("GET", "/v1/persons/{id}/files", 1, 20, files.list_of("person_id")),
        Route("GET", "/v1/organizations/{id}/files", 1, 20, files.list_of("org_id")),
        Route("GET", "/v1/products/{id}/files", 1, 20, files.list_of("product_id")),
        Route("GET", "/v1/activityTypes", 1, 20, types.list_all),
        Route("POST", "/v1/activityTypes", 1, 10, types.create),
        Route("PUT", "/v1/activityTypes/{id}", 1, 10, types.update),
        Route("DELETE", "/v1/activityTypes/{id}", 1, 6, types.delete),
        Route("GET", "/v1/organizationRelationships", 1, 20, relations.list_all),
        Route("POST", "/v1/organizationRelationships", 1, 10, relations.create),
        Route("GET", "/v1/organizationRelationships/{id}", 1, 2, relations.get),
        Route("PUT", "/v1/organizationRelationships/{id}", 1, 10, relations.update),
        Route("DELETE", "/v1/organizationRelationships/{id}", 1, 6, relations.delete),
    ]
