"""The operations served. Each module names its own, with Pipedrive's `x-token-cost` figures."""

from dataclasses import replace

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.v1 import (
    activity_types,
    call_logs,
    changelogs,
    comments,
    deal_lists,
    files,
    filters,
    lead_fields,
    lead_labels,
    leads,
    links,
    merge,
    notes,
    participants,
    pictures,
    recents,
    relations,
    remote_files,
    summary,
    timelines,
    users,
    webhooks,
)
from sandbox.pipedrive.v1 import fields as v1_fields
from sandbox.pipedrive.v1 import followers as v1_followers
from sandbox.pipedrive.v1.deprecated import operations as v1_deprecated
from sandbox.pipedrive.v2 import (
    activities,
    conversions,
    deal_products,
    deals,
    discounts,
    fields,
    followers,
    images,
    installments,
    organizations,
    persons,
    pipelines,
    products,
    search,
    variations,
)

MODULES = (
    deals, persons, organizations, products, activities, pipelines, deal_products, fields, search,
    users, summary, notes, files, activity_types, relations, filters, v1_fields,
    changelogs, timelines, recents, webhooks, comments, remote_files, call_logs,
    discounts, installments,
    followers, v1_followers, links, merge, participants,
    leads, lead_labels, lead_fields, conversions,
    variations, images, pictures,
    deal_lists, v1_deprecated,
)  # fmt: skip
"""Each has `routes(account)`."""
_BULK_DELETE = "/api/v2/deals/{id}/products"
_SET_UP = ("Fields", "pipelines", "stages", "activityTypes")


def build_routes(account: Account) -> list[Route]:
    """Return all operations of an account."""
    routes = [route for module in MODULES for route in module.routes(account)]
    return [replace(route, has_query=_has_query(route), needs_admin=_needs_admin(route)) for route in routes]


def _has_query(route: Route) -> bool:
    return route.method == "GET" or route.version == 1 or (route.method == "DELETE" and route.template == _BULK_DELETE)


def _needs_admin(route: Route) -> bool:
    """Whether it changes the company's set-up, which takes an admin."""
    return route.method != "GET" and route.template.split("/")[3 if route.version == 2 else 2].endswith(_SET_UP)
