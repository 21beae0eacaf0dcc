"""Mapped records: identity map, claims and outcomes, and what a rollback has to take back."""

from collections.abc import Collection, Sequence

from sqlalchemy import Column, ColumnElement, and_, bindparam, case, func, or_, select, true

from services.common.phases import LATE_LINKS, TARGET_PHASES
from services.ledger.domain import OPEN_RECORD_STATES, PhaseCount, Record, RecordFilter, RecordState, Standing, TargetCount, UndoCount
from services.ledger.sql.rows import RowCodec, from_micros
from services.ledger.sql.session import Session, chunks, table_of
from services.ledger.sql.tables import MigrationRow, RecordRow, UndoSelectionRow

_RECORDS, _MIGRATIONS, _SELECTIONS = table_of(RecordRow), table_of(MigrationRow), table_of(UndoSelectionRow)
_RECORD, _STANDING = RowCodec(Record), RowCodec(Standing)
_LASTING = ("target_entity", "source_entity", "source_id", "phase")
"""Columns that follow from the key: left out of changes, their indices need no writing."""
_OPEN = [str(state) for state in OPEN_RECORD_STATES]

_IS_DOUBTFUL = and_(_RECORDS.c.intent_time.is_not(None), _RECORDS.c.target_id == "")
_HAS_TARGET = and_(_RECORDS.c.target_id != "", _RECORDS.c.state != str(RecordState.UNDONE))
_IS_OURS = and_(_HAS_TARGET, _RECORDS.c.is_preexisting.is_(False))
_IS_CHANGED = and_(_HAS_TARGET, _RECORDS.c.is_preexisting.is_(True), _RECORDS.c.pre_image != "")

_ALL = select(*(_RECORDS.c[name] for name in _RECORD.names))
_BY_KEYS = _ALL.where(_RECORDS.c.migration_id == bindparam("migration_id"), _RECORDS.c.key.in_(bindparam("keys", expanding=True)))
_STANDINGS_BY_KEYS = _BY_KEYS.with_only_columns(*(_RECORDS.c[name] for name in _STANDING.names))
_OF_SOURCES = _ALL.where(
    _RECORDS.c.migration_id == bindparam("migration_id"),
    _RECORDS.c.source_entity == bindparam("source_entity"),
    _RECORDS.c.source_id.in_(bindparam("source_ids", expanding=True)),
    _RECORDS.c.phase == bindparam("phase"),
)


