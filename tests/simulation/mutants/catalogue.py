"""Bugs put in on purpose, patched in at run time: each has to be found within `SEEDS_MAX` seeds, or the simulation proves little."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from sqlalchemy import text

from services.common.clock import SteadyClock
from services.common.edits import edited_fields
from services.extractor.ledger import LedgerClient as ExtractorLedger
from services.ledger import batches, migrations
from services.ledger.claims import Action, Claim, decide_load, decide_undo
from services.ledger.coordinator import Coordinator
from services.ledger.delta import DELETE, Policies
from services.ledger.matching import matcher
from services.ledger.matching.choice import Choice, Verdict, choose
from services.ledger.runs import repair
from services.ledger.runs.reconcile import ReconcileDriver
from services.ledger.runs.rollback import RollbackDriver
from services.ledger.sql.erasure import Eraser
from services.ledger.sql.ledger import SqlLedger
from services.loader import matches, undo, updates
from services.loader.doubt import Doubt
from services.loader.merge import POLICY_SOURCE, Policy, merge, restore
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.budget import Budget
from services.loader.quota.client import Grant, QuotaClient
from services.loader.quota.leases import Priority
from services.loader.worker import LoadWorker
from tests.simulation.faults import Weather
from tests.simulation.journey import Plan
from tests.simulation.matching import CLIENTS_MIN, CREATE, FILL, LINK_ONLY, UPDATE, Matching
from transload.audit.heads import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from services.ledger.domain import Scope

SEEDS_MAX: Final = 500

Put = Any


def acknowledge_before_settle(put: Put) -> None:
    """The loader acknowledges a batch when it begins it, and works on it afterwards."""
    handle = LoadWorker.handle

    async def handle_later(worker: LoadWorker, payload: bytes) -> None:
        task = asyncio.create_task(handle(worker, payload))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    put(LoadWorker, "handle", handle_later)


def skip_the_doubt(put: Put) -> None:
    """Records in doubt are created again without a look at what Pipedrive has."""

    async def resolve(_doubt: Doubt, *_: object, **__: object) -> dict[str, Any]:
        return {}

    put(Doubt, "resolve", resolve)


def forget_the_intent(put: Put) -> None:
    """The ledger takes a claim without an outcome for one under which nothing was sent."""
    decide = decide_load

    def decide_boldly(record: Any, *args: Any) -> Any:
        decision = decide(record, *args)
        return replace(decision, action=Action.CREATE) if decision.action is Action.IN_DOUBT else decision

    put(batches, "decide_load", decide_boldly)


def debit_after_the_call(put: Put) -> None:
    """A call is paid for when it is over."""
    acquire, release = QuotaClient.acquire, QuotaClient.release

    async def acquire_nothing(_quota: QuotaClient, **_: Any) -> Grant:
        return Grant(lease_id="", expires=float("inf"), calls_open=1)

    async def release_and_pay(quota: QuotaClient, grant: Grant, *, is_sent: bool, tokens_spent: int, headers: Any, is_answered: bool = True) -> None:
        del grant
        paid = await acquire(quota, tokens=tokens_spent, is_search=False, priority=Priority.BULK)
        await release(quota, paid, is_sent=is_sent, is_answered=is_answered, tokens_spent=tokens_spent, headers=headers)

    put(QuotaClient, "acquire", acquire_nothing)
    put(QuotaClient, "release", release_and_pay)


def forget_leases_at_restart(put: Put) -> None:
    """A new arbiter grants at once, as if nothing stood in the window and the day were whole.

    It shows where calls of the killed one, or leases of it that other loaders still use, arrive within the same 2 s as those of the new one: many
    calls in hand, several loaders, the process of the arbiter (`loader-1`) killed in the middle of a phase and back within 2 s.
    """
    begin = Budget.begin_term

    def begin_afresh(budget: Budget, _kept: object, *, idle_seconds: float, is_same_replica: bool) -> None:
        begin(budget, None, idle_seconds=idle_seconds, is_same_replica=is_same_replica)

    put(Budget, "begin_term", begin_afresh)


def delete_in_load_order(put: Put) -> None:
    """A rollback deletes what others hang on first."""
    order = RollbackDriver.order

    def turned(scope: Scope) -> tuple[tuple[int, str], ...]:
        return tuple(reversed(order(scope)))

    put(RollbackDriver, "order", staticmethod(turned))


def announce_never(put: Put) -> None:
    """Work that was on its way when the streams were lost is not announced again."""

    async def nothing(_coordinator: Coordinator, *_: object, **__: object) -> None:
        return None

    put(Coordinator, "_announce_again", nothing)


def announce_nothing_lost(put: Put) -> None:
    """Streams that were created anew count as the old ones, and a message that was lost is not missed."""
    put(Coordinator, "_look_at_streams", _nothing)
    put(Coordinator, "_watch_progress", _nothing)


async def _nothing(*_: object, **__: object) -> None:
    return None


def outage_for_good(put: Put) -> None:
    """A pause for an outage of NATS is not taken back when the outage is over.

    Only the watch on progress minds such a pause, and the end of a run ends it: it shows where a message was lost as well, because work that
    does not move is announced again only when there is no pause.
    """
    unpause = Coordinator._unpause

    async def unpause_others(coordinator: Coordinator, run: Any) -> None:
        if coordinator._watches[run.run_id].failures or not coordinator._watches[run.run_id].is_cut_off:
            async with coordinator._tools.ledger.read() as reader:
                migration = await reader.get_migration(run.migration_id)
            if migration is not None and "NATS" in migration.pause_message:
                return
        await unpause(coordinator, run)

    put(Coordinator, "_unpause", unpause_others)


def claims_by_the_wall_clock(put: Put) -> None:
    """The ledger measures claims by a clock that somebody may set.

    It shows where the clock goes ahead by more than a claim lasts while one loader waits for slow answers with a batch in hand, and another one has
    the same batch: messages that come twice, slow calls, and a clock that jumps all the time.
    """
    put(SteadyClock, "now", lambda clock: clock._clock.now())


def runs_by_the_wall_clock(put: Put) -> None:
    """The latest run is the one with the latest time, whatever the clock did in between."""
    put(migrations, "after", lambda _known, now: now)


def no_window(put: Put) -> None:
    """The arbiter minds the day's tokens, but not the window of two seconds."""
    start = Arbiter.__init__

    def start_wide(arbiter: Arbiter, *, settings: Any, **more: Any) -> None:
        start(arbiter, settings=replace(settings, window_seconds=0.05), **more)

    put(Arbiter, "__init__", start_wide)


