"""Decides, in the transaction that claims a batch, whether what is about to be created exists already (RS-01).

The ledger has one writer at a time, so of two records that come to the same record of Pipedrive at once one is first, whichever loaders they are
with. What was decided is written with the claim, before anything happens in Pipedrive: whoever takes the record up again does the same.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.edits import CUSTOM_PREFIX
from services.ledger.claims import Action, Decision
from services.ledger.domain import (
    TARGET_CANDIDATE,
    ClaimAction,
    EventDraft,
    Match,
    MatchCandidate,
    Record,
    RecordState,
    Resolution,
    ReviewItem,
    review_item_of,
)
from services.ledger.matching.choice import Choice, Place, Verdict, choose
from services.ledger.matching.identity import Identity, identify
from services.ledger.matching.score import STRANGERS, Judgement, compare
from services.ledger.replaced import replaced_rows
from transload.v1.records_pb2 import MappedRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from services.ledger.claims import References
    from services.ledger.domain import Run, WantedRecord
    from services.ledger.matching.identity import Rules
    from services.ledger.repository import Transaction

MATCH_UNCERTAIN: Final = "MATCH_UNCERTAIN"
MERGED_INTO_FIRST: Final = "MERGED_INTO_FIRST"
LINK_ONLY: Final = "match"
_CHOSEN: Final = "chosen"
_A: Final = {"organization": "an organization", "person": "a person", "product": "a product"}
_NO_PLACE: Final = frozenset({RecordState.SKIPPED, RecordState.REJECTED, RecordState.UNDONE, RecordState.EXPECTED})


@dataclass(slots=True)
class Matched:
    """What comes of a batch.

    Attributes:
        decisions: in the order of the batch.
        events: one for each record about which something was decided.
        flags: review items that hold nothing up.
        results: what the run's sums grow by.
    """

    decisions: list[Decision]
    events: list[EventDraft] = field(default_factory=list)
    flags: list[ReviewItem] = field(default_factory=list)
    results: int = 0


@dataclass(frozen=True, slots=True)
class _Case:
    """One record that is about to be created.

    Attributes:
        decision: create it, as far as is known.
        wanted: as it came.
        record: as the ledger knows it; what was taken back still has its old place there, which it has not any more in the decision's.
        payload: references resolved.
    """

    decision: Decision
    wanted: WantedRecord
    record: Record
    payload: Mapping[str, Any]
    identity: Identity


@dataclass(slots=True)
class _Index:
    """The candidates of a batch: what was read for it, and its own records as they are decided."""

    identities: dict[str, Identity] = field(default_factory=dict)
    by_digest: defaultdict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    records: dict[str, Record] = field(default_factory=dict)
    owners: defaultdict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))

    def add(self, candidate: str, identity: Identity, digests: Iterable[str]) -> None:
        self.identities[candidate] = identity
        for digest in digests:
            self.by_digest[digest][candidate] = None

    def settle(self, record: Record) -> None:
        """Take a decision on a record of the batch into account for the next ones."""
        self.records[record.key] = record
        if record.has_target:
            self.owners[record.target_id].append(record)


class Matcher:
    """Matches the records of one batch that are about to be created."""

    def __init__(self, tx: Transaction, run: Run, rules: Rules, *, replica: str, now: datetime) -> None:
        self._tx = tx
        self._run = run
        self._rules = rules
        self._replica = replica
        self._now = now
        self._index = _Index()
        self._gone: set[str] = set()

    async def decide(self, pairs: Sequence[tuple[Decision, WantedRecord, Record]], references: References) -> Matched:
        """Decide on creates; other decisions stay as they are.

        Args:
            pairs: for each record of the batch the decision so far, the record as it came, and as the ledger knows it.
            references: how the batch's references resolve.
        """
        matched = Matched([decision for decision, _, _ in pairs])
        cases: dict[int, _Case] = {}
        for position, (decision, wanted, record) in enumerate(pairs):
            if decision.action is Action.CREATE:
                payload = _payload(wanted, references.ids)
                cases[position] = _Case(decision, wanted, record, payload, identify(self._rules, payload))
        if cases:
            await self._read(list(cases.values()))
        new: dict[str, Identity] = {}
        for position, case in cases.items():
            found = self._decide_one(case, matched)
            matched.decisions[position] = found
            if found.action is Action.HELD:
                continue
            new[case.record.key] = case.identity
            self._index.add(case.record.key, case.identity, case.identity.digests())
            self._index.settle(found.record)
        await self._tx.save_match_candidates([self._candidate(key, identity) for key, identity in new.items()])
        if matched.results:
            await self._tx.add_run_results(self._run.run_id, {(self._rules.entity, "matched"): matched.results})
        return matched

    def _candidate(self, key: str, identity: Identity) -> MatchCandidate:
        plain = orjson.dumps(identity.plain()).decode()
        return MatchCandidate(self._run.migration_id, self._rules.entity, key, plain, tuple(identity.digests()))

    async def _read(self, cases: Sequence[_Case]) -> None:
        """Read the candidates, and how those stand that belong to records of this migration."""
        known = [match for case in cases if (match := Match.of(case.record.match)) is not None and match.candidates]
        chosen = {match.chosen or match.candidates[0].candidate for match in known}
        digests = {digest for case in cases for digest in case.identity.digests()}
        found = await self._tx.find_match_candidates(self._run.migration_id, self._rules.entity, digests)
        for one in found:
            self._index.add(one.candidate, Identity.from_plain(orjson.loads(one.identity)), one.digests)
        names = {one.candidate for one in found} | chosen
        keys = [name for name in names if not name.startswith(TARGET_CANDIDATE)]
        self._index.records = await self._tx.get_records(self._run.migration_id, keys)
        ids = {name.removeprefix(TARGET_CANDIDATE) for name in names if name.startswith(TARGET_CANDIDATE)}
        ids |= {record.target_id for record in self._index.records.values() if record.has_target}
        for record in await self._tx.list_records_by_target(self._run.migration_id, self._rules.entity, sorted(ids)):
            if record.has_target:
                self._index.owners[record.target_id].append(record)
        rows = replaced_rows(self._tx, self._run.migration_id)
        # Others that were taken for one that is gone are still written down under its id; they follow as soon as it has another.
        self._gone = {row.target_id async for _, row in rows if row.target_entity == self._rules.entity}

    def _decide_one(self, case: _Case, matched: Matched) -> Decision:
        record = case.record
        known = Match.of(record.match)
        if known is not None and known.decision == Verdict.UNCERTAIN and record.resolution in {Resolution.MATCH, Resolution.CREATE}:
            known = _as_chosen(known, record.resolution)
            place = self._place(known.chosen, case.identity) if known.chosen else None
            if place is not None or not known.chosen:
                return self._follow(case, matched, Choice(Verdict.CERTAIN if place else Verdict.NONE, place), known)
        if known is not None and known.decision == _CHOSEN and not known.target_id:
            return case.decision
        return self._follow(case, matched, choose(self._rules, self._places(record.key, case.identity)), None)

    def _follow(self, case: _Case, matched: Matched, choice: Choice, chosen: Match | None) -> Decision:
        """Do what was chosen."""
        record, place = case.record, choice.place
        if place is not None and not place.target_id:
            if self._is_under_way(place.key):
                return Decision(record, Action.HELD)
            choice = Choice(Verdict.UNCERTAIN, None, choice.places or (place,))
            place = None
        named = chosen.candidates if chosen else tuple(one.named for one in choice.places)
        match = Match(decision=chosen.decision if chosen else choice.verdict, candidates=named, chosen=chosen.chosen if chosen else "", is_new=True)
        if choice.verdict is Verdict.UNCERTAIN:
            match = replace(match, decision=Verdict.UNCERTAIN, is_new=False)
            matched.events.append(self._event(record, match, "uncertain"))
            return self._ask(case, match)
        if place is None:
            if match.candidates:
                matched.events.append(self._event(record, match, "created"))
            told = match.to_json() if match.candidates else ""
            return replace(case.decision, record=replace(case.decision.record, match=told))
        match = replace(match, target_id=place.target_id)
        if place.key:
            match = replace(match, first_key=place.key, policy=LINK_ONLY, is_new=False)
            matched.events.append(self._event(record, match, "merged"))
            return self._merge(case, match, matched)
        # The first one that comes writes; two would write over each other, and none could be taken back alone.
        is_written = self._rules.policy != "create" and not place.has_first
        match = replace(match, policy=self._rules.policy if is_written else LINK_ONLY)
        matched.events.append(self._event(record, match, "matched"))
        return self._link(case, match)

    def _link(self, case: _Case, match: Match) -> Decision:
        """Let the loader link it: it looks whether the record is still there, and what is to be written into it. From now on it is taken."""
        record, decision = case.record, case.decision
        claimed = replace(
            decision.record,
            intent_time=record.intent_time,
            intent_record=record.intent_record,
            claim_action=ClaimAction.MATCH,
            target_id=match.target_id,
            is_preexisting=True,
            match=match.to_json(),
        )
        return replace(decision, record=claimed, action=Action.MATCH)

    def _merge(self, case: _Case, match: Match, matched: Matched) -> Decision:
        """Take it for a record of this migration that stands in Pipedrive. Nothing is written there, so the ledger does it alone."""
        merged = replace(
            _unclaimed(case.decision.record, self._now),
            state=RecordState.MATCHED,
            target_id=match.target_id,
            is_preexisting=True,
            payload_digest=case.wanted.payload_digest,
            intent_digest=case.wanted.payload_digest,
            reason="",
            message="",
            resolution=Resolution.NONE,
            undo_run_id="",
            match=match.to_json(),
            load_time=self._now,
        )
        matched.results += 1
        known = [self._index.records.get(match.first_key), *self._index.owners[match.target_id]]
        first = next((one for one in known if one is not None and one.key == match.first_key), None)
        left = left_out(case.payload, orjson.loads(first.image or "{}"), case.record) if first is not None else []
        if left:
            message = f"it was taken for {match.first_key} ({match.target_id}), which has other values in: {', '.join(left)}"
            matched.flags.append(review_item_of(merged, MERGED_INTO_FIRST, message, self._now, is_blocking=False))
        return Decision(merged, Action.DONE, is_changed=True)

    def _ask(self, case: _Case, match: Match) -> Decision:
        """Let a person decide."""
        named = "; ".join(one.words for one in match.candidates)
        advice = "Resolve with `match` (and the id of a candidate, or of another one), `create` or `skip`"
        message = f"may be {_A[self._rules.entity]} that exists: {named}. {advice}"
        waiting = replace(
            _unclaimed(case.decision.record, self._now),
            state=RecordState.WAITING,
            reason=MATCH_UNCERTAIN,
            message=message,
            intent_digest=case.wanted.payload_digest,
            resolution=Resolution.NONE,
            match=match.to_json(),
        )
        return Decision(waiting, Action.BLOCKED, is_changed=True)

    def _is_under_way(self, key: str) -> bool:
        """Say whether a record comes to its end in this run; one that got stuck in an earlier run is not waited for."""
        record = self._index.records.get(key)
        is_open = record is not None and record.state in {RecordState.CLAIMED, RecordState.IN_DOUBT}
        return is_open and record is not None and record.update_time is not None and record.update_time >= self._run.start_time

    def _places(self, own_key: str, identity: Identity) -> list[Place]:
        names = {name: None for digest in identity.digests() for name in self._index.by_digest.get(digest, ()) if name != own_key}
        places: dict[str, Place] = {}
        for name in sorted(names):
            judgement = compare(self._rules, identity, self._index.identities[name])
            place = self._stand(name, judgement) if judgement is not STRANGERS else None
            if place is None:
                continue
            # One that was matched stands under its own name, too: what speaks against any of them speaks against all.
            before = places.setdefault(place.target_id or place.key, place)
            if before is not place:
                best = max(before, place, key=lambda one: one.judgement.score)
                is_barred = before.judgement.is_barred or place.judgement.is_barred
                places[place.target_id or place.key] = replace(best, judgement=replace(best.judgement, is_barred=is_barred))
        return list(places.values())

    def _place(self, name: str, identity: Identity) -> Place | None:
        """Answer a candidate that a person named; None: it stands nowhere any more."""
        return self._stand(name, compare(self._rules, identity, self._index.identities.get(name, Identity(""))))

    def _stand(self, name: str, judgement: Judgement) -> Place | None:
        """Answer where a candidate stands; None: nowhere."""
        other = self._index.identities.get(name, Identity(""))
        if name.startswith(TARGET_CANDIDATE):
            return self._in_pipedrive(Place(name, name.removeprefix(TARGET_CANDIDATE), "", other.title, judgement))
        record = self._index.records.get(name)
        if record is None or (record.state in _NO_PLACE and not record.has_target):
            return None
        if record.has_target:
            return self._in_pipedrive(Place(name, record.target_id, "", other.title, judgement))
        return Place(name, "", name, other.title, judgement, is_waiting=record.state is RecordState.WAITING)

    def _in_pipedrive(self, place: Place) -> Place | None:
        if place.target_id in self._gone:
            return None
        owners = self._index.owners.get(place.target_id, ())
        maker = next((owner.key for owner in owners if not owner.is_preexisting), "")
        return replace(place, key=maker, has_first=any(owner.is_preexisting for owner in owners))

    def _event(self, record: Record, match: Match, result: str) -> EventDraft:
        """Tell on the record's journey what was decided, and why."""
        told = {
            "run_id": self._run.run_id,
            "decision": match.decision,
            "policy": match.policy,
            "first_key": match.first_key,
            "candidates": [
                {"candidate": one.candidate, "target_id": one.target_id, "title": one.title, "score": one.score, "reasons": list(one.reasons)}
                for one in match.candidates
            ],
        }
        payload = {name: value for name, value in told.items() if value}
        return EventDraft(
            "match.decided",
            self._replica,
            key=record.key,
            source_key=record.source_key,
            target_id=match.target_id,
            result=result,
            payload=payload,
        )


