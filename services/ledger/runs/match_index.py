"""Reads what records may be matched with, once per run and page by page, before the phase that creates such records opens its work.

The list costs 10 tokens for 500 records; the search of Pipedrive would cost 40 for each. The first run reads all of it, later ones what was changed
since.
A page's keys, and where to go on, stand in one transaction: a ledger that dies goes on after the last page.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.canonical import digest_of
from services.common.edits import CUSTOM_PREFIX
from services.common.errors import TargetRejectedError
from services.common.phases import TARGET_PHASES
from services.ledger.domain import TARGET_CANDIDATE, EventDraft, MatchCandidate, MatchReading
from services.ledger.matching.identity import Rules, identify
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import Tools, fresh, save_step

if TYPE_CHECKING:
    from services.ledger.domain import Migration, Run
    from services.ledger.repository import Reader
    from transload.v1.loader_service_pb2 import ReadBackResponse

PAGES_PER_STEP: Final = 20
_FROM_THE_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any record of Pipedrive was changed."""
# Clocks of Pipedrive and ours may differ; what was changed a little earlier costs little.
_MARGIN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class MatchIndex:
    """Keeps what stands in Pipedrive by its keys."""

    tools: Tools

    async def advance(self, migration: Migration, run: Run) -> bool:
        """Read the next pages; answers whether there was anything to read."""
        context = RunContext.of(run)
        for entity, plain in sorted(context.matching.items()):
            rules = Rules.of(entity, plain)
            if rules is None or rules.policy == "create" or TARGET_PHASES[entity] != run.phase:
                continue
            reading = await self._reading(run, rules, digest_of(plain))
            if reading.run_id != run.run_id:
                await self._read(migration, run, rules, reading)
                return True
        return False

    async def _reading(self, run: Run, rules: Rules, rules_digest: str) -> MatchReading:
        """Answer how far the entity was read; with other rules it is begun anew, because they want other keys."""
        async with self.tools.ledger.read() as reader:
            known = await reader.get_match_reading(run.migration_id, rules.entity)
        if known is not None and known.rules_digest == rules_digest and (known.start_time is not None or known.run_id == run.run_id):
            return known
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            begun = self.tools.clock.now()
            if known is None or known.rules_digest != rules_digest:
                await transaction.forget_match_targets(now.migration_id, rules.entity)
                known = MatchReading(now.migration_id, rules.entity, rules_digest)
            known = replace(known, start_time=begun)
            await transaction.save_match_reading(known)
            await save_step(transaction, now, RunContext.of(now), activity=f"reading {rules.entity}s to match with")
        return known

    async def _read(self, migration: Migration, run: Run, rules: Rules, reading: MatchReading) -> None:
        since = reading.read_time - _MARGIN if reading.read_time else _FROM_THE_START
        pages = self.tools.loader.list_back(migration.target_connection, rules.entity, changed_since=since, page_token=reading.page_token)
        token_count, page_count = 0, 0
        try:
            async with aclosing(pages) as responses:
                async for response in responses:
                    reading = await self._keep(run, rules, reading, response, response.token_count - token_count)
                    token_count = response.token_count
                    page_count += 1
                    if not reading.page_token or page_count >= PAGES_PER_STEP:
                        return
        except TargetRejectedError:
            # A token that is no longer taken means to begin the list again; keys are kept once.
            if not reading.page_token or page_count:
                raise
            async with self.tools.ledger.transaction() as transaction:
                await fresh(transaction, run)
                await transaction.save_match_reading(replace(reading, page_token=""))
            return
        if not page_count:  # an empty list
            await self._finish(run, reading)

    async def _keep(self, run: Run, rules: Rules, reading: MatchReading, response: ReadBackResponse, token_count: int) -> MatchReading:
        """Keep the keys of a page, and where to go on."""
        candidates = []
        for record in response.records:
            identity = identify(rules, orjson.loads(record.image_json or b"{}"))
            text = orjson.dumps(identity.plain()).decode()
            candidates.append(
                MatchCandidate(run.migration_id, rules.entity, f"{TARGET_CANDIDATE}{record.target_id}", text, tuple(identity.digests()))
            )
        reading = replace(reading, page_token=response.next_page_token, record_count=reading.record_count + len(candidates))
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await transaction.save_match_candidates(candidates)
            if token_count:
                await transaction.add_run_tokens(now.run_id, token_count, target_entity=rules.entity)
            await transaction.save_match_reading(reading)
        return reading if reading.page_token else await self._finish(run, reading)

    async def _finish(self, run: Run, reading: MatchReading) -> MatchReading:
        """Note that the list was read to its end; later runs read what was changed since it was begun."""
        done = replace(reading, run_id=run.run_id, page_token="", read_time=reading.start_time, start_time=None)
        async with self.tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            await transaction.save_match_reading(done)
            payload = {"run_id": now.run_id, "record_count": done.record_count, "is_whole": reading.read_time is None}
            event = EventDraft("match.indexed", self.tools.actor, result=reading.target_entity, payload=payload)
            await transaction.append_event(now.migration_id, event)
        return done


async def bound_matching(reader: Reader, migration_id: str, content: bytes) -> dict[str, Any]:
    """Answer how a mapping matches, as a run keeps it: custom fields under their key in the account; those that are not there are left out."""
    plain: dict[str, dict[str, Any]] = orjson.loads(content or b"{}")
    for entity, rules in plain.items():
        names = {name for key in rules["keys"] for name in key["fields"]} | set(rules.get("differ", ()))
        wanted = {f"custom_field:schema/{entity}.{name.removeprefix(CUSTOM_PREFIX)}": name for name in names if name.startswith(CUSTOM_PREFIX)}
        known = await reader.get_records(migration_id, wanted)
        spelled = {wanted[key]: f"{CUSTOM_PREFIX}{record.target_id}" for key, record in known.items() if record.has_target}
        for key in rules["keys"]:
            key["fields"] = _spelled(key["fields"], spelled)
        rules["differ"] = _spelled(rules.get("differ", ()), spelled)
    return plain


def _spelled(names: list[str], spelled: dict[str, str]) -> list[str]:
    return [spelled.get(name, name) for name in names if name in spelled or not name.startswith(CUSTOM_PREFIX)]
