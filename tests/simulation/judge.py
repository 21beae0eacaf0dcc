"""Judges a simulation from outside: by what the source holds, what Pipedrive's store holds and its journal, not by what the ledger says of itself."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.ledger.domain import BatchState
from tests.e2e.checker import Checker, Target, diff_of
from tests.simulation.operator import MIGRATION
from transload.v1.records_pb2 import MappedBatch

if TYPE_CHECKING:
    from collections.abc import Container

    from tests.simulation.operator import Operator
    from tests.simulation.world import World


OK: Final = 200
TOO_MANY: Final = 429
DELETED_IN_ORDER: Final = (
    *("/files/", "/notes/", "/activities/", "/deals/", "/persons/", "/organizations/", "/products/"),
    *("/activityTypes/", "/stages/", "/pipelines/", "Fields/"),
)
"""Parts of paths, in the order in which a rollback may delete."""


class Judge:
    """Compares before and after."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = world.state()
        self.facts: dict[str, Any] = {}
        self._rollback_from = 0
        self._ledger: sqlite3.Connection | None = None
        self.broken: list[str] = []
        """Rules that were seen broken on the way."""

    def watch(self) -> None:
        """Look on at every acknowledgement: the ledger has to know by then."""
        self._world.nats.on_acknowledged = self._acknowledged

    def _acknowledged(self, subject: str, payload: bytes) -> None:
        if not subject.startswith("mapped."):
            return
        batch_id = MappedBatch.FromString(payload).batch_id
        if self._ledger is None:
            self._ledger = sqlite3.connect(self._world.folder / "ledger.db", isolation_level=None)
        row = self._ledger.execute("SELECT state FROM batches WHERE batch_id = ?", (batch_id,)).fetchone()
        if row is not None and row[0] != BatchState.FINAL:
            self.broken.append(f"streams: {batch_id} was acknowledged although the ledger holds it {row[0]}")

    def organization_of_another(self, changed: Container[int]) -> int:
        """Answer an organization that came from a client that is not among these; 0: there is none."""
        truth = self._world.truth()["collections"]["clients"]
        target = Target.parse(_as_export(self._world.state()))
        for client in truth:
            found = target.one("organizations", f"source/client/{client['id']}")
            if client["id"] not in changed and found is not None:
                return int(found["id"])
        return 0

    async def after_load(self, operator: Operator, *, deleted_later: Container[tuple[str, int]] = (), edited: int = 0) -> list[str]:
        """Say what is wrong with what has been moved."""
        checker = Checker(self._world.truth(), _as_export(self._world.state()), "source", deleted_later=deleted_later, edited={edited})
        alone = {record["account-id"] for record in self._world.truth()["collections"]["contacts"] if ("contacts", record["id"]) in deleted_later}
        # A client whose last contact was deleted meanwhile may have become a person of its own, or not: both follow from the source.
        ambiguous = {f"clients/{client}: is 1 persons instead of 0" for client in alone}
        problems = [f"target: {problem}" for problem in checker.check() if problem not in ambiguous]
        problems += self._repeated()
        problems += await self._sums(operator)
        found = await operator.reconcile()
        problems += [f"reconciliation: {mismatch}".replace("\n", " ") for mismatch in found.mismatches if mismatch.target_id != str(edited)]
        return problems

    def before_rollback(self) -> None:
        """Note where the rollback begins in Pipedrive's journal."""
        self._rollback_from = len(self._world.pipedrive.journal.entries)

    def after_rollback(self) -> list[str]:
        """Say what a rollback left behind, and whether it deleted what others hang on before them."""
        problems = [f"rollback: {line}" for line in diff_of(_as_export(self._before), _as_export(self._world.state()))]
        latest = 0
        for entry in list(self._world.pipedrive.journal.entries)[self._rollback_from :]:
            rank = next((rank for rank, part in enumerate(DELETED_IN_ORDER) if part in entry.path), -1)
            if entry.method == "DELETE" and entry.status == OK and rank >= 0:
                if rank < latest:
                    problems.append(f"rollback: {entry.path} was deleted after {DELETED_IN_ORDER[latest]}")
                latest = max(latest, rank)
        return problems

    async def at_the_end(self, operator: Operator) -> list[str]:
        """Say what is wrong with the audit trail and with what was asked of Pipedrive."""
        verification = await operator.insist(lambda: operator.client.verify_audit(MIGRATION))
        problems = [] if verification.is_whole else [f"audit: {verification}".replace("\n", " ")]
        problems += self._quota()
        problems += self.broken[:5]
        return problems

    def _repeated(self) -> list[str]:
        """Find objects without an origin of their own that were made twice. Lines may be equal; the checker counts them deal by deal."""
        old, new = self._before, self._world.state()
        problems = []
        for kind in ("activities", "notes", "files", "organization_relationships"):
            known = {record.get("id") for record in old.get(kind, [])}
            made = Counter(
                orjson.dumps({name: value for name, value in record.items() if name not in _OWN}, option=orjson.OPT_SORT_KEYS)
                for record in new.get(kind, [])
                if record.get("id") not in known
            )
            problems += [f"target: {count} equal {kind}: {content.decode()[:300]}" for content, count in made.items() if count > 1]
        return problems

    async def _sums(self, operator: Operator) -> list[str]:
        """X-04: every source record is in exactly one final state, and the sums are those of the source."""
        summary = await operator.insist(lambda: operator.client.get_summary(MIGRATION))
        problems = []
        for entity in summary.entities:
            parts = (entity.loaded_count, entity.matched_count, entity.skipped_count, entity.rejected_count, entity.waiting_count)
            if sum(parts) != entity.extracted_count:
                problems.append(f"sums: {entity.source_entity}: {parts} is not {entity.extracted_count}")
        self.facts["tokens"] = summary.token_count
        return problems

    def _quota(self) -> list[str]:
        """No request over any window or budget, by Pipedrive's own journal."""
        app = self._world.pipedrive
        self.facts["requests"] = app.journal.total
        made = [entry for entry in app.journal.entries if entry.status == TOO_MANY and not entry.fault]
        problems = [f"quota: {entry.method} {entry.path} at {entry.time:.3f} was refused with 429" for entry in made[:5]]
        limit = app.account.options.limits_of_plan
        for name, use in app.journal.summary()["credentials"].items():
            allowed = limit.burst_oauth if name.endswith("oauth") else limit.burst_api
            if use["requests_in_2_seconds_max"] > allowed:
                problems.append(f"quota: {name} sent {use['requests_in_2_seconds_max']} requests in 2 seconds, {allowed} are allowed")
        return problems


_OWN = frozenset({"id", "add_time", "order_nr", "remote_id", "url", "file_name"})


def _as_export(state: dict[str, Any]) -> bytes:
    """Write a state the way the simulator's control interface answers it."""
    return orjson.dumps({"state": state})
