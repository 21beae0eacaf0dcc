"""In doubt: a record was sent, or may have been, and nobody knows whether Pipedrive has it. Found out by listing, never by search.

What was created since the intent is listed once. A record is recognised by its external-id field, or by a fingerprint of the fields it was sent with;
candidates that belong to other records of the ledger are left out. Only what is proven absent, after a time of grace for calls that were still
on their way, may be created again.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from services.common.canonical import canonical_json
from services.common.edits import CUSTOM_PREFIX
from services.loader import canonical
from services.loader.entities.deal import DEAL
from services.loader.entities.file import has_bytes
from services.loader.entities.line_item import LINE_ITEM
from services.loader.entities.organization_relation import ORGANIZATION_RELATION

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from services.common.clock import Clock
    from services.loader.entities.base import Entity, Found
    from services.loader.work import Batch, LedgerPort, Manifest, Work

_BREATH_SECONDS: Final = 0.25
_LOOKUP_MAX: Final = 1000
_HTML_FIELDS: Final = frozenset({"content", "note"})


class Doubt:
    """Finds out which records in doubt are in Pipedrive."""

    def __init__(self, *, ledger: LedgerPort, clock: Clock, grace_seconds: float, margin_seconds: float) -> None:
        self._ledger = ledger
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._margin = timedelta(seconds=margin_seconds)
        self._unsettled: list[Batch] = []

    @contextmanager
    def unsettled(self, batch: Batch) -> Iterator[None]:
        """Keeps in mind, until the block ends, what a batch creates: the ledger knows it only once it is settled.

        Without this a record in doubt could be taken for its twin in another batch of this process.
        """
        self._unsettled.append(batch)
        try:
            yield
        finally:
            self._unsettled.remove(batch)

    async def wait_out(self, since: float | None) -> None:
        """Waits until calls that were on their way at `since` (monotonic; None: now) have arrived or never will."""
        since = self._clock.monotonic() if since is None else since
        await self._clock.sleep(self._grace_seconds - (self._clock.monotonic() - since))

    async def breathe(self, attempt: int) -> None:
        """Waits a moment before the same is tried again, longer each time, at most the time of grace."""
        await self._clock.sleep(min(self._grace_seconds, _BREATH_SECONDS * 2.0**attempt))

    async def resolve(
        self,
        entity: Entity,
        batch: Batch,
        works: Sequence[Work],
        *,
        lookback: timedelta = timedelta(0),
        exclude: frozenset[str] = frozenset(),
    ) -> dict[str, Found]:
        """Answers key → record for those that are in Pipedrive. Call `wait_out` first: what is missing here is taken for absent.

        Args:
            entity: kind of record.
            batch: the batch they are in.
            works: the records in doubt.
            lookback: how far back to look for records without an intent time.
            exclude: target ids that are not meant.
        """
        default = self._clock.now() - lookback
        since = min((work.intent_time or default for work in works), default=default) - self._margin
        ours = {work.key for work in works}
        created = self._just_created(entity)
        exclude = exclude | {target_id for target_id, key in created.items() if key not in ours}
        manifest = None if entity.fingerprint else await self._ledger.manifest(batch.manifest_digest)
        signs = {work.key: _signs(entity, work, manifest) for work in works}
        candidates: dict[str, list[Found]] = defaultdict(list)
        shapes = {tuple(sorted(sign)) for sign in signs.values()}
        wanted = {_spelled(sign) for sign in signs.values()}
        async with aclosing(_listing(entity, batch, works, since)) as pages:
            async for page in pages:
                for found in page:
                    if found.target_id in exclude:
                        continue
                    seen = _values(found.image)
                    for shape in shapes:
                        spelled = _spelled({name: seen.get(name) for name in shape})
                        if spelled in wanted:
                            candidates[spelled].append(found)
                if not entity.fingerprint and len(candidates) == len(wanted):
                    break
        free = await self._without_owned(batch, works, candidates, created)
        others = await _other_bytes(batch, works, {work.key: free.get(_spelled(signs[work.key]), []) for work in works})
        found_by_key: dict[str, Found] = {}
        # First what belongs to one of them by now - another loader may have settled it meanwhile, or a batch of this process whose claim ran out has
        # made it and not settled it yet -, so that no twin takes it from its owner.
        for is_own in (True, False):
            for work in works:
                queue = free.get(_spelled(signs[work.key]), [])
                wanted_owner = work.key if is_own else ""
                chosen = next((found for found, owner in queue if owner == wanted_owner and (work.key, found.target_id) not in others), None)
                if chosen is not None and work.key not in found_by_key:
                    free[_spelled(signs[work.key])] = [entry for entry in queue if entry[0] is not chosen]
                    found_by_key[work.key] = chosen
        return found_by_key

    def _just_created(self, entity: Entity) -> dict[str, str]:
        """Answers target id → key of what batches of this process made and did not settle yet."""
        works = (work for batch in self._unsettled if batch.target_entity == entity.name for work in batch.works)
        return {work.outcome.target_id: work.key for work in works if work.outcome is not None and work.outcome.target_id}

    async def _without_owned(
        self, batch: Batch, works: Sequence[Work], candidates: Mapping[str, list[Found]], created: Mapping[str, str]
    ) -> dict[str, list[tuple[Found, str]]]:
        """Leaves out candidates that belong to records other than those in doubt; the oldest comes first."""
        ids = sorted({found.target_id for group in candidates.values() for found in group})
        owners = dict(created)
        for begin in range(0, len(ids), _LOOKUP_MAX):
            owners.update(await self._ledger.known_targets(batch.migration_id, batch.target_entity, ids[begin : begin + _LOOKUP_MAX]))
        ours = {work.key for work in works}
        return {
            sign: sorted(
                ((found, owners.get(found.target_id, "")) for found in group if owners.get(found.target_id, "") in ours | {""}),
                key=lambda entry: int(entry[0].target_id),
            )
            for sign, group in candidates.items()
        }


async def _other_bytes(batch: Batch, works: Sequence[Work], queues: Mapping[str, list[tuple[Found, str]]]) -> frozenset[tuple[str, str]]:
    """Answers (key, target id) of candidates that look like a record but hold other bytes.

    Only where the payload has the digest of its bytes: parts of files are equally long, so name and size say less of them than of whole files, and
    two of them exchanged would spoil both files.
    """
    others: set[tuple[str, str]] = set()
    for work in works:
        digest = str(work.body.get("digest") or "")
        for found, owner in queues[work.key] if digest else ():
            if not owner and not await has_bytes(batch.client, work.context, found.target_id, digest):
                others.add((work.key, found.target_id))
    return frozenset(others)


def _listing(entity: Entity, batch: Batch, works: Sequence[Work], since: datetime) -> AsyncGenerator[list[Found], None]:
    if entity is LINE_ITEM:
        return LINE_ITEM.of_deals(batch.client, batch.shared, _parents(works, "deal_id"))
    if entity is ORGANIZATION_RELATION:
        return _relations(batch, _parents(works, "rel_owner_org_id"))
    if entity is DEAL and any(work.body.get("is_archived") for work in works):
        return _deals(batch, since)
    return entity.scan(batch.client, batch.shared, since=since)


def _parents(works: Sequence[Work], name: str) -> list[str]:
    return sorted({str(work.body.get(name) or work.parent_target_id) for work in works} - {""})


async def _relations(batch: Batch, parents: Iterable[str]) -> AsyncGenerator[list[Found], None]:
    for parent in parents:
        async with aclosing(ORGANIZATION_RELATION.of_parent(batch.client, batch.shared, parent)) as pages:
            async for page in pages:
                yield page


async def _deals(batch: Batch, since: datetime) -> AsyncGenerator[list[Found], None]:
    for listing in (DEAL.scan(batch.client, batch.shared, since=since), DEAL.scan_archived(batch.client, batch.shared, since=since)):
        async with aclosing(listing) as pages:
            async for page in pages:
                yield page


def _signs(entity: Entity, work: Work, manifest: Manifest | None) -> dict[str, Any]:
    """Answers the values that tell the record from others."""
    if manifest is None:
        values = _values(entity.image(work.body))
        return {name: values[name] for name in entity.fingerprint if name in values}
    external_id = f"/{work.record_key.place}"
    code = manifest.external_id_codes.get(entity.name, "")
    if code:
        return {CUSTOM_PREFIX + code: f"{manifest.source_account}{external_id}"}
    for name, value in (work.body.get(canonical.CUSTOM) or {}).items():
        if isinstance(value, str) and value.endswith(external_id):
            return {CUSTOM_PREFIX + name: value}
    return {name: value for name, value in entity.image(work.body).items() if name not in entity.create_only} or {"": work.key}


def _values(image: canonical.Image) -> canonical.Image:
    return {name: canonical.words(value) if name in _HTML_FIELDS else value for name, value in image.items()}


def _spelled(sign: Mapping[str, Any]) -> str:
    return canonical_json(dict(sign)).decode("utf-8", "surrogatepass")