def take_over_at_once(put: Put) -> None:
    """A claim of another replica counts for nothing."""
    put(Claim, "is_over", lambda _claim, _expire_time: True)


def no_grace(put: Put) -> None:
    """What is not in the list at once counts as absent, calls still on their way or not."""

    async def hurry(_doubt: Doubt, _since: float | None) -> None:
        return None

    put(Doubt, "wait_out", hurry)


def take_a_twin(put: Put) -> None:
    """A record in doubt takes any that looks like it, whoever it belongs to."""

    async def everything(_doubt: Doubt, _batch: Any, _works: Any, candidates: Any, _created: Any) -> Any:
        return {sign: sorted(((found, "") for found in group), key=lambda entry: int(entry[0].target_id)) for sign, group in candidates.items()}

    put(Doubt, "_without_owned", everything)
    put(Doubt, "_just_created", lambda _doubt, _entity: {})


def lose_a_page(put: Put) -> None:
    """The extractor takes a page for recorded although the ledger did not answer."""
    record_page = ExtractorLedger.record_page

    async def record_once(ledger: ExtractorLedger, migration_id: str, page: Any) -> None:
        try:
            async with asyncio.timeout(0.01):
                await record_page(ledger, migration_id, page)
        except TimeoutError:
            return

    put(ExtractorLedger, "record_page", record_once)


def overwrite_edits(put: Put) -> None:
    """A delta writes every field that differs from the source, whoever changed it."""

    def impose(entity: Any, *, payload: Any, actual: Any, **_: Any) -> Any:
        return merge(entity, last={}, payload=payload, actual=actual, policy=Policy(POLICY_SOURCE))

    put(updates, "merge", impose)


def rollback_takes_edits(put: Put) -> None:
    """A rollback deletes what people edited like all else."""

    def nothing(*_: object, **__: object) -> list[str]:
        return []

    for module in list(sys.modules.values()):
        if getattr(module, "edited_fields", None) is edited_fields and module.__name__.startswith("services."):
            put(module, "edited_fields", nothing)


def repair_overwrites(put: Put) -> None:
    """A repair sets a field back whatever stands in it by now."""

    def impose(entity: Any, *, before: Any, last: Any, actual: Any, **_: Any) -> Any:
        del last
        return restore(entity, before=before, last=actual, actual=actual)

    put(undo, "restore", impose)


def repair_unread(put: Put) -> None:
    """A repair says that all is as it was loaded without reading it back."""
    put(repair, "compare", lambda *_, **__: (0, []))
    put(repair, "_left", lambda *_: [])


def repair_leaves_links(put: Put) -> None:
    """What hung on a record that is made again keeps the link to the lost one."""
    put(repair, "relink", lambda *_: {})


