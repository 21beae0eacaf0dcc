"""Which object of an org plays which role (D-07): customer, site, work order and so on.

The product's objects are not public and differ from org to org, so nothing here knows one by name. A role is proposed from what describe says:
the label, the name without the package's prefix, what the object refers to, and whether it has rows. A connector option overrides it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.extractor.connectors.servicetracker.options import RoleOption

SCORE_MIN: Final = 0.55
"""Below this an object plays no role."""
_SAME_LABEL: Final = 0.9
_SAME_NAME: Final = 0.85
_STANDARD: Final = 0.8
_LABEL_HOLDS: Final = 0.6
_IN_PACKAGE: Final = 0.05
_WITHOUT_ROWS: Final = 0.3
_WORDS: Final = re.compile(r"[^0-9a-z]+")
_NAME: Final = re.compile(r"^(?:(?P<namespace>[A-Za-z0-9]+)__)?(?P<stem>\w+?)(?P<custom>__c)?$")


@dataclass(frozen=True, slots=True)
class Role:
    """A role and how to tell who plays it.

    Attributes:
        words: labels, best first.
        standard: objects of the platform itself that may play it.
        parents: roles of which the object must refer to one.
    """

    name: str
    words: tuple[str, ...] = ()
    standard: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()


ROLES: Final = (
    Role("user", standard=("User",)),
    Role("customer", ("customer", "client"), ("Account",)),
    Role("contact", standard=("Contact",)),
    Role("technician", ("technician", "engineer", "operative", "field worker", "service resource", "resource"), ("ServiceResource",)),
    Role("site", ("site", "location", "premises", "service location", "property"), ("Location",), ("customer",)),
    Role("contract", ("contract", "agreement", "service agreement", "service contract"), ("Contract", "ServiceContract"), ("customer",)),
    Role("asset", ("asset", "equipment", "installed product", "appliance", "inspection item"), ("Asset",), ("customer", "site")),
    Role("work_order", ("work order", "job", "job sheet", "service order", "service request"), ("WorkOrder",), ("customer", "site")),
    Role("visit", ("visit", "appointment", "service appointment", "call out"), ("ServiceAppointment",), ("work_order",)),
    Role("part", ("installed part", "part", "product used", "material", "work order line"), ("WorkOrderLineItem",), ("work_order",)),
    Role("sign_off", ("sign off", "signature", "acceptance"), (), ("work_order",)),
    Role("service_record", ("inspection", "service record", "service history", "maintenance record"), (), ("asset",)),
    Role("invoice", ("invoice", "bill"), ("Invoice",), ("work_order", "customer")),
    Role("task", standard=("Task",)),
    Role("event", standard=("Event",)),
    Role("note", standard=("Note",)),
)
"""Every role, what others refer to first."""


@dataclass(frozen=True, slots=True)
class Binding:
    """An object that plays a role, how sure that is, and why."""

    role: str
    object: str
    score: float
    reason: str
    option: RoleOption | None = None


def bind(objects: Sequence[Mapping[str, Any]], wanted: Mapping[str, RoleOption | None]) -> dict[str, Binding]:
    """Answer by role who plays it. `objects` are descriptions with `name`, `label`, `count` and `fields`."""
    package = _package(objects)
    by_name = {one["name"]: one for one in objects}
    bound: dict[str, Binding] = {}
    for role in ROLES:
        if role.name in wanted:
            option = wanted[role.name]
            if option is not None and option.object in by_name:
                bound[role.name] = Binding(role.name, option.object, 1.0, "named by the connector option roles", option)
            continue
        taken = {one.object for one in bound.values()}
        parents = {bound[name].object for name in role.parents if name in bound}
        candidates = [_score(role, one, parents, package) for one in objects if one["name"] not in taken]
        best = max(candidates, key=lambda one: (one.score, one.object), default=None)
        if best is not None and best.score >= SCORE_MIN:
            bound[role.name] = best
    return bound


def namespace_of(name: str) -> str:
    """Answer the package's prefix of an object's or a field's name, empty for the platform's own and the tenant's own."""
    match = _NAME.match(name)
    return (match["namespace"] or "") if match and match["custom"] else ""


def _package(objects: Iterable[Mapping[str, Any]]) -> str:
    """Answer the package most objects belong to."""
    found = Counter(namespace for one in objects if (namespace := namespace_of(one["name"])))
    return max(found, key=lambda name: (found[name], name)) if found else ""


def _score(role: Role, described: Mapping[str, Any], parents: set[str], package: str) -> Binding:
    name, label = described["name"], _plain(described.get("label") or "")
    match = _NAME.match(name)
    stem = _plain(match["stem"]) if match else ""
    score, reason = 0.0, "nothing speaks for it"
    for place, word in enumerate(role.words):
        # An earlier word is the better one: `technician` before `resource`.
        less = place * 0.01
        for value, is_so, why in (
            (_SAME_LABEL, label in {word, f"{word}s"}, f"its label is {described.get('label')!r}"),
            (_SAME_NAME, stem in {word, f"{word}s"}, f"its name is {name}"),
            (_LABEL_HOLDS, f" {word} " in f" {label} ", f"its label {described.get('label')!r} holds {word!r}"),
        ):
            if is_so and value - less > score:
                score, reason = value - less, why
    if name in role.standard and score < _STANDARD:
        score, reason = _STANDARD, f"{name} is the platform's own object for it"
    if score and namespace_of(name) == package and package:
        score, reason = score + _IN_PACKAGE, f"{reason}; it belongs to the package {package}"
    if described.get("count") == 0:
        score, reason = score - _WITHOUT_ROWS, f"{reason}; it has no rows"
    if role.parents and not parents & {target for one in described["fields"] for target in one["refers_to"]}:
        score, reason = 0.0, "it refers to none of what it should"
    return Binding(role.name, name, round(max(score, 0.0), 2), reason)


def _plain(words: str) -> str:
    return _WORDS.sub(" ", words.casefold()).strip()
