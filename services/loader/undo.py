"""Taking back (L-15): what we created is deleted, what we changed is restored where its value is still ours; edits of people stay and are named."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from services.common.errors import TargetRejectedError
from services.loader.attempts import failure
from services.loader.canonical import time
from services.loader.entities import NAMED_ENTITIES, RECORD_ENTITIES, schema
from services.loader.entities.base import stamp
from services.loader.entities.line_item import BULK_DELETE_FROM, BULK_MAX, LINE_ITEM
from services.loader.lookouts import Lookout
from services.loader.looks import USER_EDIT, field_entity, look, look_at_definitions, option_field
from services.loader.merge import restore
from services.loader.pipedrive.errors import NotWantedError
from services.loader.records import created
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.common.clock import Clock
    from services.loader.attempts import Attempts
    from services.loader.doubt import Doubt
    from services.loader.entities.base import Entity
    from services.loader.work import Batch, Work

_NEVER: Final = "was never created"


class Undo:
    """Undoes batches."""

    def __init__(self, *, attempts: Attempts, doubt: Doubt, clock: Clock) -> None:
        self._attempts = attempts
        self._doubt = doubt
        self._clock = clock

    async def undo(self, batch: Batch) -> None:
        """Decides every record of an undo batch: those in doubt are found out about first."""
        entity = RECORD_ENTITIES.get(batch.target_entity)
        await self._resolve_doubts(entity, batch)
        if entity is None:
            await self._undo_definitions(batch)
            return
        lookout = Lookout(entity, batch, self._clock)
        actual = await look(entity, batch)
        if actual is None:
            return
        lookout.actual.update(actual)
        if entity is LINE_ITEM:
            await self._delete_lines(batch, batch.open(Action.DELETE), lookout)
        else:
            await self._attempts.each(batch, batch.open(Action.DELETE), partial(_delete, entity, batch, lookout))
        await self._restore(entity, batch, batch.open(Action.RESTORE), lookout)

    async def _undo_definitions(self, batch: Batch) -> None:
        await look_at_definitions(batch)
        if batch.target_entity == "field_option":
            await self._delete_options(batch, batch.open(Action.DELETE))
        await self._attempts.in_order(batch, batch.open(Action.DELETE), partial(_delete_definition, batch))
        await self._attempts.in_order(batch, batch.open(Action.RESTORE), partial(_restore_definition, batch))

    async def _delete_options(self, batch: Batch, works: Sequence[Work]) -> None:
        """Delete options field by field: one call takes all of a field's."""
        by_field: dict[tuple[str, str], list[Work]] = defaultdict(list)
        for work in works:
            by_field[field_entity(work), option_field(work)].append(work)
        for (entity, code), options in by_field.items():
            await self._attempts.group(batch, options, partial(_delete_options_of, batch, entity, code, options))

    async def _resolve_doubts(self, entity: Entity | None, batch: Batch) -> None:
        works = batch.open(Action.IN_DOUBT)
        if not works:
            return
        if entity is None:
            await self._attempts.in_order(batch, works, partial(_delete_doubtful_definition, batch))
            return
        blind = [work for work in works if entity.fingerprint and not work.payload]
        for work in blind:
            message = "whether Pipedrive has this record is not known and it cannot be told from others; look for it by hand"
            work.outcome = Outcome(Result.WAITING, reason="IN_DOUBT", message=message)
        works = [work for work in works if work.outcome is None]
        if not works:
            return
        try:
            await self._doubt.wait_out(batch.started)
            found = await self._doubt.resolve(entity, batch, works)
        except Exception as error:  # noqa: BLE001 - sorted in `failure`
            message = failure(batch, error).message
            for work in works:
                work.outcome = Outcome(Result.UNKNOWN, reason="IN_DOUBT", message=message)
            return
        for work in works:
            if work.key not in found:
                work.outcome = Outcome(Result.DELETED, message=_NEVER)
                continue
            outcome = created(entity, work, found[work.key])
            work.action, work.target_id, work.parent_target_id = Action.DELETE, outcome.target_id, outcome.parent_target_id

    async def _delete_lines(self, batch: Batch, works: Sequence[Work], lookout: Lookout) -> None:
        by_deal: dict[str, list[Work]] = defaultdict(list)
        for work in works:
            by_deal[work.parent_target_id].append(work)
        async with asyncio.TaskGroup() as tasks:
            for deal_id, lines in by_deal.items():
                tasks.create_task(self._attempts.group(batch, lines, partial(_take_off_deal, batch, lookout, deal_id, lines)))

    async def _restore(self, entity: Entity, batch: Batch, works: list[Work], lookout: Lookout) -> None:
        if not works or batch.stop is not None:
            return

        async def act(work: Work) -> Outcome:
            while True:
                with suppress(NotWantedError):  # it has changed: anew, with what was read last
                    return await _restore_one(entity, batch, lookout, work)

        await self._attempts.each(batch, works, act, turn=lambda work: work.target_id)


