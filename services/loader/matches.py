"""Linking records to what was in Pipedrive before us (RS-01). The ledger has decided which record it is; here it is read, and compared.

Nothing is written into such a record before the ledger knows what stood there: the first claim answers what will be written and what stands there
now, the next one writes it. So a loader that dies between the two, or between writing and telling, leaves nothing that a rollback cannot restore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.loader.attempts import fail_all
from services.loader.merge import FILL, Merge, fallen
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from services.loader.attempts import Attempts
    from services.loader.entities.base import Entity, Found
    from services.loader.work import Batch, Work

MATCH: Final = "match"


class Matches:
    """Links records."""

    def __init__(self, *, attempts: Attempts) -> None:
        self._attempts = attempts

    async def link(self, entity: Entity, batch: Batch) -> None:
        """Decides every record of the batch that is to be linked."""
        works = batch.open(Action.MATCH)
        if not works or batch.stop is not None:
            return
        try:
            actual = await entity.read(batch.client, batch.shared, sorted({work.target_id for work in works}))
        except Exception as error:  # noqa: BLE001 - sorted in `fail_all`
            fail_all(batch, works, error)
            return
        for work in works:
            found = actual.get(work.target_id)
            if found is None:
                work.outcome = Outcome(Result.GONE, work.target_id, message="it was deleted in Pipedrive meanwhile, so it is looked for anew")
            else:
                work.outcome = _link(entity, work, found)


def _link(entity: Entity, work: Work, found: Found) -> Outcome:
    """Answer what becomes of a record: linked, or noted what will be written."""
    result = compare(entity, work, found)
    return Outcome(
        Result.NOTED if result.changes else Result.MATCHED,
        found.target_id,
        image=result.image,
        pre_image=result.before or None,
        parent_target_id=found.parent_id,
        declined=result.declined,
        planned=result.changes,
    )


def compare(entity: Entity, work: Work, found: Found) -> Merge:
    """Compare a record with the one it was matched with. `changes` hold canonical values here, `image` what counts as loaded before they are made."""
    wanted = entity.image({name: value for name, value in work.body.items() if not name.startswith("$")})
    result = Merge()
    for name, new in sorted(wanted.items()):
        now = found.image.get(name)
        if name in entity.create_only:
            continue
        could_stay = now is None and not entity.can_clear(name, wanted)
        if work.match_policy == MATCH or (work.match_policy == FILL and now is not None) or could_stay:
            # Also what could not be taken out again: a rollback gives back what stood there.
            result.declined[name] = new
            continue
        if now is not None:
            result.image[name] = now
        if new != now:
            result.changes[name] = new
            result.before[name] = now
    result.before |= fallen(entity, result.changes, found.image)
    return result


def noted(work: Work, result: Merge) -> Outcome | None:
    """Answer what has to be noted before a record that was there before us may be changed; None: all of it is."""
    new = {name: old for name, old in result.before.items() if name not in work.pre_image}
    if not work.match_policy or not new:
        return None
    planned = {name: result.image.get(name) for name in result.changes}
    return Outcome(Result.NOTED, work.target_id, image=work.last_image, pre_image=new, declined=work.declined, planned=planned)
