"""Migrations, runs and the documents about them."""

from collections.abc import Mapping as Mapping_
from collections.abc import Sequence

from sqlalchemy import bindparam, func, select, update

from services.ledger.domain import BudgetTerm, Manifest, Mapping, Migration, Report, ReportKind, Run, RunCost, RunResult, RunState
from services.ledger.sql.rows import RowCodec
from services.ledger.sql.session import Session, by, table_of
from services.ledger.sql.tables import (
    BudgetTermRow,
    ManifestRow,
    MappingRow,
    MigrationRow,
    ReportLineRow,
    ReportRow,
    RunCostRow,
    RunResultRow,
    RunRow,
)

_MIGRATIONS, _RUNS, _COSTS = table_of(MigrationRow), table_of(RunRow), table_of(RunCostRow)
_MAPPINGS, _MANIFESTS = table_of(MappingRow), table_of(ManifestRow)
_REPORTS, _LINES = table_of(ReportRow), table_of(ReportLineRow)

_MIGRATION_BY_ID, _RUN_BY_ID = by(_MIGRATIONS.c.migration_id), by(_RUNS.c.run_id)
_RUNS_BY_STATE = by(_RUNS.c.state).order_by(_RUNS.c.start_time, _RUNS.c.run_id)
_MORE = bindparam("more", type_=_RUNS.c.token_count.type)
_ADD_TO_RUN = update(_RUNS).where(_RUNS.c.run_id == bindparam("of_run")).values(token_count=_RUNS.c.token_count + _MORE)
_ADD_TO_COST = (
    update(_COSTS)
    .where(_COSTS.c.run_id == bindparam("of_run"), _COSTS.c.target_entity == bindparam("of_entity"))
    .values(token_count=_COSTS.c.token_count + _MORE)
)
_MIGRATION, _RUN = RowCodec(Migration), RowCodec(Run)
_COST = RowCodec(RunCost)
_RESULTS, _RESULT = table_of(RunResultRow), RowCodec(RunResult)
_TERMS, _TERM = table_of(BudgetTermRow), RowCodec(BudgetTerm)
_MAPPING, _MANIFEST, _REPORT = RowCodec(Mapping), RowCodec(Manifest), RowCodec(Report)


class RunReader(Session):
    """Queries of migrations, runs and documents."""

    async def get_migration(self, migration_id: str) -> Migration | None:
        """Answer one migration."""
        row = await self._first(_MIGRATION_BY_ID, {"migration_id": migration_id})
        return _MIGRATION.from_row(row) if row else None

    async def list_migrations(self, *, after: str = "", limit: int = 500) -> Sequence[Migration]:
        """List migrations newest first."""
        statement = select(_MIGRATIONS).order_by(_MIGRATIONS.c.create_time.desc(), _MIGRATIONS.c.migration_id).limit(limit)
        if after:
            last = await self._first(select(_MIGRATIONS.c.create_time).where(_MIGRATIONS.c.migration_id == after))
            if last is None:
                return []
            is_later = (_MIGRATIONS.c.create_time == last["create_time"]) & (_MIGRATIONS.c.migration_id > after)
            statement = statement.where((_MIGRATIONS.c.create_time < last["create_time"]) | is_later)
        return [_MIGRATION.from_row(row) for row in await self._all(statement)]

    async def list_migrations_of_target(self, target_connection: str) -> Sequence[Migration]:
        """List migrations into a target connection."""
        rows = await self._all(select(_MIGRATIONS).where(_MIGRATIONS.c.target_connection == target_connection).order_by(_MIGRATIONS.c.migration_id))
        return [_MIGRATION.from_row(row) for row in rows]

    async def get_run(self, run_id: str) -> Run | None:
        """Answer one run."""
        row = await self._first(_RUN_BY_ID, {"run_id": run_id})
        return _RUN.from_row(row) if row else None

    async def list_runs(self, migration_id: str) -> Sequence[Run]:
        """List the runs of a migration, oldest first."""
        rows = await self._all(select(_RUNS).where(_RUNS.c.migration_id == migration_id).order_by(_RUNS.c.start_time, _RUNS.c.run_id))
        return [_RUN.from_row(row) for row in rows]

    async def list_run_costs(self, migration_id: str) -> Sequence[RunCost]:
        """List what the runs of a migration spent, by run and target entity."""
        joined = select(_COSTS).join(_RUNS, _RUNS.c.run_id == _COSTS.c.run_id).where(_RUNS.c.migration_id == migration_id)
        return [_COST.from_row(row) for row in await self._all(joined.order_by(_COSTS.c.run_id, _COSTS.c.target_entity))]

    async def list_run_results(self, run_id: str) -> Sequence[RunResult]:
        """List what a run brought about, by target entity and result."""
        statement = select(_RESULTS).where(_RESULTS.c.run_id == run_id, _RESULTS.c.count != 0)
        return [_RESULT.from_row(row) for row in await self._all(statement.order_by(_RESULTS.c.target_entity, _RESULTS.c.result))]

    async def get_budget_term(self, connection: str) -> BudgetTerm | None:
        """Answer who may grant from a target connection's budget."""
        row = await self._first(select(_TERMS).where(_TERMS.c.connection == connection))
        return _TERM.from_row(row) if row else None

    async def latest_run(self, migration_id: str) -> Run | None:
        """Answer the run that began last."""
        statement = select(_RUNS).where(_RUNS.c.migration_id == migration_id).order_by(_RUNS.c.start_time.desc(), _RUNS.c.run_id.desc()).limit(1)
        row = await self._first(statement)
        return _RUN.from_row(row) if row else None

    async def list_runs_by_state(self, state: RunState) -> Sequence[Run]:
        """List runs of all migrations in a state, oldest first."""
        return [_RUN.from_row(row) for row in await self._all(_RUNS_BY_STATE, {"state": str(state)})]

    async def get_mapping(self, migration_id: str, version: int = 0) -> Mapping | None:
        """Answer a version of the mapping; 0: the latest."""
        statement = select(_MAPPINGS).where(_MAPPINGS.c.migration_id == migration_id).order_by(_MAPPINGS.c.version.desc()).limit(1)
        row = await self._first(statement.where(_MAPPINGS.c.version == version) if version else statement)
        return _MAPPING.from_row(row) if row else None

    async def get_manifest(self, digest: str) -> Manifest | None:
        """Answer a manifest."""
        row = await self._first(select(_MANIFESTS).where(_MANIFESTS.c.digest == digest))
        return _MANIFEST.from_row(row) if row else None

    async def get_report(self, migration_id: str, kind: ReportKind) -> Report | None:
        """Answer the latest report of a kind."""
        row = await self._first(select(_REPORTS).where(_REPORTS.c.migration_id == migration_id, _REPORTS.c.kind == str(kind)))
        return _REPORT.from_row(row) if row else None

    async def list_report_rows(self, migration_id: str, kind: ReportKind, *, after: int = 0, limit: int = 1000) -> Sequence[tuple[int, bytes]]:
        """List rows of a report as (position from 1, content)."""
        where = (_LINES.c.migration_id == migration_id, _LINES.c.kind == str(kind), _LINES.c.position > after)
        rows = await self._all(select(_LINES.c.position, _LINES.c.content).where(*where).order_by(_LINES.c.position).limit(limit))
        return [(row["position"], row["content"]) for row in rows]


