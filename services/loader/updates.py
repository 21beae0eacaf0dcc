"""Changing records that are in Pipedrive: read, compare three ways, patch what only the source changed; conflicts are decided or asked (L-11)."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from services.loader.attempts import fail_all
from services.loader.entities.file import FILE, staged_bytes, upload_body
from services.loader.entities.line_item import LINE_ITEM
from services.loader.matches import MATCH, noted
from services.loader.merge import ASK, POLICY_SOURCE, POLICY_TARGET, WHOLE, Conflict, Merge, merge, names_of
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.loader.attempts import Attempts
    from services.loader.doubt import Doubt
    from services.loader.entities.base import Entity, Found
    from services.loader.survivors import Survivors
    from services.loader.work import Batch, FileStore, Work

_FILE_LOOKBACK: Final = timedelta(hours=1)


class Updates:
    """Updates records of all kinds."""

    def __init__(self, *, attempts: Attempts, doubt: Doubt, files: FileStore, survivors: Survivors) -> None:
        self._attempts = attempts
        self._doubt = doubt
        self._files = files
        self._survivors = survivors

    async def update(self, entity: Entity, batch: Batch) -> None:
        """Decides every record of the batch that is to be updated."""
        works = batch.open(Action.UPDATE)
        if not works or batch.stop is not None:
            return
        try:
            if entity is FILE:
                await self._replace_files(batch, works)
                return
            actual = await read_targets(entity, batch, works)
            await self._survivors.follow(entity, batch, works, actual)
        except Exception as error:  # noqa: BLE001 - sorted in `fail_all`
            fail_all(batch, works, error)
            return

        changed: set[str] = set()

        def place(work: Work) -> str:
            found = actual.get(work.target_id)
            return work.target_id if found is None else found.target_id

        async def act(work: Work) -> Outcome:
            found = actual.get(work.target_id)
            if found is not None and found.target_id in changed:
                # Another record of the batch stands in the same object and has just changed it.
                found = await entity.read_one(batch.client, work.context, found.target_id)
            if found is None:
                return _update_gone(work)
            outcome = await _update_one(entity, batch, work, found)
            if outcome.pre_image:
                changed.add(found.target_id)
            return outcome

        await self._attempts.each(batch, works, act, turn=place)

    async def send_file(self, batch: Batch, work: Work) -> Found:
        """Uploads a file. The first bytes are fetched before the call: a file that is not in staging must not leave a half-sent upload in doubt."""
        async with aclosing(staged_bytes(work.body, self._files.read_file)) as stream:  # type: ignore[type-var]
            await anext(stream, None)
        answer = await batch.client.call("files.create", work.context, body=upload_body(work.body, self._files.read_file))
        return FILE.created(answer.data)

    async def _replace_files(self, batch: Batch, works: list[Work]) -> None:
        """A file's content cannot be changed: the new version goes up, then the old one goes.

        Safe to repeat: a new version that went up before a crash is looked for first.
        """
        uploaded = await self._doubt.resolve(FILE, batch, works, lookback=_FILE_LOOKBACK, exclude=frozenset(work.target_id for work in works))

        async def act(work: Work) -> Outcome:
            new = uploaded.get(work.key) or await self.send_file(batch, work)
            await FILE.delete(batch.client, work.context, work.target_id)
            return Outcome(Result.UPDATED, new.target_id, image=FILE.image(work.body))

        await self._attempts.each(batch, works, act)


async def read_targets(entity: Entity, batch: Batch, works: Sequence[Work]) -> dict[str, Found]:
    """Reads the records of a batch, by the id they have in the ledger; those that are not there are left out."""
    if entity is not LINE_ITEM:
        return await entity.read(batch.client, batch.shared, [work.target_id for work in works])
    deals = sorted({work.parent_target_id or str(work.body.get("deal_id") or "") for work in works} - {""})
    found: dict[str, Found] = {}
    async for page in LINE_ITEM.of_deals(batch.client, batch.shared, deals):
        found.update({line.target_id: line for line in page})
    return found


async def _update_one(entity: Entity, batch: Batch, work: Work, found: Found) -> Outcome:
    if work.match_policy == MATCH:
        return Outcome(Result.UNCHANGED, found.target_id, image=work.last_image, parent_target_id=found.parent_id or work.parent_target_id)
    payload = {name: value for name, value in work.body.items() if not name.startswith("$")}
    result = merge(entity, last=work.last_image, payload=payload, actual=found.image, policy=work.policy, declined=work.declined)
    if (first := noted(work, result)) is not None:
        return first
    if result.changes:
        await entity.update(batch.client, work.context, found, entity.patch_body(result.changes, payload))
    if result.conflicts:
        return _asked(work, found, result)
    return Outcome(
        Result.UPDATED if result.changes else Result.UNCHANGED,
        found.target_id,
        image=result.image,
        pre_image=result.before or None,
        parent_target_id=found.parent_id or work.parent_target_id,
        flag_reason="TARGET_REJECTED" if result.stuck else "",
        message=f"Pipedrive's API cannot clear {', '.join(result.stuck)}; the old value stands" if result.stuck else "",
        conflicts=result.decisions,
        declined=result.declined,
    )


def _asked(work: Work, found: Found, result: Merge) -> Outcome:
    done = f"; {names_of(sorted(result.changes))} was written" if result.changes else ""
    return Outcome(
        Result.WAITING,
        found.target_id,
        image=result.image,
        pre_image=result.before or None,
        reason="CONFLICT",
        message=f"changed in the source and in Pipedrive since it was loaded: {names_of(result.conflicts)}; decide which side is right{done}",
        parent_target_id=found.parent_id or work.parent_target_id,
        conflicts=result.decisions,
        asked=result.asked,
        declined=result.declined,
        is_partly_done=bool(result.changes),
    )


def _update_gone(work: Work) -> Outcome:
    """A person deleted the record: it comes again, stays deleted, or a person is asked. Created again it is under an intent, so by the next claim."""
    word, by = work.policy.decide(WHOLE, None)
    told = (Conflict(WHOLE, word, by, None, None),)
    if word == POLICY_SOURCE:
        return Outcome(Result.GONE, work.target_id, message="deleted in Pipedrive; created again by decision", conflicts=told)
    if word == POLICY_TARGET:
        message = "deleted in Pipedrive; stays deleted by decision"
        return Outcome(Result.UNCHANGED, work.target_id, image=work.last_image, message=message, conflicts=told, declined=work.declined)
    return Outcome(
        Result.WAITING,
        work.target_id,
        image=work.last_image,
        reason="CONFLICT",
        message="changed in the source, but deleted in Pipedrive since it was loaded; decide whether it is created again",
        conflicts=(Conflict(WHOLE, ASK, by, None, None),),
        asked={WHOLE: None},
        declined=work.declined,
    )