async def _restore_one(entity: Entity, batch: Batch, lookout: Lookout, work: Work) -> Outcome:
    found = lookout.actual.get(work.target_id)
    if found is None:
        return Outcome(Result.KEPT, work.target_id, reason=USER_EDIT, message="deleted in Pipedrive by somebody; nothing to restore")
    result = restore(entity, before=work.pre_image, last=work.last_image, actual=found.image, others=work.same_target)
    if result.changes:
        lookout.guard([work])
        await entity.update(batch.client, work.context, found, entity.patch_body(result.changes, {**found.image, **work.pre_image, **result.changes}))
        if work.same_target:
            await lookout.refresh(work)
    return _restored(work, result.conflicts, result.stuck)


def _restored(work: Work, edited: Sequence[str], stuck: Sequence[str]) -> Outcome:
    kept = [*edited, *stuck]
    if not kept:
        return Outcome(Result.RESTORED, work.target_id)
    words = [f"edited by a person and kept: {', '.join(edited)}"] if edited else []
    words += [f"cannot be cleared by the API and kept: {', '.join(stuck)}"] if stuck else []
    message = "; ".join(words)
    return Outcome(Result.KEPT, work.target_id, reason=USER_EDIT, message=message, edited_fields=tuple(edited), stuck_fields=tuple(stuck))


async def _delete(entity: Entity, batch: Batch, lookout: Lookout, work: Work) -> Outcome:
    if work.outcome is not None:
        return work.outcome  # kept by a look that was taken again while this one waited for its turn
    lookout.guard([work])
    try:
        await entity.delete(batch.client, work.context, work.target_id, work.parent_target_id)
    except NotWantedError:
        if work.outcome is None:
            raise
        return work.outcome
    return Outcome(Result.DELETED, work.target_id)


async def _take_off_deal(batch: Batch, lookout: Lookout, deal_id: str, works: Sequence[Work]) -> None:
    for begin in range(0, len(works), BULK_MAX):
        chunk = works[begin : begin + BULK_MAX]
        while chunk := [work for work in chunk if work.outcome is None]:
            with suppress(NotWantedError):  # some of them are kept now: the others go without them
                await _take_off_together(batch, lookout, deal_id, chunk)


async def _take_off_together(batch: Batch, lookout: Lookout, deal_id: str, works: Sequence[Work]) -> None:
    together = [works] if len(works) >= BULK_DELETE_FROM else [[work] for work in works]
    for lines in together:
        if lines[0].outcome is not None:
            continue  # kept by a look that was taken again for a line before it
        lookout.guard(lines)
        if len(lines) > 1:
            await LINE_ITEM.delete_bulk(batch.client, lines[0].context, deal_id, [line.target_id for line in lines])
        else:
            await LINE_ITEM.delete(batch.client, lines[0].context, lines[0].target_id, deal_id)
        for line in lines:
            line.outcome = Outcome(Result.DELETED, line.target_id)


async def _delete_options_of(batch: Batch, entity: str, code: str, works: Sequence[Work]) -> None:
    await _delete_options(batch, works[0], entity, code, {work.target_id for work in works})
    for work in works:
        work.outcome = Outcome(Result.DELETED, work.target_id)


