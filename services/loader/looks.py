"""The look before a deletion: what a person changed since we loaded it stays (L-15).

Records are read by lists of ids right before they are deleted, so an edit is missed only when it falls between that list and the deletion of this
record: seconds, because `lookouts` has old looks taken again, and never longer than a claim lasts, because a batch that lost its claim begins anew.
Notes and files have no list by ids; the ledger reads them by whole pages, and only what was read too long ago is read one by one here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from services.common.edits import edited_fields
from services.loader.attempts import fail_all
from services.loader.entities import NAMED_ENTITIES, schema
from services.loader.entities.base import OffsetEntity
from services.loader.entities.deal import DEAL
from services.loader.entities.line_item import LINE_ITEM
from services.loader.entities.organization_relation import ORGANIZATION_RELATION
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.loader.canonical import Image
    from services.loader.entities.base import Entity, Found
    from services.loader.work import Batch, Work

USER_EDIT: Final = "KEPT_USER_EDIT"
LOOK_SECONDS_MAX: Final = 60.0
"""How old the ledger's look may be when a batch begins."""
_VALUE_FIELDS: Final = ("value", "currency")


async def look(entity: Entity, batch: Batch) -> dict[str, Found] | None:
    """Read what is to be deleted or restored, and keep what a person edited; answers what was read by id, None when that failed.

    Whoever restores needs what was read as well, so both share one list.
    """
    deletes = [] if batch.deletes_edited or _is_looked_at(entity, batch) else batch.open(Action.DELETE)
    works = [*deletes, *batch.open(Action.RESTORE)]
    if not works or batch.stop is not None:
        return {}
    try:
        return await read_and_keep(entity, batch, works)
    except Exception as error:  # noqa: BLE001 - sorted in `fail_all`
        fail_all(batch, works, error)
        return None


async def read_and_keep(entity: Entity, batch: Batch, works: Sequence[Work]) -> dict[str, Found]:
    """Read records and keep those to be deleted that a person edited; answers what was read by id. Raises what the calls raise."""
    if entity is LINE_ITEM:
        actual = await _lines(batch, sorted({work.parent_target_id for work in works} - {""}))
    else:
        actual = await entity.read(batch.client, batch.shared, [work.target_id for work in works])
    deletes = [work for work in works if work.action is Action.DELETE]
    lines = await _lines_by_deal(batch, [work for work in deletes if work.target_id in actual]) if entity is DEAL else {}
    for work in deletes:
        found = actual.get(work.target_id)
        if found is not None and (edited := _edited(entity, work, found, lines.get(work.target_id, {}))):
            work.outcome = kept(work, edited, found.image)
    return actual


def kept(work: Work, edited: Sequence[str], image: Image) -> Outcome:
    """Answer the outcome of a record a person edited."""
    message = f"edited by a person and kept: {', '.join(edited)}"
    return Outcome(Result.KEPT, work.target_id, image=image, reason=USER_EDIT, message=message, edited_fields=tuple(edited))


async def look_at_definitions(batch: Batch) -> None:
    """Keep schema of ours that a person renamed or added to."""
    works = [] if batch.deletes_edited else batch.open(Action.DELETE)
    kind = batch.target_entity
    if not works or batch.stop is not None or kind in {"user", "deal_value"}:
        return
    try:
        if kind in NAMED_ENTITIES:
            actual = {str(raw["id"]): NAMED_ENTITIES[kind].image(raw) for raw in await NAMED_ENTITIES[kind].list_all(batch.client, batch.shared)}
            stages = [str(raw["pipeline_id"]) for raw in await schema.STAGE.list_all(batch.client, batch.shared)] if kind == "pipeline" else []
            found = {work.key: actual.get(work.target_id) for work in works}
            extra = {work.key: ["stages"] for work in works if work.target_id in stages}
        else:
            found, extra = await _fields(batch, works)
    except Exception as error:  # noqa: BLE001 - sorted in `fail_all`
        fail_all(batch, works, error)
        return
    for work in works:
        image = found.get(work.key)
        if image is not None and (edited := edited_fields(kind, _comparable(work.last_image), image) + extra.get(work.key, [])):
            work.outcome = kept(work, edited, image)


