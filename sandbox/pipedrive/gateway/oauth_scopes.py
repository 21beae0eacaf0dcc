"""Which OAuth scopes each operation takes, as the official specifications say; any one of those named is enough."""

from functools import cache

from sandbox.pipedrive.gateway.routes import Route

ALL_SCOPES = (
    "base", "deals:full", "activities:full", "contacts:full", "products:full", "projects:full", "leads:full", "users:read", "recents:read",
    "search:read", "deal-fields:full", "contact-fields:full", "product-fields:full", "mail:full", "goals:full", "admin", "phone-integration",
)  # fmt: skip
_READ: dict[str, str] = {
    "activities": "activities", "activityTypes": "activities admin", "callLogs": "phone-integration",
    "currencies": "base", "dealFields": "deals deal-fields admin", "deals": "deals", "files": "deals activities contacts",
    "filters": "deals activities contacts", "itemSearch": "search:read", "leadFields": "leads admin", "leadLabels": "leads", "leadSources": "leads",
    "leads": "leads", "noteFields": "deals contacts", "notes": "deals contacts", "organizationFields": "contacts contact-fields admin",
    "organizationRelationships": "contacts", "organizations": "contacts", "permissionSets": "admin", "personFields": "contacts contact-fields admin",
    "persons": "contacts", "pipelines": "deals admin", "productFields": "products product-fields", "products": "products",
    "recents": "recents:read search:read", "stages": "deals admin", "users": "users:read", "userSettings": "base",
    "webhooks": "admin",
}  # fmt: skip
_WRITE: dict[str, str] = {
    **_READ, "activityTypes": "admin", "pipelines": "admin", "stages": "admin", "users": "admin",
    "dealFields": "deal-fields admin", "organizationFields": "contact-fields admin", "personFields": "contact-fields admin",
}  # fmt: skip
"""A word without a colon is the family: `:read` and `:full` of it are good for reading, `:full` for writing."""
_PLAIN = frozenset({"admin", "base", "phone-integration"})


@cache
def scopes_of(method: str, template: str, version: int) -> frozenset[str]:
    """Return the scopes of which a token needs one."""
    segments = template.split("/")[3 if version == 2 else 2 :]
    collection, last = segments[0], segments[-1]
    is_read = method == "GET"
    if last in {"changelog", "flow"} and version == 1:
        return frozenset({"recents:read"})
    if segments == ["users", "me"]:
        return frozenset({"base"})
    if collection == "activityFields":
        return frozenset({"admin"} if version == 2 else _spelled("activities", is_read=True))
    words = (_READ if is_read else _WRITE).get(collection, "admin").split()
    if last == "deals" and segments[1:]:
        words = ["deals"]
    elif collection == "deals" and "products" in segments:
        words.append("products")
    elif collection.endswith("Fields") and version == 2 and (last == "options" or method == "PATCH"):
        words = _READ[collection].split()
    of_a_deal = collection == "deals" and not {"discounts", "installments"}.isdisjoint(segments)
    found = {scope for word in words for scope in _spelled(word, is_read=is_read or of_a_deal)}
    if last == "search":
        found.add("search:read")
    return frozenset(found)


def _spelled(word: str, *, is_read: bool) -> tuple[str, ...]:
    if ":" in word or word in _PLAIN:
        return (word,)
    if word.endswith("-fields"):
        return (f"{word}:full",)
    return (f"{word}:read", f"{word}:full") if is_read else (f"{word}:full",)


def allows(scopes: frozenset[str], route: Route) -> bool:
    """Whether a token with these scopes may call an operation."""
    return not scopes.isdisjoint(scopes_of(route.method, route.template, route.version))
