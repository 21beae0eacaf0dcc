"""What a migration will spend in Pipedrive, call by call, before anything moves.

The plan does what the load will do, but for the calls: it maps every record of the snapshot with the real engine, cuts the same batches, follows
the references (what hangs on a record that is held back is held back too) and counts the calls the loader makes for each batch. Where ids of
Pipedrive are needed that do not exist yet, stand-ins are bound: they change no count. Memory grows by eight bytes for each record others refer to.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.phases import PHASES, TARGET_PHASES
from services.transformer import plan_costs as costs
from services.transformer.batching import cut, each_key_once
from services.transformer.compile import compile_schema
from services.transformer.engine import Engine
from services.transformer.manifest import FALLBACK_USER_KEY, PLACEHOLDER_ENTITY, Manifest
from services.transformer.plan import MappingPlan
from services.transformer.plan_matching import assumptions, plan_matching
from services.transformer.plan_reading import plan_diff, plan_reconciliation, plan_rollback
from services.transformer.plan_schema import plan_looks, plan_schema
from services.transformer.plan_spending import Spending
from services.transformer.plan_values import DealValues, short
from services.transformer.sample import select_sample
from transload.v1 import ledger_service_pb2, records_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.plan import EntityPlan
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Snapshot

PROGRESS_RECORDS: Final = 500

_LINES, _LATE = records_pb2.PHASE_LINE_ITEMS, records_pb2.PHASE_LATE_LINKS
_BEFORE_RECORDS: Final = frozenset({records_pb2.PHASE_USERS, records_pb2.PHASE_SCHEMA})
_REFERRED_TO: Final = frozenset({"product", "organization", "person", "deal", "activity"})
_HELD_KINDS: Final = frozenset({ledger_service_pb2.ISSUE_KIND_WAITING, ledger_service_pb2.ISSUE_KIND_REJECTED})
EXACT: Final = (
    "calls that create records, fields, options, pipelines, stages and activity types: each record is mapped as the load maps it",
    "bulk or single line items, deal by deal and batch by batch",
    "lists read to set the values of deals, batch by batch, in sample and load",
)
ASSUMED: Final = (
    "deal values: Pipedrive rounds each line and then their sum to the digits of the currency; where that differs from the source, the value is set",
    "no answer is lost: each batch with a lost answer costs one list more for each 500 records made since (10 tokens, version 1: 20)",
    "nobody changes the source, the mapping or the account in between, and the sample has the default size",
    "lines are spread evenly over the deals of a kind, for the lists that read them back",
    "reading back takes the ids to begin at 1, as in an account without records: in a full one it may cost up to ten times as much",
    "a rollback takes back what sample and load created, before any delta",
)


class _Keys:
    """Keys of records that will stand in Pipedrive, as 64-bit digests: of ten million keys two share one in one plan of 400,000."""

    def __init__(self) -> None:
        self._sorted = array("Q")
        self._new = array("Q")

    def add(self, key: str) -> None:
        self._new.append(short(key))

    def settle(self) -> None:
        """Make what was added findable."""
        self._sorted = array("Q", sorted([*self._sorted, *self._new])) if self._new else self._sorted
        self._new = array("Q")

    def __contains__(self, key: str) -> bool:
        wanted = short(key)
        place = bisect_left(self._sorted, wanted)
        return place < len(self._sorted) and self._sorted[place] == wanted


def plan_load(
    index: Snapshot,
    mapping: MappingModel,
    target: Mapping[str, Any] | None = None,
    *,
    sample_size: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Plan what a migration spends.

    Args:
        index: the frozen records.
        mapping: the mapping, confirmed or proposed.
        target: the account as answered by `InspectTarget`; without it it is taken for empty.
        sample_size: wanted source records of the sample; 0: the default.
        progress: told the number of records mapped so far, over all phases, now and then.

    Raises:
        MappingError: the mapping cannot be compiled.
    """
    account = target or {}
    schema = compile_schema(mapping)
    plan = MappingPlan(mapping, Manifest("plan", mapping, stand_ins(schema)))
    selection = frozenset(select_sample(index, mapping, sample_size).source_keys)
    planner = _Planner(index, plan, account, selection, progress)
    spending = planner.spending
    plan_looks(spending, account)
    plan_schema(spending, schema, account)
    planner.plan_records(schema)
    plan_matching(spending, mapping)
    plan_diff(spending)
    plan_reconciliation(spending)
    plan_rollback(spending)
    return planner.report()


