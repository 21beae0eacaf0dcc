"""The source's users, and whom the records belong to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from services.common.errors import MappingError
from services.transformer.context import Context
from services.transformer.plan import MappingPlan, field_rules
from services.transformer.rules.skipping import skip_reason
from services.transformer.transforms.problem import ValueProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup


class Owners:
    """The source's users, who of them Pipedrive knows, and how much each owns (L-04)."""

    def __init__(self, mapping: MappingModel, lookup: Lookup) -> None:
        self._mapping = mapping
        self._lookup = lookup
        self._entities = mapping.owners.entities
        self._entity_of: dict[str, str] = {}
        self._links: dict[str, set[str]] = {}
        self._people: dict[str, tuple[str, bool]] = {}
        self._owned: Counter[str] = Counter()
        try:
            self._plan: MappingPlan | None = MappingPlan(mapping)
        except MappingError:
            self._plan = None
        for entity, rule in mapping.entities.items():
            if rule.use == "move":
                self._links[entity] = {link for target in rule.targets for _, one, _ in field_rules(mapping, target) for link in _owner_links(one)}

    def take(self, envelope: Envelope) -> None:
        """Note a user, or whom a record belongs to."""
        if envelope.entity in self._entities:
            self._entity_of[envelope.id] = envelope.entity
            self._people[envelope.id] = (self._email(envelope), not envelope.is_deleted)
        if self._plan is None or skip_reason(self._mapping, envelope) is not None:
            return
        for link in self._links.get(envelope.entity, ()):
            # Owners found over another record (the client's agent) are that record's own and counted there.
            place = self._plan.links.locate(link, envelope, self._lookup) if link in self._plan.links else None
            if place is not None and place.entity in self._entities:
                self._entity_of.setdefault(place.source_id, place.entity)
                self._owned[place.source_id] += 1

    def rows(self, target: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        """Answer one row for each user: whether Pipedrive has an active user with that e-mail."""
        users = {str(user.get("email") or "").casefold(): user for user in (target or {}).get("users", []) if user.get("active_flag", True)}
        rows = []
        for source_id in sorted({*self._people, *self._owned}, key=lambda one: (len(one), one)):
            corrected = self._mapping.owners.people.get(source_id)
            email, is_active = self._people.get(source_id, ("", False))
            email = (corrected.email if corrected and corrected.email else email).casefold()
            user = users.get(email) if email else None
            state = "matched" if user else "unmatched" if source_id in self._people else "not in the source's list (deactivated)"
            rows.append(
                {
                    "owner": f"{self._entity_of[source_id]}/{source_id}",
                    "state": state if target is not None else "not compared",
                    "pipedrive_user": str(user["id"]) if user else "",
                    "is_active": is_active,
                    "has_email": bool(email),
                    "records": self._owned[source_id],
                }
            )
        return rows

    def _email(self, envelope: Envelope) -> str:
        plan = self._plan.entities.get(envelope.entity) if self._plan else None
        for target in plan.targets if plan else ():
            for one in target.fields:
                if target.target == "user" and one.name == "email":
                    try:
                        return str(one.rule.value(Context(envelope=envelope, lookup=self._lookup)) or "").strip()
                    except ValueProblem:
                        return ""
        return str(envelope.data.get("email") or "").strip()


def _owner_links(rule: FieldRule) -> Iterator[str]:
    if rule.owner and "->" not in rule.owner:
        yield rule.owner
    for inner in [*(rule.cases or []), *(rule.join or []), *(rule.together or [])]:
        yield from _owner_links(inner)
