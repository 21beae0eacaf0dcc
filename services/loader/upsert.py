"""The loading rules: which part decides the records of a batch. Knows Pipedrive's ways, but nothing of streams, gRPC or HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.loader.attempts import Attempts, failure
from services.loader.definitions import Definitions
from services.loader.doubt import Doubt
from services.loader.entities import NAMED_ENTITIES, RECORD_ENTITIES
from services.loader.matches import Matches
from services.loader.owners import Owners
from services.loader.records import Records
from services.loader.removal import spare_edited
from services.loader.survivors import Survivors
from services.loader.undo import Undo
from services.loader.updates import Updates
from services.loader.values import DealValues
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.common.clock import Clock
    from services.loader.work import Batch, FileStore, LedgerPort

_LOADING = (Action.CREATE, Action.UPDATE, Action.IN_DOUBT, Action.MATCH)
_UNDOING = (Action.DELETE, Action.RESTORE, Action.IN_DOUBT)


class Upsert:
    """Brings the records of a batch into Pipedrive, or takes them back; afterwards every record that was to be done has an outcome."""

    def __init__(
        self, *, ledger: LedgerPort, files: FileStore, clock: Clock, in_flight_max: int, grace_seconds: float, margin_seconds: float
    ) -> None:
        attempts = Attempts(in_flight_max=in_flight_max)
        doubt = Doubt(ledger=ledger, clock=clock, grace_seconds=grace_seconds, margin_seconds=margin_seconds)
        self.unsettled = doubt.unsettled
        self._survivors = Survivors(ledger=ledger, clock=clock, margin_seconds=margin_seconds)
        updates = Updates(attempts=attempts, doubt=doubt, files=files, survivors=self._survivors)
        self._matches = Matches(attempts=attempts)
        self._records = Records(attempts=attempts, doubt=doubt, updates=updates)
        self._definitions = Definitions(attempts=attempts, doubt=doubt, ledger=ledger)
        self._owners = Owners(attempts=attempts, ledger=ledger)
        self._values = DealValues(attempts=attempts)
        self._undo = Undo(attempts=attempts, doubt=doubt, clock=clock)

    async def apply(self, batch: Batch) -> None:
        """Decides the records; `batch.stop` says why some were not tried. Call it, and settle, within `unsettled(batch)`."""
        _hold_back_orphans(batch)
        if batch.is_undo:
            await spare_edited(batch)
            await self._undo.undo(batch)
        else:
            await self._load(batch)
        for work in batch.open(*(_UNDOING if batch.is_undo else _LOADING)):
            # Only what stopped the batch leaves records undecided; what was in doubt before stays so.
            is_doubtful = work.action is Action.IN_DOUBT
            work.outcome = Outcome(Result.UNKNOWN, reason="IN_DOUBT") if is_doubtful else Outcome(Result.NOT_TRIED)

    async def follow_references(self, batch: Batch) -> Mapping[str, str]:
        """Answers key → id of records referred to that people have merged into others since. `batch.stop` is set when Pipedrive cannot be asked."""
        if not batch.referred:
            return {}
        try:
            return await self._survivors.refer(batch)
        except Exception as error:  # noqa: BLE001 - sorted in `failure`
            failure(batch, error)
            return {}

    async def _load(self, batch: Batch) -> None:
        entity = batch.target_entity
        if entity in RECORD_ENTITIES:
            await self._matches.link(RECORD_ENTITIES[entity], batch)
            await self._records.load(RECORD_ENTITIES[entity], batch)
        elif entity in NAMED_ENTITIES:
            await self._definitions.load_named(NAMED_ENTITIES[entity], batch)
        elif entity == "custom_field":
            await self._definitions.load_fields(batch)
        elif entity == "field_option":
            await self._definitions.load_options(batch)
        elif entity == "user":
            await self._owners.load(batch)
        elif entity == "deal_value":
            await self._values.load(batch)
        else:
            for work in batch.open(*_LOADING):
                work.outcome = Outcome(Result.REJECTED, reason="MAPPING_INVALID", message=f"the loader knows no target entity {entity!r}")


def _hold_back_orphans(batch: Batch) -> None:
    if batch.is_undo:
        return
    for work in batch.open(*_LOADING):
        if work.missing:
            message = f"refers to what is not in Pipedrive: {', '.join(work.missing)}"
            work.outcome = Outcome(Result.WAITING, reason="REFERENCE_MISSING", message=message)
