"""The deprecated operations of version 1, which an account serves on request only."""

from dataclasses import replace

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import ApiError
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.v1.deprecated import activities, activity_types, contacts, deal_products, deals, lists, pipelines, products, search

MODULES = (deals, contacts, activities, activity_types, products, pipelines, deal_products, lists, search)
"""Each has `routes(account)`."""


def routes(account: Account) -> list[Route]:
    """Return the deprecated operations; without the option they are gone."""
    found = [route for module in MODULES for route in module.routes(account)]
    return found if account.options.deprecated_v1 else [replace(route, handler=gone) for route in found]


def gone(call: Call) -> Result:
    """Answer 410, one of the statuses Pipedrive lists; that these operations give it is assumed."""
    del call
    raise ApiError(410, "This endpoint is out of support. Use version 2 of the API.")