def stand_ins(schema: Iterable[records_pb2.MappedRecord]) -> dict[str, Any]:
    """Bind every schema record to an id of its own, as the account would."""
    bound: dict[str, Any] = {}
    for number, record in enumerate(schema, start=1):
        payload = orjson.loads(record.payload_json)
        target_id = str(number)
        if record.target_entity == "custom_field":
            target_id = f"{number:040x}"
            payload["options"] = {label: place for place, label in enumerate(payload.get("options", []), start=1)}
        elif record.target_entity == "activity_type":
            payload["key_string"] = payload["name"]
        bound[record.key] = {"target_id": target_id, "image": payload}
    return bound


class _Planner:
    """Goes through the records, phase after phase as the load does, and counts."""

    def __init__(
        self, index: Snapshot, plan: MappingPlan, account: Mapping[str, Any], selection: frozenset[str], progress: Callable[[int], None] | None
    ) -> None:
        self.mapping = plan.mapping
        self.selection = selection
        self.spending = Spending()
        self.open_deals = 0
        self.file_bytes = 0
        self.patched = 0
        self._held: Counter[str] = Counter()
        self._index = index
        self._plan = plan
        # Each makes a placeholder once, with the first of its records that refers to it.
        self._engine, self._sample_engine = Engine(plan), Engine(plan)
        self._values = DealValues(is_whole_at_once=False)
        self._placed: dict[str, records_pb2.MappedRecord] = {}
        self._placed_in_sample: set[str] = set()
        self._keys = _Keys()
        self._progress = progress
        self._done = 0
        self._emails = {str(user.get("email") or "").casefold() for user in account.get("users") or [] if user.get("active_flag", True)}

    def plan_records(self, schema: Iterable[records_pb2.MappedRecord]) -> None:
        """Map everything; what refers to the schema finds it."""
        self._keys.add(FALLBACK_USER_KEY)
        for record in schema:
            # People whom the mapping lists are matched like the source's own.
            if record.target_entity != "user" or self._is_owner(record):
                self._keys.add(record.key)
        self._keys.settle()
        present = set(self._index.entities())
        for phase in PHASES:
            for entity, entity_plan in self._plan.entities.items():
                is_whole = _makes_whole_deals(entity_plan)
                if entity not in present or phase not in entity_plan.phases or (phase == _LATE and is_whole):
                    continue
                phases = [phase, _LATE] if phase == _LINES and is_whole else [phase]
                for page in self._pages(entity):
                    self._plan_page(page, phases, DealValues() if is_whole else self._values)
            self._plan_placeholders(phase)
            self._keys.settle()

    def _pages(self, entity: str) -> Iterator[list[Envelope]]:
        for _, page in groupby(self._index.iterate(entity), key=lambda envelope: envelope.sequence):
            yield list(page)

    def _plan_page(self, page: Sequence[Envelope], phases: Sequence[records_pb2.Phase.ValueType], values: DealValues) -> None:
        for phase in phases:
            made: list[records_pb2.MappedRecord] = []
            for envelope in page:
                for record in self._mapped(envelope, phase):
                    if record.source_entity == PLACEHOLDER_ENTITY:
                        self._placed[record.key] = record
                        self._placed_in_sample |= {record.key} if envelope.source_key in self.selection else set()
                    else:
                        made.append(record)
                self._done += 1
                if self._progress is not None and self._done % PROGRESS_RECORDS == 0:
                    self._progress(self._done)
            made, _ = each_key_once(made)
            in_sample = [record for record in made if f"{record.source_entity}/{record.source_id}" in self.selection]
            if phase in _BEFORE_RECORDS:
                self._plan_batches("schema", phase, made, made, values)
                continue
            if phase == _LINES:
                values.take("sample", in_sample)
                values.take("load", made)
            self._plan_batches("sample", phase, in_sample, in_sample, values)
            sampled = {record.key for record in in_sample}
            self._plan_batches("load", phase, made, [record for record in made if record.key not in sampled], values)

    def _plan_placeholders(self, phase: records_pb2.Phase.ValueType) -> None:
        """Count the placeholders of a phase: the sample makes those its records refer to, the load the others."""
        for step, is_in_sample in (("sample", True), ("load", False)):
            made = [record for key, record in sorted(self._placed.items()) if (key in self._placed_in_sample) is is_in_sample]
            self._plan_batches(step, phase, made, made, self._values)
        self._placed.clear()

    def _mapped(self, envelope: Envelope, phase: records_pb2.Phase.ValueType) -> Iterator[records_pb2.MappedRecord]:
        engine = self._sample_engine if envelope.source_key in self.selection else self._engine
        mapped = engine.map_record(envelope, self._index, phase)
        for issue in mapped.issues:
            if issue.kind in _HELD_KINDS and issue.key:
                self._held[issue.key.partition(":")[0]] += 1
        for record in mapped.records:
            if record.target_entity == "user":
                if self._is_owner(record):
                    self._keys.add(record.key)
                yield record
                continue
            if any(not self._resolves(reference, phase) for reference in record.references):
                self._held[record.target_entity] += 1
                continue
            if record.target_entity in _REFERRED_TO:
                self._keys.add(record.key)
            self._note(record)
            yield record

    def _note(self, record: records_pb2.MappedRecord) -> None:
        if record.target_entity == "deal":
            self.open_deals += orjson.loads(record.payload_json).get("status", "open") == "open"
        elif record.target_entity == "file":
            self.file_bytes += int(orjson.loads(record.payload_json).get("byte_count") or 0)

    def _is_owner(self, record: records_pb2.MappedRecord) -> bool:
        payload = orjson.loads(record.payload_json)
        return bool(payload.get("use_fallback")) or str(payload.get("email") or "").strip().casefold() in self._emails

    def _resolves(self, reference: records_pb2.Reference, phase: records_pb2.Phase.ValueType) -> bool:
        if reference.missing_policy == records_pb2.MISSING_POLICY_DROP or reference.key in self._keys:
            return True
        if TARGET_PHASES.get(reference.key.partition(":")[0]) == phase:
            return True
        return reference.missing_policy == records_pb2.MISSING_POLICY_FALLBACK and reference.fallback_key in self._keys

    def _plan_batches(
        self,
        step: str,
        phase: records_pb2.Phase.ValueType,
        all_records: Sequence[records_pb2.MappedRecord],
        created: Sequence[records_pb2.MappedRecord],
        values: DealValues,
    ) -> None:
        """Cut the batches of a page as the transformer does, and count the calls of those records that are created in this step."""
        keys = {record.key for record in created}
        announcement = records_pb2.PageAnnouncement(phase=phase, page=records_pb2.Page(page_id="plan"))
        for batch in cut(announcement, all_records):
            records = [record for record in batch.records if record.key in keys]
            if records:
                self.spending.spend(step, batch.target_entity, self._calls(step, batch.target_entity, records, values), len(records))

    def _calls(self, step: str, entity: str, records: Sequence[records_pb2.MappedRecord], values: DealValues) -> costs.Calls:
        if entity == "user":
            return Counter({"users.list": 1})
        if entity == "line_item":
            by_deal = Counter(record.group for record in records)
            for deal, lines in by_deal.items():
                source_entity = deal.partition(":")[2].partition("/")[0]
                self.spending.lines[source_entity] += lines
                self.spending.line_deals[source_entity] += 1
            return costs.lines_created(by_deal.values())
        if entity == "deal_value":
            patches = values.count_set(step, records)
            self.patched += patches
            deals = {orjson.loads(record.payload_json)["deal_id"]["$ref"] for record in records}
            return costs.read_by_ids("deal", len(deals)) + Counter({"deals.update": patches})
        if entity == "organization_relation":
            self.spending.parents += len({orjson.loads(record.payload_json)["rel_owner_org_id"]["$ref"] for record in records})
        return Counter({f"{costs.OPERATIONS[entity]}.create": len(records)})

    def report(self) -> dict[str, Any]:
        """Answer the plan as JSON values."""
        return {
            "mapping_digest": self.mapping.digest,
            **self.spending.report(),
            "sample_source_records": len(self.selection),
            "held_records": dict(sorted((+self._held).items())),
            "deal_values_set": self.patched,
            "open_deals": self.open_deals,
            "custom_fields": self.spending.schema_created["custom_field"],
            "file_bytes": self.file_bytes,
            "exact": list(EXACT),
            "assumed": [*ASSUMED, *assumptions(self.mapping)],
        }


def _makes_whole_deals(entity_plan: EntityPlan) -> bool:
    """Say whether an entity makes its deals' lines and then their values, so that both are known page by page."""
    lines = [target for target in entity_plan.targets if target.phase == _LINES]
    hangs_on = [one.rule.sources for target in lines for one in target.fields if one.name == "deal_id"]
    is_own = all([path for path, _ in sources] == ["self"] for sources in hangs_on)
    return bool(lines) and is_own and _LATE in entity_plan.phases
