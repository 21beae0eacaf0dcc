"""Find rows that are gone for good.

The bin is emptied after 15 days, and such a row is in no query. The org lists ids removed within the last weeks; before that, only comparing all ids
with those read before finds them. (Known: the platform's documentation.)
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from services.common import telemetry
from services.common.clock import Clock
from services.extractor.connector import END, START, FrozenPages, RawRecord
from services.extractor.connectors.servicetracker.client import CallRefusedError, OrgClient
from services.extractor.connectors.servicetracker.ids import long_id
from services.extractor.connectors.servicetracker.reading import QueryReader

_WINDOW_DAYS: Final = 29
"""The org refuses a start more than 30 days ago."""
_LEAST: Final = timedelta(minutes=2)
"""The org refuses windows of less than a minute."""
_log = telemetry.get_logger(__name__)


async def removed_records(
    described: Mapping[str, Any],
    entity: str,
    since: datetime,
    *,
    client: OrgClient,
    frozen: FrozenPages,
    clock: Clock,
    address_bytes: int,
    compares: bool,
) -> list[RawRecord]:
    """Answer the rows that were read before and are gone, each with what was last known of it; `compares`: compare all ids in any case."""
    listed = await _listed(described, since, client, clock)
    if listed is None or compares:
        present = await _present(described, client, address_bytes)
        return [one for one in await _known(entity, frozen) if one.source_id not in present]
    return [one for one in await _known(entity, frozen, only=listed) if one.source_id in listed] if listed else []


async def _listed(described: Mapping[str, Any], since: datetime, client: OrgClient, clock: Clock) -> set[str] | None:
    """Answer the ids the org lists as removed; None when its list does not reach back to `since`."""
    if not described["is_replicateable"]:
        return set()
    now = clock.now()
    start = min(max(since, now - timedelta(days=_WINDOW_DAYS)), now - _LEAST)
    params = {"start": _written(start), "end": _written(now)}
    try:
        answer = await client.get(f"/sobjects/{described['name']}/deleted/", params)
    except CallRefusedError as error:
        # Whatever the reason (our clock and the org's may differ), only comparing can tell now.
        _log.info("source.removals_unknown", object=described["name"], code=error.failure.code)
        return None
    earliest = answer.get("earliestDateAvailable")
    if start > since + _LEAST or (earliest and datetime.fromisoformat(earliest) > since):
        return None
    return {long_id(one["id"]) for one in answer.get("deletedRecords") or []}


async def _present(described: Mapping[str, Any], client: OrgClient, address_bytes: int) -> set[str]:
    found: set[str] = set()
    reader = QueryReader(client, described, address_bytes=address_bytes, columns=["Id"])
    async for page in reader.pages(START):
        found.update(row["Id"] for row in page.rows)
        if page.next_cursor == END:
            break
    return found


async def _known(entity: str, frozen: FrozenPages, only: set[str] | None = None) -> list[RawRecord]:
    """Answer the last version of each row read before, as deleted ones; those that are known to be deleted are left out."""
    newest: dict[str, Mapping[str, Any]] = {}
    async for page in frozen.read(entity, of_all_extractions=True):
        for envelope in page.envelopes:
            if only is None or envelope["id"] in only:
                newest[envelope["id"]] = envelope
    return [
        RawRecord(row_id, {**envelope["data"], "IsDeleted": True}, is_deleted=True)
        for row_id, envelope in sorted(newest.items())
        if not envelope["is_deleted"]
    ]


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
