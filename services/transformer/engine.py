"""Maps raw records: a pure function of (record, snapshot, manifest, phase) to mapped records and issues. Same input, same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from services.common.canonical import canonical_json, digest
from services.common.phases import LATE_LINKS
from services.transformer.context import REFERENCE_MISSING, Context, LeaveOut, Lineage, RecordProblem
from services.transformer.held import FREE, HELD, UNKNOWN
from services.transformer.note_images import with_references
from services.transformer.notes import facts, heading, pack
from services.transformer.placeholders import Placeholders
from services.transformer.rules.skipping import skip_reason
from services.transformer.target import HANGS_ON, NOTE_BYTES_MAX, NOTE_PARENTS
from services.transformer.transforms.problem import ValueProblem
from transload.v1 import ledger_service_pb2, records_pb2

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from typing import TypeAlias

    from services.transformer.plan import EntityPlan, MappingPlan, PhasePlan, StopPlan, TargetPlan
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup

    Memo: TypeAlias = dict[tuple[str, str, str], Any]

_LONG_TEXT_PART: Final = "full-text"
_STATES: Final = {
    "waiting": ledger_service_pb2.ISSUE_KIND_WAITING,
    "rejected": ledger_service_pb2.ISSUE_KIND_REJECTED,
    "skipped": ledger_service_pb2.ISSUE_KIND_SKIPPED,
}


@dataclass(slots=True)
class Mapped:
    """What one record became in one phase.

    Attributes:
        lineage: per mapped key where its fields came from; filled only when it was asked for.
        waiting: keys of mapped records that may wait for a reference: a person may have said that they go without it.
    """

    records: list[records_pb2.MappedRecord] = field(default_factory=list)
    issues: list[ledger_service_pb2.RecordIssue] = field(default_factory=list)
    lineage: dict[str, list[Lineage]] = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)


class Engine:
    """Maps records with one compiled mapping."""

    def __init__(self, plan: MappingPlan) -> None:
        self._plan = plan
        self._account = plan.manifest.external_id_prefix if plan.manifest else ""
        self._base_url = plan.manifest.base_url if plan.manifest else ""
        self._placeholders = Placeholders(plan)

    def map_record(
        self,
        envelope: Envelope,
        lookup: Lookup,
        phase: records_pb2.Phase.ValueType,
        *,
        is_traced: bool = False,
        held: bytearray | None = None,
        released: Container[str] = (),
    ) -> Mapped:
        """Map one record for one phase.

        Args:
            envelope: the record.
            lookup: the snapshot.
            phase: mapped records of this phase are made.
            is_traced: whether lineage is wanted.
            held: what other phases found out about the records of its page, by position; filled in.
            released: keys of mapped records that a person said to move without the references that are not found.
        """
        mapped = Mapped()
        plan = self._plan.entities.get(envelope.entity)
        skip = skip_reason(self._plan.mapping, envelope)
        if plan is None or skip is not None:
            if skip is not None and (plan is None or phase == plan.phases[0]):
                missing = self._missing_whole(envelope, lookup)
                kind = ledger_service_pb2.ISSUE_KIND_WAITING if missing else ledger_service_pb2.ISSUE_KIND_SKIPPED
                mapped.issues.append(_issue(kind, envelope, "", *(missing or skip)))
            return mapped
        at_phase = plan.by_phase.get(phase)
        if at_phase is None:
            return mapped
        memo: Memo = {}
        # Asks about the record; what is made has a context of its own.
        asking = Context(envelope=envelope, lookup=lookup, memo=memo)
        if at_phase.placing:
            for record, lineage in self._placeholders.needed(at_phase.placing, phase, asking):
                mapped.records.append(record)
                if is_traced:
                    mapped.lineage[record.key] = lineage
        is_held = False
        if at_phase.asks_main:
            is_held = self._is_held_known(plan, Context(envelope=envelope, lookup=lookup, memo=memo), held, released)
            if is_held:
                mapped.waiting.extend(_main_key(plan, asking))
        for target in at_phase.targets:
            if target.position == 0 or not is_held:
                context = Context(envelope=envelope, lookup=lookup, memo=memo, trace=[] if is_traced else None)
                self._map_target(target, context, mapped, released)
        if at_phase.long_texts and not is_held:
            self._long_texts(at_phase, asking, mapped)
        if at_phase.is_last and not is_held and not _makes_anything(plan, asking):
            message = "no target of the mapping applies to this record"
            mapped.issues.append(_issue(ledger_service_pb2.ISSUE_KIND_SKIPPED, envelope, "", "SKIPPED_BY_CONDITION", message))
        return mapped

    def _missing_whole(self, envelope: Envelope, lookup: Lookup) -> tuple[str, str] | None:
        """Say why a record that is moved as part of another is not, as (reason, message); None when it is, or is no part."""
        mapping = self._plan.mapping
        rule = mapping.entities.get(envelope.entity)
        if rule is None or rule.part_of is None or envelope.is_deleted:
            return None
        place = self._plan.links.locate(rule.part_of, envelope.data, lookup)
        if place is not None and lookup.get(place.entity, place.source_id) is not None:
            return None
        named = f"{place.entity}/{place.source_id}, which is not there" if place else "nothing"
        return (
            "REFERENCE_MISSING",
            f"it is moved as part of another record, but `{rule.part_of}` leads to {named}: correct it in the source or skip it",
        )

    def _is_held_known(self, plan: EntityPlan, context: Context, held: bytearray | None, released: Container[str]) -> bool:
        if released and any(key in released for key in _main_key(plan, context)):
            context.is_released = True
            return self._is_held(plan, context)
        if held is None:
            return self._is_held(plan, context)
        position = context.envelope.position
        if held[position] == UNKNOWN:
            held[position] = HELD if self._is_held(plan, context) else FREE
        return held[position] == HELD

    def _is_held(self, plan: EntityPlan, context: Context) -> bool:
        """Say whether the main mapped record is held back, so that what hangs on it is not made either; its own phase tells why."""
        main = plan.targets[0]
        if main.for_each is not None or (main.when is not None and not main.when(context)):
            return False
        try:
            if any(stop.test(context) and not _is_passed(stop, context) for stop in main.stops):
                return True
            for one in main.fields:
                if one.can_stop:
                    one.read(context)
        except (RecordProblem, LeaveOut):
            return True
        return False

    def _map_target(self, target: TargetPlan, context: Context, mapped: Mapped, released: Container[str]) -> None:
        if target.for_each is None:
            self._map_element(target, context, mapped, released)
            return
        try:
            elements = target.elements(context)
        except ValueProblem as problem:
            mapped.issues.append(_listless(target, context.envelope, problem))
            return
        for element in elements:
            trace: list[Lineage] | None = None if context.trace is None else []
            at_element = Context(envelope=context.envelope, lookup=context.lookup, element=element, trace=trace, memo=context.memo)
            self._map_element(target, at_element, mapped, released)

    def _map_element(self, target: TargetPlan, context: Context, mapped: Mapped, released: Container[str]) -> None:
        envelope = context.envelope
        key = f"{target.target}:{envelope.entity}/{envelope.id}"
        try:
            if target.when is not None and not target.when(context):
                return
            if target.part is not None:
                key = f"{key}/{target.part(context)}"
            context.is_released = key in released
            for stop in target.stops:
                if stop.test(context) and not _is_passed(stop, context):
                    if stop.reason == REFERENCE_MISSING:
                        mapped.waiting.append(key)
                    mapped.issues.append(_issue(_STATES[stop.state], envelope, key, stop.reason, stop.message(context) or ""))
                    return
            payload = self._payload(target, context, key)
            if context.is_released:
                _check_stands(target, payload)
            for flag in target.flags:
                if flag.test(context):
                    context.remark(flag.reason, flag.message(context) or "")
        except RecordProblem as problem:
            if problem.reason == REFERENCE_MISSING:
                mapped.waiting.append(key)
            kind = ledger_service_pb2.ISSUE_KIND_REJECTED if problem.is_final else ledger_service_pb2.ISSUE_KIND_WAITING
            mapped.issues.append(_issue(kind, envelope, key, problem.reason, problem.message))
        except LeaveOut as problem:
            mapped.issues.append(
                _issue(ledger_service_pb2.ISSUE_KIND_FLAGGED, envelope, "", problem.reason, f"{key}: {problem.message}; it was left out")
            )
        except ValueProblem as problem:
            # Only conditions and parts read values outside fields; what they cannot read is for a person to see.
            mapped.issues.append(_issue(ledger_service_pb2.ISSUE_KIND_WAITING, envelope, key, problem.reason, problem.message))
        else:
            self._emit(target, context, key, payload, mapped)

    def _payload(self, target: TargetPlan, context: Context, key: str) -> dict[str, Any]:
        payload = context.payload
        custom: dict[str, Any] = {}
        for one in target.fields:
            value = one.read(context)
            if value is None:
                continue
            if one.is_custom:
                custom[one.name] = value
            else:
                payload[one.name] = value
            if context.trace is not None:
                source_path = ", ".join(path for path, _ in one.rule.sources) or "(constant)"
                found = [getter(context) for _, getter in one.rule.sources]
                name = f"custom_fields.{one.name}" if one.is_custom else one.name
                context.trace.append(Lineage(name, one.label, source_path, found[0] if len(found) == 1 else found, value, one.rule.words))
        if target.target == "user":
            self._correct_user(context.envelope, payload)
        if target.external_id_hash is not None:
            custom[target.external_id_hash] = self._account + key.partition(":")[2]
        if custom:
            payload["custom_fields"] = custom
        return payload

    def _correct_user(self, envelope: Envelope, payload: dict[str, Any]) -> None:
        """Lay what a person decided about a source user over what the source says, and add the policy for users without a match."""
        mapping = self._plan.mapping
        person = mapping.owners.people.get(envelope.id) if envelope.entity in mapping.owners.entities else None
        if person is not None:
            if person.email:
                payload["email"] = person.email
            payload["is_active"] = bool(payload.get("is_active", True)) and person.is_active
        payload["use_fallback"] = mapping.policies.unmatched_owner == "fallback"

    def _emit(self, target: TargetPlan, context: Context, key: str, payload: dict[str, Any], mapped: Mapped) -> None:
        """Add the mapped record; a note that is too long for one becomes several."""
        contents = payload.get("content") if target.target == "note" else None
        if target.target == "activity" and "note" in payload:
            if len(payload["note"]) > 1:
                context.remark("VALUE_TOO_LONG", "the activity's note was cut: it is longer than Pipedrive takes")
            payload["note"] = payload["note"][0]
        if contents is None:
            mapped.records.append(self._record(context, target.target, key, payload))
        else:
            for number, content in enumerate(contents, start=1):
                part_key = key if number == 1 else f"{key}/{number}"
                shown = with_references(content, context, self._base_url) if target.phase == LATE_LINKS else content
                mapped.records.append(self._record(context, target.target, part_key, payload | {"content": shown}))
        if context.trace is not None:
            mapped.lineage[key] = context.trace
        for remark in context.remarks:
            mapped.issues.append(_issue(ledger_service_pb2.ISSUE_KIND_FLAGGED, context.envelope, key, remark.reason, remark.message))

    @staticmethod
    def _record(context: Context, target_entity: str, key: str, payload: dict[str, Any]) -> records_pb2.MappedRecord:
        content = canonical_json(payload)
        return records_pb2.MappedRecord(
            key=key,
            target_entity=target_entity,
            source_entity=context.envelope.entity,
            source_id=context.envelope.id,
            payload_json=content,
            payload_digest=digest(content),
            references=[context.references[name] for name in sorted(context.references)],
            group=payload["deal_id"]["$ref"] if target_entity == "line_item" else "",
        )

    def _long_texts(self, at_phase: PhasePlan, context: Context, mapped: Mapped) -> None:
        """Keep in a note what had to be cut."""
        envelope = context.envelope
        for target, fields in at_phase.long_texts:
            if target.when is not None and not target.when(context):
                continue
            cut = [(one.label, whole) for one in fields if (whole := one.long_text(context))]
            if not cut:
                continue
            part = target.part(context) if target.part is not None else ""
            tail = f"{envelope.entity}/{envelope.id}" + (f"/{part}" if part else "")
            fragments = [one for one in (heading("Full text of values that were cut"), facts(cut)) if one is not None]
            parent = f"{target.target}:{tail}"
            meant = envelope.source_key if parent.count("/") > 1 else ""
            reference = records_pb2.Reference(key=parent, missing_policy=records_pb2.MISSING_POLICY_REVIEW, source_key=meant)
            at_note = Context(envelope=envelope, lookup=context.lookup, references={parent: reference})
            for number, content in enumerate(pack(fragments, NOTE_BYTES_MAX), start=1):
                key = f"note:{tail}/{target.target}-{_LONG_TEXT_PART}" + (f"/{number}" if number > 1 else "")
                payload = {"content": content, NOTE_PARENTS[target.target]: {"$ref": parent}}
                mapped.records.append(self._record(at_note, "note", key, payload))


def _makes_anything(plan: EntityPlan, context: Context) -> bool:
    for target in plan.targets:
        try:
            if target.for_each is not None:
                if target.elements(context):
                    return True
            elif target.when is None or target.when(context):
                return True
        except ValueProblem:
            return True
    return False


def _listless(target: TargetPlan, envelope: Envelope, problem: ValueProblem) -> ledger_service_pb2.RecordIssue:
    """Say that the list a target is made for cannot be made."""
    if target.for_each_rejects:
        key = f"{target.target}:{envelope.entity}/{envelope.id}"
        return _issue(ledger_service_pb2.ISSUE_KIND_REJECTED, envelope, key, problem.reason, problem.message)
    message = f"{target.target}: {problem.message}; none was made"
    return _issue(ledger_service_pb2.ISSUE_KIND_FLAGGED, envelope, "", problem.reason, message)


def _main_key(plan: EntityPlan, context: Context) -> list[str]:
    """Answer the key of the main mapped record; none when it cannot be told."""
    main, envelope = plan.targets[0], context.envelope
    try:
        part = f"/{main.part(context)}" if main.part is not None else ""
    except (RecordProblem, ValueProblem):
        return []
    return [f"{main.target}:{envelope.entity}/{envelope.id}{part}"]


def _is_passed(stop: StopPlan, context: Context) -> bool:
    """Say whether a person let a record pass a stop that asks for what it refers to."""
    return context.is_released and stop.reason == REFERENCE_MISSING and stop.state == "waiting"


def _check_stands(target: TargetPlan, payload: Mapping[str, Any]) -> None:
    """Refuse what Pipedrive keeps only on something else, when nothing of it is left.

    Raises:
        RecordProblem: it has nothing to stand on.
    """
    if target.target in HANGS_ON and HANGS_ON[target.target].isdisjoint(payload):
        message = f"a {target.target} stands in Pipedrive only on another record, and none is left: correct it in the source or skip it"
        raise RecordProblem(REFERENCE_MISSING, message, is_final=False)


def _issue(kind: ledger_service_pb2.IssueKind.ValueType, envelope: Envelope, key: str, reason: str, message: str) -> ledger_service_pb2.RecordIssue:
    return ledger_service_pb2.RecordIssue(kind=kind, source_key=envelope.source_key, key=key, reason=reason, message=message)
