"""Many loaders at once, dying at random: of records that are the same one, one stands in Pipedrive, one writes, and the others are linked to it."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from services.ledger.domain import MatchCandidate, RecordFilter
from services.ledger.matching.identity import Rules, identify
from services.ledger.runs.context import RunContext
from tests.contract.ledger.world import ORGANIZATIONS, RUN, M, World, actions, mapped, outcome
from transload.v1.ledger_service_pb2 import RecordAction

if TYPE_CHECKING:
    from transload.v1 import ledger_service_pb2 as pb
    from transload.v1.records_pb2 import MappedRecord

RULES: dict[str, Any] = {
    "policy": "update",
    "within_source": "merge_into_first",
    "certain": 0.9,
    "uncertain": 0.7,
    "keys": [{"key": "domain", "fields": ["website"], "score": 0.95, "is_enough": True}],
}
COMPANIES, THERE, RECORDS, LOADERS = 5, 3, 14, 3


class Pipedrive:
    """What stands there, and who wrote it."""

    def __init__(self) -> None:
        self.created: dict[str, str] = {}
        self.creations: Counter[str] = Counter()
        self.writers: defaultdict[str, set[str]] = defaultdict(set)

    def create(self, key: str) -> str:
        self.creations[key] += 1
        self.created[key] = str(100 + len(self.created))
        return self.created[key]


class Chaos:
    """Loaders that take batches in any order and die at any point."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random, self.pipedrive = world, random.Random(seed), Pipedrive()
        self.company = {f"organization:client/{number}": self.random.randrange(COMPANIES) for number in range(RECORDS)}
        self.batches: dict[str, list[MappedRecord]] = {}

    async def begin(self) -> None:
        world = self.world
        await world.begin(phase=ORGANIZATIONS)
        rules = Rules.of("organization", RULES)
        assert rules is not None
        async with world.ledger.transaction() as tx:
            run = await tx.get_run(RUN)
            assert run is not None
            await tx.save_run(replace(run, context_json=RunContext(matching={"organization": RULES}).to_json()))
            for company in range(THERE):
                identity = identify(rules, {"name": f"There {company}", "website": f"c{company}.example"})
                text = orjson.dumps(identity.plain()).decode()
                await tx.save_match_candidates([MatchCandidate(M, "organization", f"target/{company}", text, tuple(identity.digests()))])
        keys = list(self.company)
        while keys:
            size = self.random.randint(1, 4)
            part, keys = keys[:size], keys[size:]
            name = f"b{len(self.batches)}"
            self.batches[name] = [mapped(key, name=key, website=f"www.c{self.company[key]}.example") for key in part]
            await world.expect(*part, batch_id=name, phase=ORGANIZATIONS)

    async def step(self, name: str) -> bool:
        """Let a loader work on a batch; answers whether nothing of it is open."""
        holder = f"loader-{self.random.randrange(LOADERS)}/{self.random.randrange(3)}"
        records = {record.key: record for record in self.batches[name]}
        answer = await self.world.begin_batch(*records.values(), batch_id=name, phase=ORGANIZATIONS, holder=holder)
        told = [one for decision in answer.decisions if (one := self.act(decision, records[decision.key])) is not None]
        if self.random.random() < 0.3:
            # It died before it told anybody; its claims end by themselves.
            self.world.clock.advance(61)
            return False
        return await self.world.settle(*told, batch_id=name, holder=holder) and not any(word == "HELD" for word in actions(answer).values())

    def act(self, decision: pb.RecordDecision, record: MappedRecord) -> pb.RecordOutcome | None:
        word = RecordAction.Name(decision.action).removeprefix("RECORD_ACTION_")
        if word in {"DONE", "BLOCKED", "HELD"}:
            return None
        if self.random.random() < 0.15:
            return outcome(decision.key, "UNKNOWN" if word == "IN_DOUBT" else "NOT_TRIED")
        if word in {"CREATE", "IN_DOUBT"}:
            known = self.pipedrive.created.get(decision.key) if word == "IN_DOUBT" else None
            target_id = known or self.pipedrive.create(decision.key)
            if self.random.random() < 0.2:
                return outcome(decision.key, "UNKNOWN", reason="IN_DOUBT")
            return outcome(decision.key, "CREATED", target_id=target_id, image_json=b"{}", payload_digest=record.payload_digest)
        if word == "MATCH" and decision.match_policy == "match":
            return outcome(decision.key, "MATCHED", target_id=decision.target_id, image_json=b"{}", payload_digest=record.payload_digest)
        if word == "MATCH":
            before = orjson.dumps({"name": f"There {decision.target_id}"})
            return outcome(decision.key, "NOTED", target_id=decision.target_id, pre_image_json=before, planned_json=b'{"name":"x"}')
        assert word == "UPDATE"
        assert orjson.loads(decision.pre_image_json) == {"name": f"There {decision.target_id}"}
        self.pipedrive.writers[decision.target_id].add(decision.key)
        return outcome(decision.key, "UPDATED", target_id=decision.target_id, image_json=b'{"name":"x"}', payload_digest=record.payload_digest)


@pytest.mark.requirement("L-10", "L-15", "X-04")
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_one_stands_and_one_writes(world: World, seed: int) -> None:
    chaos = Chaos(world, seed)
    await chaos.begin()
    left = set(chaos.batches)
    for _ in range(400):
        if not left:
            break
        name = chaos.random.choice(sorted(left))
        if await chaos.step(name):
            left.discard(name)
    assert not left
    async with world.ledger.read() as reader:
        records = await reader.list_records(M, RecordFilter())
    where: defaultdict[int, set[str]] = defaultdict(set)
    for record in records:
        where[chaos.company[record.key]].add(record.target_id)
        assert record.state in {"loaded", "matched"}
    assert all(len(ids) == 1 for ids in where.values()), where
    assert all(ids == {str(company)} for company, ids in where.items() if company < THERE)
    assert set(chaos.pipedrive.creations.values()) <= {1}
    assert len(chaos.pipedrive.creations) == len([company for company in where if company >= THERE])
    assert all(len(keys) == 1 for keys in chaos.pipedrive.writers.values())
