"""Following merges: a person merged a record of ours into another, and Pipedrive's API names no way from the one to the other.

What is left to go by, in this order:

1. `answered_id`: reading the old id answers another record (what the API does with a merged id is not documented; where it leads on, this is proof);
2. `external_id`: the record that stays had no external id and took over ours, because a merge fills what is empty;
3. `links`: it had one, being a record of ours itself; then what we had linked to the old record is linked to that one now, all of it.

Without any of these the record counts as deleted.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from services.common.edits import CUSTOM_PREFIX
from services.common.keys import RecordKey
from services.loader.entities import RECORD_ENTITIES
from services.loader.entities.deal import DEAL
from services.loader.work import Move

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import datetime

    from services.common.clock import Clock
    from services.loader.entities.base import Entity, Found
    from services.loader.work import Batch, LedgerPort, Link, Work

MERGEABLE: Final = ("organization", "person", "deal")
"""What people can merge in Pipedrive (API.md 9)."""
_FRUITLESS_SECONDS: Final = 600.0
"""How long a record that was not found is not looked for again."""
_FRUITLESS_MAX: Final = 10_000


class Survivors:
    """Finds what records were merged into."""

    def __init__(self, *, ledger: LedgerPort, clock: Clock, margin_seconds: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._margin = timedelta(seconds=margin_seconds)
        self._fruitless: dict[tuple[str, str, str], float] = {}

    async def follow(self, entity: Entity, batch: Batch, works: Sequence[Work], actual: dict[str, Found]) -> None:
        """Adds to `actual`, under the id the ledger knows, the record that one of the batch was merged into, and notes the move."""
        if entity.name not in MERGEABLE:
            return
        for work in works:
            found = actual.get(work.target_id)
            if found is not None and found.target_id != work.target_id:
                batch.moves.append(Move(entity.name, work.target_id, found.target_id, "answered_id"))
        missing = {work.target_id: (work.key, work.load_time) for work in works if work.target_id not in actual}
        actual.update(await self._find(entity, batch, missing))

    async def refer(self, batch: Batch) -> dict[str, str]:
        """Looks after the records that those of the batch refer to; answers key → id of the record it was merged into, and notes the moves."""
        by_entity: dict[str, dict[str, tuple[str, datetime | None]]] = defaultdict(dict)
        for key, one in sorted(batch.referred.items(), key=lambda entry: entry[0]):  # a message's map has another order in every process
            if one.target_entity in MERGEABLE:
                by_entity[one.target_entity][one.target_id] = (key, one.load_time)
        moved: dict[str, str] = {}
        for name, targets in by_entity.items():
            entity = RECORD_ENTITIES[name]
            there = await entity.read(batch.client, batch.shared, list(targets))
            elsewhere = {target_id: found for target_id, found in there.items() if found.target_id != target_id}
            batch.moves.extend(Move(name, target_id, found.target_id, "answered_id") for target_id, found in elsewhere.items())
            missing = {target_id: known for target_id, known in targets.items() if target_id not in there}
            elsewhere |= await self._find(entity, batch, missing)
            ids = {target_id: found.target_id for target_id, found in elsewhere.items()}
            moved.update({key: ids[one.target_id] for key, one in batch.referred.items() if one.target_entity == name and one.target_id in ids})
        return moved

    async def _find(self, entity: Entity, batch: Batch, missing: Mapping[str, tuple[str, datetime | None]]) -> dict[str, Found]:
        now = self._clock.monotonic()
        self._fruitless = {name: moment for name, moment in self._fruitless.items() if now - moment < _FRUITLESS_SECONDS}
        names = {target_id: (batch.migration_id, entity.name, target_id) for target_id in missing}
        wanted = {target_id: known for target_id, known in missing.items() if names[target_id] not in self._fruitless}
        found: dict[str, Found] = {}
        for evidence, find in (("answered_id", _by_id), ("external_id", self._by_external_id), ("links", self._by_links)):
            rest = {target_id: known for target_id, known in wanted.items() if target_id not in found}
            if rest:
                hits = await find(entity, batch, rest)
                found |= hits
                batch.moves.extend(Move(entity.name, target_id, hit.target_id, evidence) for target_id, hit in hits.items())
        for target_id in wanted.keys() - found.keys():
            if len(self._fruitless) < _FRUITLESS_MAX:
                self._fruitless[names[target_id]] = now
        return found

    async def _by_external_id(self, entity: Entity, batch: Batch, wanted: Mapping[str, tuple[str, datetime | None]]) -> dict[str, Found]:
        """Lists what changed since the oldest of them was settled, and looks for their external ids."""
        manifest = await self._ledger.manifest(batch.manifest_digest)
        code = manifest.external_id_codes.get(entity.name)
        times = [time for _, time in wanted.values() if time is not None]
        if not code or not times:
            return {}
        by_sign = {_external_id(manifest.source_account, key): target_id for target_id, (key, _) in wanted.items()}
        found: dict[str, Found] = {}
        async with aclosing(_changed(entity, batch, min(times) - self._margin)) as pages:
            async for page in pages:
                for one in page:
                    target_id = by_sign.get(str(one.image.get(CUSTOM_PREFIX + code)))
                    if target_id is not None and one.target_id != target_id:
                        found[target_id] = one
                if len(found) == len(wanted):
                    break
        return found

    async def _by_links(self, entity: Entity, batch: Batch, wanted: Mapping[str, tuple[str, datetime | None]]) -> dict[str, Found]:
        """Looks where what we had linked to them is linked now: to one record of ours, all of it."""
        links: dict[str, list[Link]] = defaultdict(list)
        for link in await self._ledger.links_to(batch.migration_id, entity.name, list(wanted)):
            links[link.target_id].append(link)
        found: dict[str, Found] = {}
        for target_id, own in links.items():
            ends = [end for link in own if (end := await _end_of(batch, link)) is not None]
            if not ends or len(set(ends)) > 1 or ends[0] == target_id:
                continue
            if await self._ledger.known_targets(batch.migration_id, entity.name, ends[:1]):
                survivor = await entity.read_one(batch.client, batch.shared, ends[0])
                if survivor is not None:
                    found[target_id] = survivor
        return found


async def _by_id(entity: Entity, batch: Batch, wanted: Mapping[str, tuple[str, datetime | None]]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for target_id in wanted:
        one = await entity.read_one(batch.client, batch.shared, target_id)
        if one is not None and one.target_id != target_id:
            found[target_id] = one
    return found


async def _changed(entity: Entity, batch: Batch, since: datetime) -> AsyncGenerator[list[Found], None]:
    listings = [entity.scan(batch.client, batch.shared, since=since)]
    if entity is DEAL:
        listings.append(DEAL.scan_archived(batch.client, batch.shared, since=since))
    for listing in listings:
        async with aclosing(listing) as pages:
            async for page in pages:
                yield page


async def _end_of(batch: Batch, link: Link) -> str | None:
    """Answers the id a link leads to now; None: the record that has it is gone, or it leads nowhere."""
    one = await RECORD_ENTITIES[link.from_target_entity].read_one(batch.client, batch.shared, link.from_target_id)
    value: Any = None if one is None else one.image.get(link.field)
    return None if value is None else str(value)


def _external_id(source_account: str, key: str) -> str:
    return f"{source_account}/{RecordKey.parse(key).place}"
