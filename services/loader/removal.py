"""Deleting what the source has no more (L-11): only records that nobody changed in Pipedrive since they were loaded; a person decides on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.edits import edited_fields
from services.loader.attempts import fail_all
from services.loader.entities import RECORD_ENTITIES
from services.loader.merge import ASK, BY_POLICY, WHOLE, Conflict, names_of
from services.loader.updates import read_targets
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.loader.work import Batch, Work


async def spare_edited(batch: Batch) -> None:
    """Decides those records that are gone already or that a person changed; the rest is left to be deleted."""
    works = [work for work in batch.open(Action.DELETE) if work.guards_edits]
    if not works:
        return
    try:
        await read_and_spare(batch, works)
    except Exception as error:  # noqa: BLE001 - sorted in `fail_all`
        fail_all(batch, works, error)


async def read_and_spare(batch: Batch, works: Sequence[Work]) -> None:
    """Reads records and decides those that are gone or edited. Raises what the calls raise."""
    entity = RECORD_ENTITIES.get(batch.target_entity)
    if entity is None:
        return
    actual = await read_targets(entity, batch, works)
    for work in works:
        found = actual.get(work.target_id)
        if found is None:
            work.outcome = Outcome(Result.DELETED, work.target_id, message="was deleted in Pipedrive already")
            continue
        names = edited_fields(entity.name, work.last_image, found.image)
        # What a person was shown and has decided on does not count.
        seen = work.policy.asked
        edited = {name: found.image.get(name) for name in names if name not in seen or seen[name] != found.image.get(name)}
        if edited:
            message = f"the source has it no more, but a person changed {names_of(sorted(edited))} in Pipedrive; decide whether it is deleted"
            work.outcome = Outcome(
                Result.WAITING,
                work.target_id,
                image=work.last_image,
                reason="SOURCE_DELETED",
                message=message,
                parent_target_id=work.parent_target_id,
                asked={**work.policy.asked, **edited},
                conflicts=(Conflict(WHOLE, ASK, BY_POLICY, None, None),),
            )