def _as_chosen(known: Match, resolution: Resolution) -> Match:
    """Answer what a person decided. Without a name the first candidate is meant."""
    if resolution is Resolution.CREATE:
        return replace(known, decision=_CHOSEN, chosen="", policy="")
    first = known.candidates[0].candidate if known.candidates else ""
    return replace(known, decision=_CHOSEN, chosen=known.chosen or first)


def _payload(wanted: WantedRecord, ids: Mapping[str, str]) -> dict[str, Any]:
    """Answer the payload of a record; references of its own fields are resolved."""
    payload: dict[str, Any] = orjson.loads(MappedRecord.FromString(wanted.content).payload_json or b"{}")
    return {name: ids.get(value["$ref"], "") if isinstance(value, dict) and "$ref" in value else value for name, value in payload.items()}


def left_out(payload: Mapping[str, Any], image: Mapping[str, Any], record: Record) -> list[str]:
    """Name the fields of a record that was taken for another whose values that one does not have."""
    flat = {**payload, **{CUSTOM_PREFIX + name: value for name, value in (payload.get("custom_fields") or {}).items()}}
    flat.pop("custom_fields", None)
    own = f"/{record.source_key}"
    left = []
    for name, value in sorted(flat.items()):
        said = _said(value)
        is_own_id = isinstance(value, str) and (value.endswith(own) or f"{own}/" in value)
        if said and not is_own_id and not said <= _said(image.get(name)):
            left.append(name)
    return left


def _said(value: object) -> frozenset[str]:
    """Answer what a value says, without its form."""
    if isinstance(value, list):
        return frozenset(text for one in value for text in _said(one))
    if isinstance(value, dict):
        return _said(value["value"]) if "value" in value else frozenset(text for one in value.values() for text in _said(one))
    if value is None or isinstance(value, bool) or value == "":
        return frozenset()
    return frozenset({f"{value:g}" if isinstance(value, int | float) else str(value).strip().casefold()})


def _unclaimed(record: Record, now: datetime) -> Record:
    return replace(
        record,
        holder="",
        claim_action=ClaimAction.NONE,
        claim_token="",
        claim_batch_id="",
        claim_expire_time=None,
        intent_time=None,
        intent_record=b"",
        update_time=now,
    )
