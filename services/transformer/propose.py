"""Proposes the mapping of a migration: the connector's file, and under `account` what was found in the frozen pages (L-02, L-03, L-04, X-03)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from services.transformer import propose_lists
from services.transformer.context import Context
from services.transformer.empty import is_empty
from services.transformer.guessing import Observed, guess_status, slug
from services.transformer.lint_growth import WINDOW_POLICY, asks_for_window
from services.transformer.mapping.reading import load_mapping, merge, read_document
from services.transformer.names import NamedView, Names, played_by, propose_names
from services.transformer.plan import MappingPlan
from services.transformer.property_rows import row_properties
from services.transformer.propose_options import ProposedOptions
from services.transformer.rules.properties import property_values
from services.transformer.rules.skipping import skip_reason
from services.transformer.target import CUSTOM_FIELD_ENTITIES, NAME_CHARACTERS_MAX
from services.transformer.yaml_text import dump

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as MappingType
    from datetime import date

    from services.transformer.mapping.document import Mapping
    from services.transformer.mapping.proposals import StateGroup, StateProposal
    from services.transformer.names import View
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup

_HEADER: Final = """
# ------------------------------------------------------------------ This account
# Filled in by the audit from what it read. Look at every remark, most of all those that begin with needs_review,
# and write what you want otherwise under `overrides` at the end.

"""
_OVERRIDES_HEADER: Final = """
# ------------------------------------------------------------------ Wishes of this migration; they win over everything above

"""
_UNUSED: Final = "the source describes it, but no record has a value for it"
_NO_STATE: Final = "none"
_NO_STATE_NAME: Final = "No state"


def propose(base_text: str, view: Lookup, target: MappingType[str, Any], overrides_text: str, *, today: date | None = None) -> str:
    """Answer the whole mapping as YAML. `today` becomes the first day of the window of recurrences, where a rule asks for one.

    Raises:
        MappingError: the connector's file or the overrides cannot be read.
    """
    overrides = read_document(overrides_text)
    start = base_text.rstrip() + "\n"
    mapping = load_mapping(start + dump({"overrides": overrides}))
    names = propose_names(mapping.propose.names, view) if mapping.propose.names else {}
    if names:
        mapping = load_mapping(start + dump({"account": {"names": names}, "overrides": overrides}))
    account = ({"names": names} if names else {}) | _account(mapping, NamedView(cast("View", view), Names(mapping)), target)
    if labels := _labels(mapping, view):
        account["entities"] = merge(labels, account.get("entities", {}))
    if today is not None and not mapping.policies.recurrence_from and asks_for_window(mapping):
        account = {**account, "policies": {**account.get("policies", {}), WINDOW_POLICY: today.isoformat()}}
    text = start + _HEADER + dump({"account": account})
    if overrides:
        text += _OVERRIDES_HEADER + dump({"overrides": overrides})
    load_mapping(text)
    return text


def _labels(mapping: Mapping, view: Lookup) -> dict[str, Any]:
    """Name beside each entity what plays it in this account."""
    rule = mapping.propose.names
    played = played_by(rule, view) if rule is not None else {}
    return {
        entity: {"label": f"{one.label or entity} ({played[entity]})"}
        for entity, one in mapping.entities.items()
        if entity in played and one.use == "move"
    }


def _account(mapping: Mapping, view: Lookup, target: MappingType[str, Any]) -> dict[str, Any]:
    value_maps: dict[str, Any] = {}
    pipelines: dict[str, Any] = {}
    for proposal in mapping.propose.states:
        _states(mapping, proposal, view, value_maps, pipelines)
    _documents_without_state(mapping, view, pipelines)
    for rule in mapping.propose.pipelines:
        propose_lists.pipelines(rule, view, value_maps, pipelines)
    activity_types = propose_lists.activity_types(mapping, view, value_maps)
    options = ProposedOptions(mapping, value_maps)
    options.find(view)
    fields, entities = _properties(mapping, view)
    fields = merge(fields, options.fields)
    schema = {"pipelines": pipelines, "activity_types": activity_types, "options": options.built_in, "fields": fields}
    found = {
        "policies": propose_lists.policies(mapping, view),
        "value_maps": value_maps,
        "schema": {name: value for name, value in schema.items() if value},
        "owners": {"people": _people(mapping, view, target)},
        "entities": entities,
    }
    return {name: value for name, value in found.items() if value}


def _states(mapping: Mapping, proposal: StateProposal, view: Lookup, value_maps: dict[str, Any], pipelines: dict[str, Any]) -> None:
    """Make a stage of every state the mapping does not know, in the states' own order, and guess what it means for a deal."""
    for one_id, group, name in _distinct_states(proposal, view):
        declared = mapping.value_maps.get(group.value_map, {})
        table = value_maps.setdefault(group.value_map, {})
        pipeline = mapping.schema_.pipelines.get(group.pipeline)
        stages = pipelines.setdefault(group.pipeline, {"stages": {}})["stages"]
        if any(known.casefold().strip() == name.casefold().strip() for known in (*declared, *table)):
            continue
        stage_id = _free(slug(name, f"state_{one_id.lstrip('-')}"), {**(pipeline.stages if pipeline else {}), **stages})
        stages[stage_id] = name[:NAME_CHARACTERS_MAX]
        table[name] = {"stage": f"{group.pipeline}.{stage_id}"}
        if group.pipeline in mapping.propose.always_won:
            continue
        # A closed quote says nothing (D-02); closed orders, work orders and invoices are done.
        status, remark = guess_status(name, closed_means_won=group.pipeline in mapping.propose.closed_means_won)
        table[name] |= {"status": status, **({"remark": remark} if remark else {})}