def _where(which: RecordFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if which.states:
        found.append(_RECORDS.c.state.in_([str(state) for state in which.states]))
    if which.source_entity:
        found.append(_RECORDS.c.source_entity == which.source_entity)
    if which.target_entity:
        found.append(_RECORDS.c.target_entity == which.target_entity)
    if which.reason:
        found.append(_RECORDS.c.reason == which.reason)
    if which.phase:
        found.append(_RECORDS.c.phase == which.phase)
    if which.gone:
        found.append(_RECORDS.c.gone == which.gone)
    if which.has_target:
        found.append(_HAS_TARGET)
    if which.is_due:
        found.append(_RECORDS.c.payload_digest == "")
    return found


class RecordReader(Session):
    """Queries of mapped records."""

    async def get_records(self, migration_id: str, keys: Collection[str]) -> dict[str, Record]:
        """Answer mapped records by key; unknown keys are left out."""
        found: dict[str, Record] = {}
        for part in chunks(dict.fromkeys(keys)):
            rows = await self._tuples(_BY_KEYS, {"migration_id": migration_id, "keys": part})
            found.update((record.key, record) for record in map(_RECORD.from_values, rows))
        return found

    async def get_standings(self, migration_id: str, keys: Collection[str]) -> dict[str, Standing]:
        """Answer of mapped records only how they stand; unknown keys are left out."""
        found: dict[str, Standing] = {}
        for part in chunks(dict.fromkeys(keys)):
            rows = await self._tuples(_STANDINGS_BY_KEYS, {"migration_id": migration_id, "keys": part})
            found.update((standing.key, standing) for standing in map(_STANDING.from_values, rows))
        return found

    async def list_records(self, migration_id: str, which: RecordFilter, *, after_key: str = "", limit: int = 1000) -> Sequence[Record]:
        """List mapped records by key."""
        where = (_RECORDS.c.migration_id == migration_id, _RECORDS.c.key > after_key, *_where(which))
        return [_RECORD.from_row(row) for row in await self._all(select(_RECORDS).where(*where).order_by(_RECORDS.c.key).limit(limit))]

    async def list_records_of_source(self, migration_id: str, source_entity: str, source_id: str) -> Sequence[Record]:
        """List what a source record became, by phase and key."""
        where = (_RECORDS.c.migration_id == migration_id, _RECORDS.c.source_entity == source_entity, _RECORDS.c.source_id == source_id)
        return [_RECORD.from_row(row) for row in await self._all(select(_RECORDS).where(*where).order_by(_RECORDS.c.phase, _RECORDS.c.key))]

    async def list_records_of_sources(self, migration_id: str, phase: int, source_entity: str, source_ids: Collection[str]) -> Sequence[Record]:
        """List what several source records of one entity became in a phase."""
        found: list[Record] = []
        for part in chunks(source_ids):
            values = {"migration_id": migration_id, "source_entity": source_entity, "source_ids": part, "phase": phase}
            found.extend(map(_RECORD.from_values, await self._tuples(_OF_SOURCES, values)))
        return found

    async def list_records_by_parent(self, migration_id: str, target_entity: str, parent_target_ids: Collection[str]) -> Sequence[Record]:
        """List records of a target entity that hang on these, by key."""
        return await self._records_where(_RECORDS.c.parent_target_id, migration_id, target_entity, parent_target_ids)

    async def list_records_by_target(self, migration_id: str, target_entity: str, target_ids: Collection[str]) -> Sequence[Record]:
        """List records of a target entity by their ids in Pipedrive, those taken back, too; several may stand under one."""
        return await self._records_where(_RECORDS.c.target_id, migration_id, target_entity, target_ids)

    async def _records_where(self, column: Column[str], migration_id: str, target_entity: str, target_ids: Collection[str]) -> list[Record]:
        """Answer records of a target entity by one of their columns that hold ids of Pipedrive, by key within a part of the ids."""
        found: list[Record] = []
        for part in chunks(target_ids):
            # An empty id is no id; saying so lets the database take its index of the others.
            where = (_RECORDS.c.migration_id == migration_id, _RECORDS.c.target_entity == target_entity, column.in_(part), column != "")
            rows = await self._all(select(_RECORDS).where(*where).order_by(_RECORDS.c.key))
            found.extend(_RECORD.from_row(row) for row in rows)
        return found

    async def list_records_to_undo(
        self, migration_id: str, phase: int, target_entity: str, *, run_id: str = "", is_selected: bool = False, limit: int = 1000
    ) -> Sequence[Record]:
        """List records with something to take back, the latest first."""
        # Notes that show files are made in the last phase, and go with the other notes.
        phases = _RECORDS.c.phase.in_(sorted({phase, int(LATE_LINKS)}))
        where = (_RECORDS.c.migration_id == migration_id, phases, _RECORDS.c.target_entity == target_entity)
        statement = select(_RECORDS).where(*where, or_(_IS_DOUBTFUL, _IS_OURS, _IS_CHANGED))
        if run_id:
            statement = statement.where(_RECORDS.c.undo_run_id != run_id)
        if is_selected:
            statement = statement.where(_RECORDS.c.key.in_(select(_SELECTIONS.c.key).where(_SELECTIONS.c.run_id == run_id)))
        # In-doubt records have no creation order yet: they are the latest of all.
        last = case((_IS_DOUBTFUL, 1), else_=0)
        rows = await self._all(statement.order_by(last.desc(), _RECORDS.c.create_order.desc(), _RECORDS.c.key.desc()).limit(limit))
        return [_RECORD.from_row(row) for row in rows]

    async def count_records_to_undo(self, migration_id: str, *, selected_by: str = "") -> Sequence[UndoCount]:
        """Count what a rollback would do, by target entity with the phase in which it is taken back, last phase first."""
        is_meant = _RECORDS.c.key.in_(select(_SELECTIONS.c.key).where(_SELECTIONS.c.run_id == selected_by)) if selected_by else true()
        phase = func.min(_RECORDS.c.phase)
        statement = select(
            phase.label("phase"),
            _RECORDS.c.target_entity,
            func.sum(case((_IS_OURS, 1), else_=0)).label("ours"),
            func.sum(case((_IS_CHANGED, 1), else_=0)).label("changed"),
            func.sum(case((_IS_DOUBTFUL, 1), else_=0)).label("doubtful"),
        ).where(_RECORDS.c.migration_id == migration_id, or_(_IS_DOUBTFUL, _IS_OURS, _IS_CHANGED), is_meant)
        rows = await self._all(statement.group_by(_RECORDS.c.target_entity).order_by(phase.desc(), _RECORDS.c.target_entity.desc()))
        return [UndoCount(row["phase"], row["target_entity"], int(row["ours"]), int(row["changed"]), int(row["doubtful"])) for row in rows]

    async def find_targets(self, target_connection: str, target_entity: str, target_ids: Collection[str]) -> dict[str, str]:
        """Say to which keys target ids belong, over all migrations into this connection."""
        migrations = select(_MIGRATIONS.c.migration_id).where(_MIGRATIONS.c.target_connection == target_connection)
        found: dict[str, str] = {}
        for part in chunks(target_ids):
            where = (_RECORDS.c.target_entity == target_entity, _RECORDS.c.target_id.in_(part), _RECORDS.c.target_id != "")
            rows = await self._all(select(_RECORDS.c.target_id, _RECORDS.c.key).where(*where, _RECORDS.c.migration_id.in_(migrations)))
            found.update((row["target_id"], row["key"]) for row in rows)
        return found

    async def count_records(self, migration_id: str, which: RecordFilter) -> int:
        """Count mapped records."""
        return await self._count(_RECORDS, _RECORDS.c.migration_id == migration_id, *_where(which))

    async def summarize_phases(self, migration_id: str) -> Sequence[PhaseCount]:
        """Count mapped records by phase and state."""
        statement = select(
            _RECORDS.c.phase,
            _RECORDS.c.state,
            func.count().label("count"),
            func.min(case((_IS_DOUBTFUL, _RECORDS.c.intent_time))).label("oldest"),
        ).where(_RECORDS.c.migration_id == migration_id)
        rows = await self._all(statement.group_by(_RECORDS.c.phase, _RECORDS.c.state).order_by(_RECORDS.c.phase, _RECORDS.c.state))
        return [
            PhaseCount(row["phase"], RecordState(row["state"]), int(row["count"]), None if row["oldest"] is None else from_micros(row["oldest"]))
            for row in rows
        ]

    async def summarize_targets(self, migration_id: str) -> Sequence[TargetCount]:
        """Count mapped records by target entity and state, in phase order."""
        columns = (_RECORDS.c.target_entity, _RECORDS.c.state)
        statement = select(*columns, func.count().label("count")).where(_RECORDS.c.migration_id == migration_id).group_by(*columns)
        counts: dict[str, dict[str, int]] = {}
        for row in await self._all(statement):
            name = "pending_count" if row["state"] in _OPEN else f"{row['state']}_count"
            states = counts.setdefault(row["target_entity"], {"expected_count": 0})
            states[name] = states.get(name, 0) + row["count"]
            states["expected_count"] += row["count"]
        order = {entity: position for position, entity in enumerate(TARGET_PHASES)}
        return [
            TargetCount(target_entity=entity, **counts[entity]) for entity in sorted(counts, key=lambda name: (order.get(name, len(order)), name))
        ]


class RecordWriter(RecordReader):
    """Writes of mapped records."""

    async def add_records(self, records: Sequence[Record]) -> None:
        """Write new mapped records; known keys are left as they are."""
        await self._write_values(self._statements.insert_new(_RECORDS), _RECORD, records)

    async def save_records(self, records: Sequence[Record]) -> None:
        """Write mapped records, new or changed."""
        await self._write_values(self._statements.upsert(_RECORDS, keep=_LASTING), _RECORD, records)

    async def delete_records(self, migration_id: str, keys: Collection[str]) -> None:
        """Forget mapped records that never had an effect."""
        for part in chunks(keys):
            await self._delete(_RECORDS, _RECORDS.c.migration_id == migration_id, _RECORDS.c.key.in_(part))
