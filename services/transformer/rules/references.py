"""Compiles references: the way to another record, what stands in for one that is missing, and owners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.common.errors import MappingError
from services.transformer.context import REFERENCE_MISSING, Context, LeaveOut, RecordProblem
from services.transformer.links import Place
from services.transformer.manifest import FALLBACK_USER_KEY, listed_user_key, placeholder_key
from services.transformer.paths import compile_locate, descend, follow
from services.transformer.rules.skipping import snapshot_moves
from services.transformer.snapshot.envelope import Envelope
from transload.v1 import records_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.transformer.mapping.rules import RefRule
    from services.transformer.rules.compiled import Source
    from services.transformer.rules.compiler import RuleCompiler

_POLICIES: Final = {
    "review": records_pb2.MISSING_POLICY_REVIEW,
    "drop": records_pb2.MISSING_POLICY_DROP,
    "leave_out": records_pb2.MISSING_POLICY_REVIEW,
}
_SELF: Final = "self"


def locator(compiler: RuleCompiler, path: str) -> Callable[[Context], Place | None]:
    """Compile a path whose end is a link into a function that says where it leads, whether or not the record is there."""
    if path == _SELF:
        return lambda context: Place(context.envelope.entity, context.envelope.id)
    parsed = compiler.path(path)
    if not parsed.hops or parsed.keys:
        raise MappingError(f"`{path}` does not end at a link")
    (keys, link), before = parsed.hops[-1], parsed.hops[:-1]
    rule, is_of_element = compiler.links.rules[link], bool(parsed.root)
    is_by_id = (rule.id is not None or rule.decided is not None) and rule.chain is None
    place_of = compile_locate(link, compiler.links) if is_by_id else None

    def locate(context: Context) -> Place | None:
        node: Any = context.element if is_of_element else context.envelope
        for keys_before, link_before in before:
            node = follow(compiler.links, link_before, descend(node, keys_before), context)
        if keys:
            node = descend(node, keys)
        if node is None or isinstance(node, list):
            return None
        if place_of is not None:
            return place_of(node, context)
        found = follow(compiler.links, link, node, context)
        return Place(found.entity, found.id) if isinstance(found, Envelope) else None

    return locate


def compile_reference(compiler: RuleCompiler, rule: RefRule) -> Source:
    """Compile a reference to another mapped record, or to a placeholder."""
    if rule.placeholder is not None:
        return _placeholder(compiler, rule, rule.placeholder)
    locate = locator(compiler, rule.of)
    part = compiler.template(rule.part) if rule.part else None
    policy = _POLICIES[rule.on_missing]
    where = "its own record" if rule.of == _SELF else f"`{rule.of}`"
    mapped = {entity for entity, target, target_part in compiler.mapped if (target, target_part) == (rule.to, rule.part)}
    may_stay_out = rule.on_missing == "leave_out"

    def refer(context: Context) -> Any:
        place = locate(context)
        if place is None or place.entity not in mapped:
            return _without(rule, place, where, context)
        if may_stay_out and not snapshot_moves(compiler.mapping, place, context):
            return _without(rule, place, where, context)
        source_key = f"{place.entity}/{place.source_id}"
        key = f"{rule.to}:{source_key}"
        if part is not None:
            key = f"{key}/{part(context)}"
        if key not in context.references:
            meant = source_key if key.count("/") > 1 else ""
            context.references[key] = records_pb2.Reference(key=key, missing_policy=policy, source_key=meant)
        return {"$ref": key}

    def read(context: Context) -> str | None:
        place = locate(context)
        return None if place is None else f"{place.entity}/{place.source_id}"

    return refer, ((rule.of, read),), f"reference to {rule.to}"


def _placeholder(compiler: RuleCompiler, rule: RefRule, name: str) -> Source:
    declared = compiler.mapping.placeholders.get(name)
    if declared is None or declared.target != rule.to:
        raise MappingError(f"there is no placeholder `{name}` of the target {rule.to} under `placeholders`")
    compiler.placeholders.append(name)
    key = placeholder_key(rule.to, name)

    def refer(context: Context) -> dict[str, str]:
        if key not in context.references:
            context.references[key] = records_pb2.Reference(key=key, missing_policy=_POLICIES[rule.on_missing])
        return {"$ref": key}

    return refer, (), f"placeholder {name}"


def _without(rule: RefRule, place: Place | None, where: str, context: Context) -> None:
    named = f"{place.entity}/{place.source_id}" if place else ""
    problem = f"{where} leads to {named}, which is not moved" if named else f"{where} is empty or leads to a kind of record that is not moved"
    if rule.on_missing == "review" and not context.is_released:
        advice = "correct it in the source and run a delta, load the record `without_reference`, or skip it"
        raise RecordProblem(REFERENCE_MISSING, f"{problem}: {advice}", is_final=False)
    if rule.on_missing == "leave_out":
        raise LeaveOut(REFERENCE_MISSING, problem)


def compile_owner(compiler: RuleCompiler, link: str) -> Source:
    """Compile a link to the source user who becomes the owner."""
    locate = locator(compiler, link)
    people = compiler.mapping.owners.people
    waits = compiler.mapping.policies.unmatched_owner == "wait"

    def own(context: Context) -> Any:
        place = locate(context)
        if place is None:
            return _user(context, FALLBACK_USER_KEY, waits=False)
        if context.lookup.get(place.entity, place.source_id) is not None:
            return _user(context, f"user:{place.entity}/{place.source_id}", waits=waits)
        if place.source_id in people:
            return _user(context, listed_user_key(place.entity, place.source_id), waits=waits)
        message = f"the owner {place.entity}/{place.source_id} is not among the source's users"
        if waits:
            raise RecordProblem("OWNER_UNMATCHED", f"{message}: add it to `owners.people` with an e-mail", is_final=False)
        context.remark("OWNER_UNMATCHED", f"{message}: the fallback user was used")
        return _user(context, FALLBACK_USER_KEY, waits=False)

    def read(context: Context) -> str | None:
        place = locate(context)
        return None if place is None else f"{place.entity}/{place.source_id}"

    return own, ((link, read),), "owner by e-mail"


def _user(context: Context, key: str, *, waits: bool) -> dict[str, str]:
    if key not in context.references:
        if waits or key == FALLBACK_USER_KEY:
            reference = records_pb2.Reference(key=key, missing_policy=records_pb2.MISSING_POLICY_REVIEW)
        else:
            reference = records_pb2.Reference(key=key, missing_policy=records_pb2.MISSING_POLICY_FALLBACK, fallback_key=FALLBACK_USER_KEY)
        context.references[key] = reference
    return {"$ref": key}
