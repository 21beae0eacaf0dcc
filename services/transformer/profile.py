"""The audit report (L-01): what the source holds, in what state it is, and what moving it will take.

One pass over the snapshot. Nothing is kept in memory but counters whose number depends on the kinds of fields, not on the number of records.
The report names records by key only. Its sections are described in `docs/operations.md`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.context import Context
from services.transformer.empty import EMPTY
from services.transformer.links import Links
from services.transformer.load_estimate import LoadEstimate, headroom
from services.transformer.plan import MappingPlan, field_rules
from services.transformer.quality import QualityCheck
from services.transformer.rules.skipping import skip_reason
from services.transformer.transforms.problem import ValueProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.rules import FieldRule
    from services.transformer.mapping.sections import CallPlan
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup, Snapshot

VALUES_MAX: Final = 25
"""A text field with more different values is no picklist."""
VALUE_CHARACTERS_MAX: Final = 60
LISTED_MAX: Final = 200
"""Most rows in a list of single records."""
PROGRESS_RECORDS: Final = 500
_PERSONAL: Final = re.compile(r"\d{5}|@|://")
_SIZE_CLASSES: Final = ((100_000, "to 100 kB"), (1_000_000, "to 1 MB"), (10_000_000, "to 10 MB"), (26_214_400, "to 25 MB"))


def profile_source(
    index: Snapshot,
    mapping: MappingModel,
    target: Mapping[str, Any] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Profile a snapshot.

    Args:
        index: the snapshot.
        mapping: decides what is left out and what the load will take.
        target: the account as answered by `InspectTarget`; without it owners and head-room are not compared.
        options: options of the connector (plan, limits), for the call budget.
        progress: told the number of records profiled so far, now and then.
    """
    names = [*mapping.entities, *sorted(set(index.entities()) - set(mapping.entities))]
    present = set(index.entities())
    counts, shapes, files = Counts(mapping), Shapes(), Files()
    states, load = States(mapping, index), LoadEstimate(mapping, index)
    owners = Owners(mapping, index)
    done = 0
    with QualityCheck(mapping, index) as quality:
        for entity in (name for name in names if name in present):
            for envelope in index.iterate(entity):
                for part in (counts, shapes, files, states, load, owners, quality):
                    part.take(envelope)
                done += 1
                if progress is not None and done % PROGRESS_RECORDS == 0:
                    progress(done)
        findings = quality.findings()
    report: dict[str, Any] = {
        "summary": {**counts.summary(), **files.summary(), "quality_findings": len(findings)},
        "entities": counts.rows(),
        "source_budget": source_budget(mapping.call_plan, counts, files, options or {}),
        "status_distribution": states.rows(),
        "hierarchy": hierarchy(mapping, index),
        "files": files.rows(),
        "oversize_files": files.oversize,
        "data_quality": findings,
        "owners": owners.rows(target),
        "load": load.summary(target),
        "load_by_target": load.rows(),
        "target": headroom(mapping, target, load) if target else {},
        "remarks": [*remarks(target), *load.remarks, *_late_data(findings)],
        "schema": shapes.rows(),
    }
    if progress is not None:
        progress(done)
    return report


class Counts:
    """Records by entity, archived and deleted ones apart."""

    def __init__(self, mapping: MappingModel) -> None:
        self._mapping = mapping
        self.records: Counter[str] = Counter()
        self._archived: Counter[str] = Counter()
        self._deleted: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()

    def take(self, envelope: Envelope) -> None:
        """Count one record."""
        self.records[envelope.entity] += 1
        self._archived[envelope.entity] += envelope.is_archived
        self._deleted[envelope.entity] += envelope.is_deleted
        self._left_out[envelope.entity] += skip_reason(self._mapping, envelope) is not None

    def summary(self) -> dict[str, int]:
        """Answer the sums."""
        return {
            "records": self.records.total(),
            "entities": len(self.records),
            "archived": self._archived.total(),
            "deleted": self._deleted.total(),
            "to_move": self.records.total() - self._left_out.total(),
        }

    def rows(self) -> dict[str, dict[str, Any]]:
        """Answer the counts by entity, in the mapping's order."""
        rows = {}
        for entity, count in self.records.items():
            rule = self._mapping.entities.get(entity)
            rows[entity] = {
                "label": rule.label if rule and rule.label else entity.replace("_", " ").capitalize(),
                "use": rule.use if rule else "not_moved",
                "records": count,
                "archived": self._archived[entity],
                "deleted": self._deleted[entity],
                "to_move": count - self._left_out[entity],
            }
        return rows


