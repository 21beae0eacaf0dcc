"""Whose turn it is to change the schema of a Pipedrive company: one run at a time, over all migrations into it.

A field, a pipeline or a type has nothing unique but its name, and Pipedrive takes the same name twice. Two runs that look for one at the same moment
would both miss it and both make it. So a run takes its turn before it looks at what is there, whether to make or to take back, and has it until it
ends; the others wait, and then find what it made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.ledger.domain import RunKind, RunState
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import Tools, fresh, save_step

if TYPE_CHECKING:
    from services.ledger.domain import Migration, Run


async def takes_turn(tools: Tools, migration: Migration, run: Run) -> bool:
    """Take the turn, and say whether the run has it now; else show what it waits for."""
    async with tools.ledger.transaction() as transaction:
        now = await fresh(transaction, run)
        context = RunContext.of(now)
        if context.has_schema_turn:
            return True
        beside = {one.migration_id for one in await transaction.list_migrations_of_target(migration.target_connection)} - {now.migration_id}
        for other in await transaction.list_runs_by_state(RunState.RUNNING):
            if other.migration_id in beside and RunContext.of(other).has_schema_turn:
                activity = f"waiting for migration {other.migration_id}, which {_does(other)} the schema of the same Pipedrive company"
                if now.activity != activity:
                    await save_step(transaction, now, context, activity=activity)
                return False
        await save_step(transaction, now, replace(context, has_schema_turn=True))
        return True


def _does(run: Run) -> str:
    return "takes back" if run.kind is RunKind.ROLLBACK else "makes"