class RunWriter(RunReader):
    """Writes of migrations, runs and documents."""

    async def save_migration(self, migration: Migration) -> None:
        """Write a migration, new or changed."""
        await self._upsert(_MIGRATIONS, [_MIGRATION.to_row(migration)])

    async def save_run(self, run: Run) -> None:
        """Write a run, new or changed; its `token_count` is left alone."""
        await self._upsert(_RUNS, [_RUN.to_row(run)], keep=("token_count",))

    async def save_budget_term(self, term: BudgetTerm) -> None:
        """Write who may grant from a target connection's budget."""
        await self._upsert(_TERMS, [_TERM.to_row(term)])

    async def add_run_tokens(self, run_id: str, token_count: int, *, target_entity: str) -> None:
        """Add tokens spent to a run."""
        await self._run(_ADD_TO_RUN, [{"of_run": run_id, "more": token_count}])
        await self._insert_new(_COSTS, [_COST.to_row(RunCost(run_id, target_entity, 0))])
        await self._run(_ADD_TO_COST, [{"of_run": run_id, "of_entity": target_entity, "more": token_count}])

    async def add_run_results(self, run_id: str, counts: Mapping_[tuple[str, str], int]) -> None:
        """Add to what a run brought about: (target entity, result) → count."""
        await self._insert_new(_RESULTS, [_RESULT.to_row(RunResult(run_id, entity, result, 0)) for entity, result in sorted(counts)])
        for (entity, result), count in sorted(counts.items()):
            which = (_RESULTS.c.run_id == run_id, _RESULTS.c.target_entity == entity, _RESULTS.c.result == result)
            await self._run(update(_RESULTS).where(*which).values(count=_RESULTS.c.count + count))

    async def add_mapping(self, mapping: Mapping) -> None:
        """Write a new version of the mapping."""
        await self._run(_MAPPINGS.insert(), [_MAPPING.to_row(mapping)])

    async def save_manifest(self, manifest: Manifest) -> None:
        """Write a manifest; a known one is left as it is."""
        await self._insert_new(_MANIFESTS, [_MANIFEST.to_row(manifest)])

    async def save_report(self, report: Report) -> None:
        """Write a report; the one of the same kind before is replaced."""
        await self._upsert(_REPORTS, [_REPORT.to_row(report)])

    async def replace_report_rows(self, migration_id: str, kind: ReportKind, rows: Sequence[bytes]) -> None:
        """Replace all rows of a report."""
        await self._delete(_LINES, _LINES.c.migration_id == migration_id, _LINES.c.kind == str(kind))
        await self.add_report_rows(migration_id, kind, rows)

    async def add_report_rows(self, migration_id: str, kind: ReportKind, rows: Sequence[bytes]) -> None:
        """Add rows to a report."""
        where = (_LINES.c.migration_id == migration_id, _LINES.c.kind == str(kind))
        last = await self._scalar(select(func.max(_LINES.c.position)).where(*where)) or 0
        lines = [
            {"migration_id": migration_id, "kind": str(kind), "position": position, "content": content}
            for position, content in enumerate(rows, last + 1)
        ]
        await self._run(_LINES.insert(), lines)