def _distinct_states(proposal: StateProposal, view: Lookup) -> list[tuple[str, StateGroup, str]]:
    """Answer the different states as (id of a record that has it, group, name), in order. Only they are held in memory, not the records."""
    found: dict[tuple[str, str], tuple[tuple[float, float, str], str, StateGroup, str]] = {}
    for one in view.iterate(proposal.entity):
        kind = proposal.kind_of(one.data)
        group = proposal.groups.get(kind)
        name = str(one.data.get(proposal.name) or "")
        if one.is_deleted or group is None or not name.strip():
            continue
        order = (_number(one.data.get(proposal.order)), _number(one.id), one.id)
        key = (kind, name)
        if key not in found or order < found[key][0]:
            found[key] = (order, one.id, group, name)
    return [(one_id, group, name) for _, one_id, group, name in sorted(found.values(), key=lambda one: one[0])]


def _documents_without_state(mapping: Mapping, view: Lookup, pipelines: dict[str, Any]) -> None:
    """Add a stage for documents without a state where there are any, or where no states were found at all."""
    plan = MappingPlan(mapping)
    for entity, link in mapping.propose.stateless.items():
        rule = plan.links.rules[link.link]
        stages = pipelines.setdefault(link.pipeline, {"stages": {}})["stages"]
        if not stages or any(is_empty(one.data.get(str(rule.id))) for one in view.iterate(entity)):
            stages[_NO_STATE] = _NO_STATE_NAME


def _people(mapping: Mapping, view: Lookup, target: MappingType[str, Any]) -> dict[str, Any]:
    """List the source's users with their match, and users records point to but the source lists no more (L-04)."""
    entity = mapping.owners.entity
    if entity is None:
        return {}
    active = {str(user.get("email") or "").casefold() for user in target.get("users") or [] if user.get("active_flag")}
    people: dict[str, Any] = {}
    plan = MappingPlan(mapping)
    for listed in mapping.owners.entities:
        compiled = {one.name: one for one in plan.entities[listed].targets[0].fields} if listed in plan.entities else {}
        for one in view.iterate(listed):
            people[one.id] = _person(one, view, compiled, active, knows_target=bool(target))
    for source_id, count in sorted(_absent_owners(mapping, view, plan).items()):
        remark = f"needs_review: the source lists this person no more, but {count} records belong to them; give an e-mail or leave it to the fallback"
        people.setdefault(source_id, {"name": f"{entity} {source_id}", "is_active": False, "is_listed": False, "remark": remark})
    return people


def _person(one: Envelope, view: Lookup, compiled: MappingType[str, Any], active: set[str], *, knows_target: bool) -> dict[str, Any]:
    context = Context(envelope=one, lookup=view)
    name = compiled["name"].read(context) if "name" in compiled else one.id
    email = compiled["email"].read(context) if "email" in compiled else None
    person: dict[str, Any] = {"name": name or f"user {one.id}"}
    if email:
        person["email"] = email
    if one.is_deleted:
        person["is_active"] = False
    if knows_target and str(email or "").casefold() not in active:
        person["remark"] = "needs_review: no active Pipedrive user has this e-mail" if email else "needs_review: this person has no e-mail"
    return person