async def _delete_definition(batch: Batch, work: Work) -> Outcome:
    """Deletes schema. A user or a deal's value was never created by us, so there is nothing to delete."""
    kind = batch.target_entity
    if kind in NAMED_ENTITIES:
        await NAMED_ENTITIES[kind].delete(batch.client, work.context, work.target_id)
    elif kind == "custom_field":
        await schema.delete_field(batch.client, work.context, field_entity(work), work.target_id)
    return Outcome(Result.DELETED, work.target_id)


async def _restore_definition(batch: Batch, work: Work) -> Outcome:
    """Takes back what we added to schema that was there before us."""
    kind = batch.target_entity
    if kind == "custom_field" and "options" in work.pre_image:
        before = {str(number) for number in (work.pre_image["options"] or {}).values()}
        ours = {str(number) for number in (work.last_image.get("options") or {}).values()} - before
        await _delete_options(batch, work, field_entity(work), work.target_id, ours)
        return Outcome(Result.RESTORED, work.target_id)
    if kind in NAMED_ENTITIES and work.pre_image:
        entity = NAMED_ENTITIES[kind]
        found = next((raw for raw in await entity.list_all(batch.client, batch.shared) if str(raw["id"]) == work.target_id), None)
        if found is None:
            return Outcome(Result.KEPT, work.target_id, reason=USER_EDIT, message="deleted in Pipedrive by somebody; nothing to restore")
        edited = [name for name, old in work.pre_image.items() if found.get(name) not in {old, work.last_image.get(name)}]
        changes = {name: old for name, old in work.pre_image.items() if found.get(name) != old and name not in edited}
        if changes:
            await entity.update(batch.client, work.context, work.target_id, changes)
        return _restored(work, edited, [])
    return Outcome(Result.KEPT, work.target_id, message="was there before and was not changed")


async def _delete_doubtful_definition(batch: Batch, work: Work) -> Outcome:
    """Finds schema in doubt by its name. What is not there was never created; what came into being after the intent is ours.

    Pipedrive does not tell the age of fields and options, and deleting by name alone could take a customer's own.
    """
    kind, body = batch.target_entity, work.body
    if kind in {"user", "deal_value"}:
        return Outcome(Result.DELETED, work.target_id)
    if kind in NAMED_ENTITIES and body:
        entity = NAMED_ENTITIES[kind]
        found = next((raw for raw in await entity.list_all(batch.client, batch.shared) if entity.is_same(raw, body)), None)
        if found is None:
            return Outcome(Result.DELETED, message=_NEVER)
        if work.intent_time is not None and time(found.get("add_time")) >= stamp(work.intent_time):
            await entity.delete(batch.client, work.context, str(found["id"]))
            return Outcome(Result.DELETED, str(found["id"]))
    elif body.get("entity") in schema.FIELD_ENTITIES:
        fields = await schema.list_fields(batch.client, batch.shared, body["entity"])
        if kind == "custom_field":
            is_there = any(field.raw["field_name"] == body.get("field_name") and field.raw.get("is_custom_field") for field in fields)
        else:
            is_there = any(field.code == body.get("field_code") and body.get("label") in field.options for field in fields)
        if not is_there:
            return Outcome(Result.DELETED, message=_NEVER)
    message = f"whether this {kind} was created by us is not known; look for it by its name and delete it by hand if it is not yours"
    return Outcome(Result.WAITING, work.target_id, reason="IN_DOUBT", message=message)


async def _delete_options(batch: Batch, work: Work, entity: str, code: str, ids: set[str]) -> None:
    """Deletes those of the options that are still there: Pipedrive refuses the whole list when it does not know one."""
    there = await _options_there(batch, work, entity, code, ids)
    if not there:
        return
    try:
        await schema.delete_options(batch.client, work.context, entity, code, there)
    except TargetRejectedError:
        # A call whose answer was lost is repeated, and Pipedrive refuses to delete what the first one has deleted.
        if await _options_there(batch, work, entity, code, ids):
            raise


async def _options_there(batch: Batch, work: Work, entity: str, code: str, ids: set[str]) -> list[int]:
    if not ids:
        return []
    fields = await schema.list_fields(batch.client, work.context, entity)
    field = next((definition for definition in fields if definition.code == code), None)
    return [option["id"] for option in (field.raw.get("options") if field else None) or [] if str(option["id"]) in ids]
