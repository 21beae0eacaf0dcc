"""What the target account is like (L-01): company, token user, users, fields, pipelines, stages, activity types, plan and head-room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.common.canonical import canonical_json
from services.common.errors import TargetRejectedError
from services.common.pipedrive_plans import plan_with_window
from services.loader.entities import schema
from services.loader.pipedrive import lists
from services.loader.pipedrive.client import CallContext
from services.loader.quota.leases import Priority

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.loader.pipedrive.client import PipedriveClient

_COMPANY: Final = (
    "company_id",
    "company_name",
    "company_domain",
    "company_country",
    "default_currency",
    "timezone_name",
    "timezone_offset",
    "locale",
    "language",
)


class Inspection:
    """Looks at an account with one client."""

    def __init__(self, client: PipedriveClient) -> None:
        self._client = client
        self._context = CallContext(priority=Priority.VERIFY)

    @property
    def token_count(self) -> int:
        """Tokens spent so far."""
        return self._context.token_count

    async def look(self) -> dict[str, Any]:
        """Answers the account, all but the quota.

        Raises:
            UnauthorizedError, UnavailableError, RateLimitedError: see `PipedriveClient.call`.
        """
        me = (await self._client.call("users.me", self._context)).data or {}
        users = await schema.list_users(self._client, self._context)
        fields = {entity: await schema.list_fields(self._client, self._context, entity) for entity in schema.FIELD_ENTITIES}
        custom = sum(bool(field.raw.get("is_custom_field")) for definitions in fields.values() for field in definitions)
        return {
            "company": {name: me[name] for name in _COMPANY if me.get(name) is not None},
            "token_user": {"id": me.get("id"), "name": me.get("name"), "email": me.get("email"), "is_admin": is_admin(me)},
            "users": [{name: user.get(name) for name in ("id", "name", "email", "active_flag")} for user in users],
            "fields": {entity: [_field(definition.raw) for definition in definitions] for entity, definitions in fields.items()},
            "pipelines": await schema.PIPELINE.list_all(self._client, self._context),
            "stages": await schema.STAGE.list_all(self._client, self._context),
            "activity_types": await schema.ACTIVITY_TYPE.list_all(self._client, self._context),
            "activity_outcomes": await schema.list_outcomes(self._client, self._context),
            "counts": {"custom_fields": custom, "open_deals": await self._open_deals()},
        }

    async def _open_deals(self) -> int | None:
        """Counts open deals: a page tells for small accounts, the summary for large ones; None when the account does not say."""
        page = await self._client.call("deals.list", self._context, query={"status": "open", "limit": lists.PAGE_MAX})
        if not page.additional.get("next_cursor"):
            return len(page.data or [])
        try:
            summary = (await self._client.call("deals.summary", self._context, query={"status": "open"})).data or {}
        except TargetRejectedError:
            return None
        count = summary.get("total_count")
        return count if isinstance(count, int) else None


def is_admin(me: Mapping[str, Any]) -> bool:
    """Whether the token's user is an admin (G-02): others do not see every record."""
    return bool(me.get("is_admin")) or any(access.get("admin") for access in me.get("access") or [])


def plan_and_caps(*, window_limit: int, daily_limit: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Guesses plan, seats and caps from the limits in the headers (G-05); empty where the limits fit no plan."""
    plan = plan_with_window(window_limit)
    if plan is None:
        return {"name": None, "seats": None}, {"custom_fields": None, "open_deals": None}
    seats = daily_limit // plan.seat_tokens or None
    return {"name": plan.name, "seats": seats}, {
        "custom_fields": plan.custom_fields,
        "open_deals": plan.open_deals(seats) if seats else None,
    }


def target_json(account: Mapping[str, Any], *, quota: Mapping[str, Any]) -> bytes:
    """Writes the answer of `InspectTarget`."""
    plan, caps = plan_and_caps(window_limit=quota["window_limit"], daily_limit=quota["daily_token_limit"])
    return canonical_json({**account, "quota": {**quota, "plan": plan}, "caps": caps})


def _field(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "field_code": raw["field_code"],
        "field_name": raw["field_name"],
        "field_type": raw["field_type"],
        "is_custom_field": bool(raw.get("is_custom_field")),
        "options": [{"id": option["id"], "label": option["label"]} for option in raw.get("options") or []],
    }