def _absent_owners(mapping: Mapping, view: Lookup, plan: MappingPlan) -> dict[str, int]:
    """Count the records of owners who are not in the snapshot."""
    absent: dict[str, int] = {}
    for entity, links in _owner_links(mapping).items():
        for one in view.iterate(entity):
            if skip_reason(mapping, one) is not None:
                continue
            for link in links:
                place = plan.links.locate(link, one, view)
                if place is not None and place.entity == mapping.owners.entity and view.get(place.entity, place.source_id) is None:
                    absent[place.source_id] = absent.get(place.source_id, 0) + 1
    return absent


def _owner_links(mapping: Mapping) -> dict[str, set[str]]:
    """Answer by entity the links its targets take owners from, as far as they start at the record itself."""
    found: dict[str, set[str]] = {}
    for entity, rule in mapping.entities.items():
        for target in rule.targets:
            fragments = [mapping.fragments[name].fields for name in target.include if name in mapping.fragments]
            for fields in (*fragments, target.fields):
                found.setdefault(entity, set()).update(one.owner for one in fields.values() if one.owner and one.owner in mapping.links)
    return {entity: links for entity, links in found.items() if links}


def _properties(mapping: Mapping, view: Lookup) -> tuple[dict[str, Any], dict[str, Any]]:
    """Propose a custom field for every property no rule knows: typed as the source describes it, else by its values."""
    plan = MappingPlan(mapping)
    declared_types = propose_lists.DeclaredTypes(mapping.propose.property_types, view)
    seen: dict[tuple[str, tuple[str, ...]], Observed] = {}
    owners: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    kinds: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for entity, keys, value, kind in _unknown_values(mapping, plan, view):
        place = (mapping.entities[entity].targets[0].target, keys)
        said = declared_types.of(entity, keys[-1])
        seen.setdefault(place, Observed()).see(said.parts(value) if said else value)
        kinds.setdefault(place, set()).add(kind)
        if entity not in owners.setdefault(place, []):
            owners[place].append(entity)
    fields: dict[str, Any] = {}
    entities: dict[str, Any] = {}
    for (target, keys), observed in seen.items():
        declared = mapping.schema_.fields.get(target, {})
        proposed = fields.setdefault(target, {})
        field_id = _free(f"property_{slug(keys[-1], 'field')}", {**declared, **proposed})
        said = declared_types.of(owners[target, keys][0], keys[-1], kinds[target, keys])
        name, left_out = (said.label or keys[-1], said.left_out) if said else (keys[-1], "")
        if said and not observed.count:
            left_out = left_out or _UNUSED
        guess = propose_lists.typed(said, observed)
        names = {one.name for one in declared.values()} | {one["name"] for one in proposed.values()}
        if not left_out:
            field: dict[str, Any] = {"name": _free_name(name, names), "type": guess.type}
            if guess.options:
                field["options"] = list(guess.options)
            proposed[field_id] = field
        for entity in owners[target, keys]:
            place_of = entities.setdefault(entity, {"properties": {}})["properties"]
            place_of[field_id if not left_out else _free(field_id, place_of)] = {
                "keys": list(keys),
                **({"move": False} if left_out else {}),
                **({"separator": said.separator} if said and said.separator and guess.type == "set" and not left_out else {}),
                "score": guess.score,
                "reason": left_out or guess.reason,
            }
    return {target: proposed for target, proposed in fields.items() if proposed}, entities


def _unknown_values(mapping: Mapping, plan: MappingPlan, view: Lookup) -> Iterator[tuple[str, tuple[str, ...], Any, str]]:
    for entity, entity_plan in plan.entities.items():
        rule = mapping.entities[entity]
        if not rule.targets or rule.targets[0].target not in CUSTOM_FIELD_ENTITIES:
            continue
        known = {tuple(one.keys) for one in rule.properties.values()}
        for one in view.iterate(entity):
            if skip_reason(mapping, one) is None:
                for keys, value in property_values(rule, entity_plan.used.keys, one):
                    if keys not in known:
                        yield entity, keys, value, ""
                for keys, value, kind in row_properties(rule, plan.links, Context(envelope=one, lookup=view)):
                    if keys not in known:
                        yield entity, keys, value, kind


def _free(wanted: str, taken: MappingType[str, Any]) -> str:
    number, name = 2, wanted
    while name in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _free_name(wanted: str, taken: set[str]) -> str:
    base = wanted.strip()[: NAME_CHARACTERS_MAX - 8] or "Property"
    number, name = 2, base
    while name in taken:
        name, number = f"{base} ({number})", number + 1
    return name


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("inf")