def tell_outside(put: Put) -> None:
    """The events of a batch are written in a transaction of their own, after the one that settles it."""
    keep, transact = batches._keep, SqlLedger.transact
    waiting: list[tuple[str, Any]] = []

    class _Silent:
        """A transaction that keeps events back."""

        def __init__(self, transaction: Any) -> None:
            self._transaction = transaction

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transaction, name)

        async def append_events(self, migration_id: str, events: Any) -> int:
            waiting.append((migration_id, list(events)))
            return 0

    async def keep_silent(transaction: Any, *args: Any, **more: Any) -> None:
        await keep(_Silent(transaction), *args, **more)

    async def transact_then_tell(ledger: SqlLedger, work: Any) -> Any:
        waiting.clear()
        answer = await transact(ledger, work)
        told = list(waiting)
        waiting.clear()
        for migration_id, events in told:
            await transact(ledger, partial(_append, migration_id, events))
        return answer

    put(batches, "_keep", keep_silent)
    put(SqlLedger, "transact", transact_then_tell)


async def _append(migration_id: str, events: Any, transaction: Any) -> None:
    await transaction.append_events(migration_id, events)


def tell_once_a_batch(put: Put) -> None:
    """Of the outcomes of a batch only the first is told."""
    keep = batches._keep

    async def keep_first(transaction: Any, request: Any, found: Any, *args: Any, **more: Any) -> None:
        told = [found[0], *(replace(settlement, event=found[0].event) for settlement in found[1:])] if found else found
        await keep(transaction, request, told, *args, **more)

    put(batches, "_keep", keep_first)


def sign_too_far(put: Put) -> None:
    """A signed head names one event more than it covers."""
    sign = Signer.sign

    def sign_more(signer: Signer, migration_id: str, tree_size: int, *args: Any) -> Any:
        return sign(signer, migration_id, tree_size + 1, *args)

    put(Signer, "sign", sign_more)


def erase_the_digest(put: Put) -> None:
    """A payload is erased together with its digest. The database refuses to change an event, so its guard goes, too."""
    erase = Eraser.erase_records

    async def erase_all(eraser: Eraser, migration_id: str, source_keys: Any, *, with_images: bool) -> Any:
        await eraser._run(text("DROP TRIGGER IF EXISTS events_keep"))
        for source_key in source_keys:
            await eraser._run(text("UPDATE events SET payload_digest = '' WHERE source_key = :key").bindparams(key=source_key))
        return await erase(eraser, migration_id, source_keys, with_images=with_images)

    put(Eraser, "erase_records", erase_all)


def delete_what_is_to_stay(put: Put) -> None:
    """A delta deletes what the source has no more, whatever the policy says.

    That it spares what something refers to which the source still has is for ordinary tests: a deal lets go of a contact that is gone.
    """
    put(Policies, "deletion", lambda _policies, _target_entity: DELETE)


def skip_a_page(put: Put) -> None:
    """A reconciliation skips the last page of each list, and counts what stands in it as seen.

    Both are needed: what no list showed is read by its id.
    """
    compare_page = ReconcileDriver._compare_page

    async def compare_but_last(driver: ReconcileDriver, migration: Any, entity: str, response: Any, *results: Any) -> None:
        tally = results[0]
        before = len(tally.mismatches)
        await compare_page(driver, migration, entity, response, *results)
        if not response.next_page_token:
            del tally.mismatches[before:]

    put(ReconcileDriver, "_compare_page", compare_but_last)


def match_nothing(put: Put) -> None:
    """Nothing is taken for what exists already."""
    put(matcher, "choose", lambda *_: Choice(Verdict.NONE))


def match_the_uncertain(put: Put) -> None:
    """What may be a record that exists is taken for it, and nobody is asked."""

    def be_sure(rules: Any, places: Any) -> Choice:
        choice = choose(rules, places)
        is_doubtful = choice.verdict is Verdict.UNCERTAIN and bool(choice.places)
        return replace(choice, verdict=Verdict.CERTAIN, place=choice.places[0]) if is_doubtful else choice

    put(matcher, "choose", be_sure)


def fill_what_stands(put: Put) -> None:
    """Filling a record's empty fields writes over the others as well."""
    put(matches, "FILL", "fill nothing")


def rollback_takes_matched(put: Put) -> None:
    """A rollback deletes records that were there before, instead of giving back what stood in them."""
    put(batches, "decide_undo", lambda record, claim: decide_undo(replace(record, is_preexisting=False), claim))


MUTANTS: Final[dict[str, Callable[[Put], None]]] = {
    mutant.__name__: mutant
    for mutant in (
        acknowledge_before_settle,
        skip_the_doubt,
        forget_the_intent,
        debit_after_the_call,
        forget_leases_at_restart,
        delete_in_load_order,
        announce_never,
        announce_nothing_lost,
        outage_for_good,
        claims_by_the_wall_clock,
        runs_by_the_wall_clock,
        no_window,
        take_over_at_once,
        no_grace,
        take_a_twin,
        lose_a_page,
        overwrite_edits,
        rollback_takes_edits,
        repair_overwrites,
        repair_unread,
        repair_leaves_links,
        tell_outside,
        tell_once_a_batch,
        sign_too_far,
        erase_the_digest,
        delete_what_is_to_stay,
        skip_a_page,
        match_nothing,
        match_the_uncertain,
        fill_what_stands,
        rollback_takes_matched,
    )
}