@dataclass(slots=True)
class _Shape:
    filled: int = 0
    types: Counter[str] = field(default_factory=Counter)
    longest: int = 0
    values: Counter[str] | None = field(default_factory=Counter)

    def take(self, value: Any) -> None:
        self.types[_type_of(value)] += 1
        if value in EMPTY:
            return
        self.filled += 1
        if isinstance(value, str):
            self.longest = max(self.longest, len(value))
        if self.values is None or isinstance(value, (dict, list)):
            return
        self.values[str(value)] += 1
        if self.longest > VALUE_CHARACTERS_MAX or len(self.values) > VALUES_MAX:
            self.values = None

    def row(self, name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"filled": self.filled, "types": dict(sorted(self.types.items()))}
        if self.longest:
            row["longest"] = self.longest
        # Values that hardly repeat or look like numbers of accounts, addresses and telephones are no picklist: they stay out of the report.
        is_number = "string" not in self.types and "boolean" not in self.types
        if (
            self.values
            and not is_number
            and not any(map(_PERSONAL.search, self.values))
            and self.filled >= 2 * len(self.values)
            and not name.endswith(("-id", "-path", "_id"))
        ):
            row["values"] = dict(sorted(self.values.items(), key=lambda entry: (-entry[1], entry[0])))
        return row


class Shapes:
    """The schema as the records show it: every field with its types, and the values of those that look like picklists."""

    def __init__(self) -> None:
        self._fields: defaultdict[str, dict[str, _Shape]] = defaultdict(dict)

    def take(self, envelope: Envelope) -> None:
        """Look at the fields of one record."""
        self._enter(self._fields[envelope.entity], envelope.data, "")

    def rows(self) -> dict[str, dict[str, Any]]:
        """Answer the fields by entity; objects are entered as `a.b`, lists as `a[].b`."""
        return {entity: {name: shape.row(name) for name, shape in sorted(shapes.items())} for entity, shapes in self._fields.items()}

    def _enter(self, shapes: dict[str, _Shape], data: Mapping[str, Any], prefix: str) -> None:
        for name, value in data.items():
            path = f"{prefix}{name}"
            shape = shapes.get(path)
            if shape is None:
                shape = shapes[path] = _Shape()
            shape.take(value)
            if isinstance(value, dict):
                self._enter(shapes, value, f"{path}.")
            elif isinstance(value, list):
                for element in value:
                    if isinstance(element, dict):
                        self._enter(shapes, element, f"{path}[].")


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "list" if isinstance(value, list) else "object"


class Files:
    """Files by entity: how many, how large, and which cannot move."""

    def __init__(self) -> None:
        self._rows: dict[str, Counter[str]] = {}
        self._largest: Counter[str] = Counter()
        self._unavailable = 0
        self.oversize: list[dict[str, Any]] = []

    def take(self, envelope: Envelope) -> None:
        """Look at one record; those without a file do not count."""
        file = envelope.data.get("file")
        if not isinstance(file, dict) or "problem" not in file:
            return
        row = self._rows.setdefault(envelope.entity, Counter())
        row["files"] += 1
        size = int(file.get("byte_count") or 0)
        problem = file.get("problem")
        if problem == "FILE_TOO_LARGE":
            row["too_large"] += 1
            if len(self.oversize) < LISTED_MAX:
                owner = f"{envelope.data.get('owner_entity')}/{envelope.data.get('owner_id')}"
                parts = {"parts": len(file["parts"])} if file.get("parts") else {}
                self.oversize.append({"file": envelope.source_key, "belongs_to": owner, "bytes": size, **parts})
        elif problem:
            row["unavailable"] += 1
        else:
            row["bytes"] += size
            row[next((words for limit, words in _SIZE_CLASSES if size <= limit), "larger")] += 1
        self._largest[envelope.entity] = max(self._largest[envelope.entity], size)

    @property
    def count(self) -> int:
        """Files in all."""
        return sum(row["files"] for row in self._rows.values())

    def of(self, entity: str) -> int:
        """Files of one entity."""
        return self._rows[entity]["files"] if entity in self._rows else 0

    def summary(self) -> dict[str, int]:
        """Answer the sums."""
        return {"files": self.count, "file_bytes": sum(row["bytes"] for row in self._rows.values())}

    def rows(self) -> dict[str, dict[str, int]]:
        """Answer the distribution by entity."""
        columns = ("files", "bytes", "too_large", "unavailable", *(words for _, words in _SIZE_CLASSES), "larger")
        return {entity: {"largest": self._largest[entity], **{name: row[name] for name in columns}} for entity, row in self._rows.items()}


