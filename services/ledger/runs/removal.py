"""What the source has no more, and is to go by policy or by a person's word, is deleted from Pipedrive at the end of a delta (L-11).

It goes through the loader with the claims of a rollback, in the order of the phases: a record first, then what hung on it. So when a record must
stay, because a person changed it or because something the source still has hangs on it, its parts stay with it, and a person is asked. Each round
takes the next records by key and notes how far it came in the transaction that announces them; what was deleted before a crash is found deleted.
Lines of deals that stay go before the deals' values are written, because Pipedrive works these out anew with every line that goes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.common.phases import PHASES, TARGET_PHASES
from services.ledger.delta import DELETE
from services.ledger.domain import EventDraft, RecordFilter, RecordState, Resolution, review_item_of
from services.ledger.merges import links_to
from services.ledger.runs import undo_batches
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, ON_CHANGE_SECONDS, Tools, fresh, save_step
from services.ledger.runs.phases import is_done
from services.ledger.transforms import SOURCE_DELETED
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Record, Run
    from services.ledger.repository import Transaction

RECORDS_PER_ROUND = 500
_NAMED_MAX = 3
_DATA_PHASES = tuple(phase for phase in PHASES if phase not in {Phase.PHASE_USERS, Phase.PHASE_SCHEMA})
ORDER: tuple[tuple[int, str], ...] = tuple((int(phase), entity) for phase in _DATA_PHASES for entity, own in TARGET_PHASES.items() if own == phase)
"""(phase, target entity) in the order things are deleted."""
_LINES: tuple[tuple[int, str], ...] = ((int(Phase.PHASE_LINE_ITEMS), "line_item"),)


class RemovalWork:
    """Deletes, one target entity after the other."""

    def __init__(self, tools: Tools, *, only_shortens: bool = False) -> None:
        """Delete all of it, or only lines of deals that stay."""
        self._tools = tools
        self._only_shortens = only_shortens
        self._order = _LINES if only_shortens else ORDER

    async def advance(self, run: Run, *, next_step: str) -> float:
        """Do the next round; `position` counts the target entities done, `announced_sequence` numbers the batches."""
        context = RunContext.of(run)
        # What was announced last comes to its end first: whether a record stays decides on its parts, and the run must not end before its work.
        if run.phase and not is_done(await self._tools.ledger.look(lambda reader: reader.phase_progress(run.run_id, run.phase))):
            return ON_CHANGE_SECONDS
        if context.position >= len(self._order):
            async with self._tools.ledger.transaction() as transaction:
                now = await fresh(transaction, run)
                await save_step(transaction, now, RunContext.of(now).at(next_step), phase=0)
            return AT_ONCE
        phase, entity = self._order[context.position]
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            if (held.position, held.after_key) == (context.position, context.after_key):
                await self._round(transaction, now, held, phase, entity)
        return AT_ONCE

    async def announce_again(self, run: Run) -> int:
        """Announce unfinished batches again; they are made from the ledger alone."""
        return await undo_batches.announce_again(self._tools, run, dict.fromkeys(phase for phase, _ in self._order))

    async def _round(self, transaction: Transaction, run: Run, context: RunContext, phase: int, entity: str) -> None:
        which = RecordFilter(target_entity=entity, gone=DELETE, has_target=True)
        records = await transaction.list_records(run.migration_id, which, after_key=context.after_key, limit=RECORDS_PER_ROUND)
        chosen = [record for record in records if _is_to_go(record)]
        if self._only_shortens:
            chosen = await _of_deals_that_stay(transaction, chosen)
        chosen = await self._without_parts_that_stay(transaction, chosen)
        chosen = await self._ask_about_needed(transaction, run, chosen)
        number = await undo_batches.announce(
            transaction,
            run,
            prefix="shorten" if self._only_shortens else "remove",
            phase=phase,
            entity=entity,
            records=chosen,
            number=context.announced_sequence,
        )
        is_last = len(records) < RECORDS_PER_ROUND
        held = replace(
            context,
            announced_sequence=number,
            position=context.position + int(is_last),
            after_key="" if is_last else records[-1].key,
        )
        if chosen:
            await save_step(transaction, run, held, phase=phase, activity=f"deleting {entity.replace('_', ' ')} records the source has no more")
        else:
            await save_step(transaction, run, held)

    @staticmethod
    async def _without_parts_that_stay(transaction: Transaction, records: Sequence[Record]) -> list[Record]:
        """Leave out what hangs on a record of the same source record that a person is asked about; it goes or stays with that one."""
        chosen = []
        for record in records:
            others = await transaction.list_records_of_source(record.migration_id, record.source_entity, record.source_id)
            if not any(_waits(other) and other.phase < record.phase for other in others):
                chosen.append(record)
        return chosen

    async def _ask_about_needed(self, transaction: Transaction, run: Run, records: Sequence[Record]) -> list[Record]:
        """Ask about records that something hangs on which the source still has; a person who said `delete` knows."""
        open_ones = [record for record in records if record.resolution is not Resolution.DELETE]
        if not open_ones:
            return list(records)
        by_target = {record.target_id: record for record in open_ones}
        links = await links_to(transaction, run.migration_id, open_ones[0].target_entity, by_target, is_wanted=True)
        needed: dict[str, list[str]] = {}
        for link in links:
            needed.setdefault(by_target[link.target_id].key, []).append(link.record.key)
        for other in await transaction.list_records_by_target(run.migration_id, open_ones[0].target_entity, by_target):
            # Taken for this one, and still in the source.
            if other.is_preexisting and other.has_target and not other.gone:
                needed.setdefault(by_target[other.target_id].key, []).append(other.key)
        asked = [_asked(record, needed[record.key], self._tools) for record in open_ones if record.key in needed]
        await transaction.save_records(asked)
        await transaction.open_review_items(
            [review_item_of(record, SOURCE_DELETED, record.message, self._tools.clock.now(), is_blocking=True) for record in asked]
        )
        await transaction.append_events(
            run.migration_id,
            [
                EventDraft(
                    kind="source.gone",
                    actor=self._tools.actor,
                    key=record.key,
                    source_key=record.source_key,
                    target_id=record.target_id,
                    result="ask",
                    payload={"run_id": run.run_id, "policy": DELETE, "needed_by": needed[record.key]},
                )
                for record in asked
            ],
        )
        if asked:
            await transaction.add_run_results(run.run_id, {(asked[0].target_entity, "gone_ask"): len(asked)})
        return [record for record in records if record.key not in needed]


async def _of_deals_that_stay(transaction: Transaction, lines: Sequence[Record]) -> list[Record]:
    """Answer the lines whose deal does not go: what becomes of the others is decided with their deals."""
    if not lines:
        return []
    deals = await transaction.list_records_by_target(lines[0].migration_id, "deal", {line.parent_target_id for line in lines})
    going = {deal.target_id for deal in deals if deal.gone}
    return [line for line in lines if line.parent_target_id not in going]


def _is_to_go(record: Record) -> bool:
    """Say whether a record is to be deleted now: nothing holds it up, or a person said so."""
    if record.is_preexisting:
        return False
    return record.state is RecordState.LOADED or (record.state is RecordState.WAITING and record.resolution is Resolution.DELETE)


def _waits(record: Record) -> bool:
    """Say whether a person is asked about a record that the source has no more."""
    return record.state is RecordState.WAITING and record.reason == SOURCE_DELETED and record.has_target


def _asked(record: Record, needed_by: Sequence[str], tools: Tools) -> Record:
    named = ", ".join(needed_by[:_NAMED_MAX])
    message = f"the source has it no more, but {named} in Pipedrive refer to it and are still in the source; decide whether it is deleted"
    return replace(record, state=RecordState.WAITING, reason=SOURCE_DELETED, message=message, update_time=tools.clock.now())