@dataclass(frozen=True, slots=True)
class Needs:
    """What a mutant is looked for in, where most seeds do not have it: its bug shows in nothing else.

    Attributes:
        kinds: the kinds of fault, and no others.
        begins: the step with which they begin.
        deltas: how many deltas, at least.
        rollback: whether everything is taken back at the end.
        repair: whether people break something that is repaired.
        deletions: what deltas do about records the source has no more; empty: as the seed draws it.
        matching: policy of what is matched with what exists; a person says that what is uncertain is none of it. Empty: nothing is matched.
        steps_between: callbacks run between two blows, on average; 0: as the seed draws it.
        size: what of the accounts and of Transload is so.
    """

    kinds: tuple[str, ...]
    begins: str = "load"
    deltas: int = 0
    rollback: bool = False
    repair: bool = False
    deletions: str = ""
    matching: str = ""
    steps_between: float = 0.0
    size: Mapping[str, Any] = field(default_factory=dict)


BUSY: Final = {"clients": 3, "loaders": 3, "documents": 3.0, "lines": 2.0, "plan": "lite", "token_kind": "api"}
"""Three loaders with many records, and the smallest window: it is full for seconds."""
NEEDS: Final[dict[str, Needs]] = {
    "announce_nothing_lost": Needs(("nats wiped", "streams"), steps_between=1000.0),
    "announce_never": Needs(("nats wiped", "streams"), steps_between=1000.0),
    "claims_by_the_wall_clock": Needs(("clock jumps", "slow", "streams"), steps_between=150.0, size={"clients": 3, "loaders": 3}),
    "delete_in_load_order": Needs((), rollback=True),
    "delete_what_is_to_stay": Needs((), deltas=1, deletions="keep"),
    "forget_leases_at_restart": Needs(("arbiter restarts",), steps_between=500.0, size=BUSY),
    "forget_the_intent": Needs(("kill", "target way"), steps_between=1000.0),
    "lose_a_page": Needs(("lossy", "slow"), "audit"),
    "no_grace": Needs(("target way",), "sample"),
    "overwrite_edits": Needs(("people edit",), "sample", deltas=2, steps_between=300.0),
    "fill_what_stands": Needs((), matching=FILL),
    "match_nothing": Needs((), matching=LINK_ONLY),
    "match_the_uncertain": Needs((), matching=LINK_ONLY),
    "outage_for_good": Needs(("nats killed", "streams"), steps_between=1000.0, size={"clients": 2}),
    "repair_leaves_links": Needs((), repair=True),
    "repair_overwrites": Needs((), repair=True),
    "repair_unread": Needs((), repair=True),
    "rollback_takes_edits": Needs(("people edit",), "sample", rollback=True, steps_between=1000.0),
    "rollback_takes_matched": Needs((), rollback=True, matching=UPDATE),
    "runs_by_the_wall_clock": Needs(("clock jumps",), "schema", deltas=1, steps_between=1000.0),
    "skip_the_doubt": Needs(("target faults", "target way")),
    "skip_a_page": Needs(("people edit",), "sample", steps_between=1000.0),
    "tell_outside": Needs(("dies in commit",), steps_between=500.0),
    "take_over_at_once": Needs(("streams", "slow"), size={"clients": 2, "loaders": 3}),
    "take_a_twin": Needs(("target faults", "target way"), size={"clients": 2}),
}


def plan_with(seed: int, mutant: str) -> Plan | None:
    """Answer the plan of a seed for a mutant: its own, with what the mutant needs. None: as the seed draws it."""
    needs = NEEDS.get(mutant)
    if needs is None:
        return None
    plan = Plan.drawn(Random(seed))
    between = needs.steps_between or plan.weather.steps_between
    matching = Matching(needs.matching, needs.matching, needs.matching, decision=CREATE) if needs.matching else None
    size = {"is_small": True, **({"clients": CLIENTS_MIN} if matching else {}), **needs.size}
    return replace(
        plan,
        size=replace(plan.size, **size),
        matching=matching,
        deltas=max(plan.deltas, needs.deltas) if needs.deltas else 0,
        rollback="at the end" if needs.rollback else "",
        is_repaired=needs.repair,
        deletions=needs.deletions or plan.deletions,
        weather=Weather(needs.kinds, needs.begins, 120.0, between),
    )


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """Put one bug in while the block runs."""
    with ExitStack() as stack:
        MUTANTS[name](lambda target, attribute, value: stack.enter_context(mock.patch.object(target, attribute, value)))
        yield
