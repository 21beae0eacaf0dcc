"""The bulk delete of activity types, which version 1 had until August 2026."""

from dataclasses import replace

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.v1.activity_types import ActivityTypes
from sandbox.pipedrive.v1.common import ids_of


def routes(account: Account) -> list[Route]:
    """Return the bulk delete."""
    types = ActivityTypes(account)

    def delete_many(call: Call) -> Result:
        """Switch several types off; unknown ones are left out (assumed)."""
        table = account.store["activity_type"]
        found = [kind["id"] for type_id in ids_of(call) if (kind := table.get(type_id)) is not None and kind["active_flag"]]
        for type_id in found:
            types.delete(replace(call, params=(str(type_id),)))
        return success({"id": found})

    return [Route("DELETE", "/v1/activityTypes", 1, 10, delete_many)]