class States:
    """How many records are in which state, with the states' names where the source keeps them apart."""

    def __init__(self, mapping: MappingModel, lookup: Lookup) -> None:
        self._lookup = lookup
        self._fields = mapping.quality.states
        self._entities = {
            rule.id: rule.entity for rule in mapping.links.values() if rule.id in self._fields and isinstance(rule.entity, str) and rule.many is None
        }
        self._names = {proposal.entity: proposal.name for proposal in mapping.propose.states}
        self._counts: Counter[tuple[str, str, str, str]] = Counter()

    def take(self, envelope: Envelope) -> None:
        """Count one record's states."""
        if envelope.is_deleted:
            return
        for name in self._fields:
            value = envelope.data.get(name)
            if value is not None and not isinstance(value, (dict, list)):
                words, kind = self._words(name, str(value))
                self._counts[envelope.entity, name, words, kind] += 1

    def _words(self, name: str, value: str) -> tuple[str, str]:
        entity = self._entities.get(name)
        if entity is None:
            return value[:VALUE_CHARACTERS_MAX], ""
        state = self._lookup.get(entity, value)
        if state is None:
            return f"{value} (unknown)", ""
        return str(state.data.get(self._names.get(entity, "name")) or value), str(state.data.get("type") or "")

    def rows(self) -> list[dict[str, Any]]:
        """Answer one row for each state, the most frequent first."""
        rows = [
            {"entity": entity, "field": name, "state": words, "kind": kind, "records": count}
            for (entity, name, words, kind), count in self._counts.items()
        ]
        return sorted(rows, key=lambda row: (row["entity"], row["field"], -row["records"], row["state"]))


def hierarchy(mapping: MappingModel, index: Snapshot) -> list[dict[str, Any]]:
    """Answer how long the chains of records are that descend from one another: depth 1 has no predecessor."""
    rows = []
    links = Links(mapping.links, mapping.collections, mapping.value_maps)
    seen: set[tuple[str, ...]] = set()
    for name, rule in mapping.links.items():
        if rule.chain != "up" or rule.id is None:
            continue
        entities = tuple([rule.entity] if isinstance(rule.entity, str) else rule.entity or ())
        if (rule.id, *entities) in seen:
            continue
        seen.add((rule.id, *entities))
        depths: Counter[int] = Counter()
        examples: dict[int, str] = {}
        for entity in entities:
            for envelope in index.iterate(entity):
                if not envelope.is_deleted:
                    depth = _depth(links, name, envelope, index)
                    depths[depth] += 1
                    examples.setdefault(depth, envelope.source_key)
        rows += [{"link": rule.id, "depth": depth, "records": count, "example": examples[depth]} for depth, count in sorted(depths.items())]
    return rows


def _depth(links: Links, name: str, envelope: Envelope, index: Snapshot) -> int:
    visited = {envelope.source_key}
    current = envelope
    # A chain that bites its own tail ends where it meets itself.
    while (place := links.locate(name, current, index)) is not None:
        parent = index.get(place.entity, place.source_id)
        if parent is None or parent.is_deleted or parent.source_key in visited:
            break
        visited.add(parent.source_key)
        current = parent
    return len(visited)


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


def source_budget(known: CallPlan | None, counts: Counts, files: Files, options: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the source's plan and what reading everything once more, or a delta, costs of it."""
    if known is None:
        return {}
    plan = str(options.get("plan") or known.default).lower()
    limits = known.plans.get(plan, known.plans[known.default])
    per_minute, per_day = int(options.get("calls_per_minute", limits.calls_per_minute)), int(options.get("calls_per_day", limits.calls_per_day))
    collections = {entity: count for entity, count in counts.records.items() if not files.of(entity)}
    listing = sum(count // known.page_size + 1 for count in collections.values())
    full = listing + (files.count if options.get("counts_files", True) else 0)
    return {
        "plan": plan,
        "calls_per_minute": per_minute or None,
        "calls_per_day": per_day or None,
        "calls_to_read_lists": listing,
        "calls_to_read_all": full,
        "days_to_read_all": -(-full // per_day) if per_day else 1,
        "calls_of_a_delta": len(collections),
    }


def remarks(target: Mapping[str, Any] | None) -> list[str]:
    """Answer what a person should know of the target account."""
    if not target:
        return ["the target was not looked at: owners and head-room are not compared"]
    found = []
    user = target.get("token_user") or {}
    if user.get("is_admin") is False:
        found.append("the token's user is no admin of Pipedrive: visibility groups may hide records from it, and fields cannot be created (G-02)")
    if not (target.get("caps") or {}).get("custom_fields"):
        found.append("the plan of the Pipedrive account could not be told from its limits: compare the head-room yourself")
    found.append("automations of Pipedrive are not in its API: switch off those that react to new records before the load (G-04)")
    return found


def _late_data(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    late = [row for row in findings if row["check"].startswith(("missing ids", "entered late"))]
    if not late:
        return []
    entities = ", ".join(sorted({row["entity"] for row in late}))
    return [f"ids are missing or records were entered late in {entities}: devices may not have sent all yet; run a delta after 24 to 48 hours (G-06)"]