def _is_looked_at(entity: Entity, batch: Batch) -> bool:
    """Say whether the ledger has compared these records just now: kinds that cannot be listed by their ids."""
    is_v1 = isinstance(entity, OffsetEntity) and entity is not ORGANIZATION_RELATION
    return is_v1 and batch.look_age is not None and batch.look_age <= LOOK_SECONDS_MAX


def _edited(entity: Entity, work: Work, found: Found, lines: Mapping[str, Image]) -> list[str]:
    last = work.last_image or (entity.image(work.body) if work.body else {})
    if not last:
        return ["what was loaded was erased, so it cannot be compared"]
    if entity is not DEAL:
        return edited_fields(entity.name, last, found.image)
    is_value_known = work.lines is not None and ("value" in last or not work.lines)
    edited = edited_fields(entity.name, last, found.image, ignored=() if is_value_known else _VALUE_FIELDS)
    if work.lines is None:
        return edited
    edited += [f"line_item {line_id}: taken off" for line_id in work.lines if line_id not in lines]
    for line_id, image in lines.items():
        if line_id not in work.lines:
            edited.append(f"line_item {line_id}: added")
        else:
            edited += [f"line_item {line_id}: {name}" for name in edited_fields("line_item", work.lines[line_id], image)]
    return edited


async def _lines(batch: Batch, deal_ids: Sequence[str]) -> dict[str, Found]:
    return {line.target_id: line async for page in LINE_ITEM.of_deals(batch.client, batch.shared, deal_ids) for line in page}


async def _lines_by_deal(batch: Batch, works: Sequence[Work]) -> dict[str, dict[str, Image]]:
    compared = sorted({work.target_id for work in works if work.lines is not None})
    by_deal: dict[str, dict[str, Image]] = defaultdict(dict)
    for line in (await _lines(batch, compared)).values() if compared else ():
        by_deal[line.parent_id][line.target_id] = line.image
    return by_deal


async def _fields(batch: Batch, works: Sequence[Work]) -> tuple[dict[str, Image | None], dict[str, list[str]]]:
    """Answer the present images of fields or options, and what was added to them."""
    entities = {field_entity(work) for work in works} & set(schema.FIELD_ENTITIES)
    fields = {(entity, field.code): field for entity in sorted(entities) for field in await schema.list_fields(batch.client, batch.shared, entity)}
    found: dict[str, Image | None] = {}
    extra: dict[str, list[str]] = {}
    for work in works:
        if batch.target_entity == "custom_field":
            field = fields.get((field_entity(work), work.target_id))
            found[work.key] = None if field is None else _comparable(field.image())
            ours = set(work.last_image.get("options") or {})
            if field is not None and any(label not in ours for label in field.options):
                extra[work.key] = ["options"]
            continue
        field = fields.get((field_entity(work), option_field(work)))
        labels = {str(number): label for label, number in field.options.items()} if field else {}
        found[work.key] = {**work.last_image, "label": labels[work.target_id]} if work.target_id in labels else None
    return found, extra


def _comparable(image: Mapping[str, Any]) -> Image:
    return {name: value for name, value in image.items() if name != "options"}


def _schema_name(work: Work) -> str:
    """`{entity}.{field}` of a schema record: such names hold no slash, a label behind them may."""
    return work.record_key.tail.partition("/")[0]


def field_entity(work: Work) -> str:
    """The entity a field belongs to: from its image, else from its key `custom_field:schema/deal.document_number`."""
    return str(work.last_image.get("entity") or _schema_name(work).partition(".")[0])


def option_field(work: Work) -> str:
    """The field an option belongs to."""
    return str(work.last_image.get("field_code") or _schema_name(work).partition(".")[2])
