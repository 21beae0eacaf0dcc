"""What records are recognised by before they are created."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import bindparam, func, select

from services.ledger.domain import TARGET_CANDIDATE, MatchCandidate, MatchReading
from services.ledger.sql.rows import RowCodec
from services.ledger.sql.session import Session, by, chunks, table_of
from services.ledger.sql.tables import MatchCandidateRow, MatchKeyRow, MatchReadingRow

_CANDIDATES, _KEYS, _READINGS = table_of(MatchCandidateRow), table_of(MatchKeyRow), table_of(MatchReadingRow)
_CANDIDATE = RowCodec(MatchCandidate, without=("digests",))
_READING = RowCodec(MatchReading)
_BY_ENTITY = by(_READINGS.c.migration_id, _READINGS.c.target_entity)
_SHARED_MAX = 50
"""A key that so many share says nothing about who somebody is; the first ones by name are looked at."""
_RANKED = (
    select(
        _KEYS.c.digest,
        _KEYS.c.candidate,
        func.row_number().over(partition_by=_KEYS.c.digest, order_by=_KEYS.c.candidate).label("place"),
    )
    .where(
        _KEYS.c.migration_id == bindparam("migration_id"),
        _KEYS.c.target_entity == bindparam("target_entity"),
        _KEYS.c.digest.in_(bindparam("digests", expanding=True)),
    )
    .subquery()
)
_BY_DIGESTS = select(_RANKED.c.digest, _RANKED.c.candidate).where(_RANKED.c.place <= _SHARED_MAX)
_BY_NAMES = select(_CANDIDATES).where(
    _CANDIDATES.c.migration_id == bindparam("migration_id"),
    _CANDIDATES.c.target_entity == bindparam("target_entity"),
    _CANDIDATES.c.candidate.in_(bindparam("candidates", expanding=True)),
)


class MatchReader(Session):
    """Queries of candidates."""

    async def get_match_reading(self, migration_id: str, target_entity: str) -> MatchReading | None:
        """Answer how far the records in Pipedrive of an entity have been read."""
        row = await self._first(_BY_ENTITY, {"migration_id": migration_id, "target_entity": target_entity})
        return _READING.from_row(row) if row else None

    async def find_match_candidates(self, migration_id: str, target_entity: str, digests: Collection[str]) -> Sequence[MatchCandidate]:
        """Answer the candidates that have one of these keys, by name; of their digests only those asked for."""
        names: dict[str, list[str]] = {}
        for part in chunks(sorted(set(digests))):
            values = {"migration_id": migration_id, "target_entity": target_entity, "digests": part}
            for digest, candidate in sorted(tuple(row) for row in await self._tuples(_BY_DIGESTS, values)):
                names.setdefault(candidate, []).append(digest)
        found: list[MatchCandidate] = []
        for part in chunks(sorted(names)):
            values = {"migration_id": migration_id, "target_entity": target_entity, "candidates": part}
            for row in await self._all(_BY_NAMES, values):
                one = MatchCandidate(**{name: row[name] for name in _CANDIDATE.names})
                found.append(replace(one, digests=tuple(names[one.candidate])))
        return sorted(found, key=lambda one: one.candidate)


class MatchWriter(MatchReader):
    """Writes of candidates."""

    async def save_match_reading(self, reading: MatchReading) -> None:
        """Write how far records were read."""
        await self._upsert(_READINGS, [_READING.to_row(reading)])

    async def save_match_candidates(self, candidates: Sequence[MatchCandidate]) -> None:
        """Write candidates, new or with other keys."""
        if not candidates:
            return
        migration_id, target_entity = candidates[0].migration_id, candidates[0].target_entity
        await self._forget_keys(migration_id, target_entity, [one.candidate for one in candidates])
        await self._upsert(_CANDIDATES, [_CANDIDATE.to_row(one) for one in candidates])
        await self._insert_new(
            _KEYS,
            [
                {"migration_id": one.migration_id, "target_entity": one.target_entity, "digest": digest, "candidate": one.candidate}
                for one in candidates
                for digest in dict.fromkeys(one.digests)
            ],
        )

    async def forget_match_candidates(self, migration_id: str, target_entity: str, candidates: Collection[str]) -> None:
        """Forget candidates."""
        await self._forget_keys(migration_id, target_entity, candidates)
        for part in chunks(candidates):
            where = (_CANDIDATES.c.migration_id == migration_id, _CANDIDATES.c.target_entity == target_entity)
            await self._delete(_CANDIDATES, *where, _CANDIDATES.c.candidate.in_(part))

    async def forget_match_targets(self, migration_id: str, target_entity: str) -> None:
        """Forget what was read from Pipedrive of an entity, and that it was: the next run reads it anew."""
        for table in (_KEYS, _CANDIDATES):
            where = (table.c.migration_id == migration_id, table.c.target_entity == target_entity)
            await self._delete(table, *where, table.c.candidate.startswith(TARGET_CANDIDATE, autoescape=True))
        await self._delete(_READINGS, _READINGS.c.migration_id == migration_id, _READINGS.c.target_entity == target_entity)

    async def forget_match_index(self, migration_id: str) -> None:
        """Forget all candidates; what stands in Pipedrive is read anew when it is needed."""
        for table in (_KEYS, _CANDIDATES, _READINGS):
            await self._delete(table, table.c.migration_id == migration_id)

    async def _forget_keys(self, migration_id: str, target_entity: str, candidates: Collection[str]) -> None:
        for part in chunks(candidates):
            await self._delete(_KEYS, _KEYS.c.migration_id == migration_id, _KEYS.c.target_entity == target_entity, _KEYS.c.candidate.in_(part))
