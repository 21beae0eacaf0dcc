"""Loading the schema (L-05): custom fields, options, pipelines, stages, activity types. What is there by name is matched; order is kept."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import TargetRejectedError
from services.loader.attempts import STOPS, doubtful
from services.loader.entities import schema
from services.loader.pipedrive.errors import OutcomeUnknownError
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from services.loader.attempts import Attempts
    from services.loader.doubt import Doubt
    from services.loader.entities.schema import FieldDefinition, NamedEntity
    from services.loader.pipedrive.lists import Raw
    from services.loader.work import Batch, LedgerPort, Work

# Lost answers in a row for one schema record before it is left in doubt.
_TRIES_MAX: Final = 3


class Definitions:
    """Makes the account's schema as the mapping wants it."""

    def __init__(self, *, attempts: Attempts, doubt: Doubt, ledger: LedgerPort) -> None:
        self._attempts = attempts
        self._doubt = doubt
        self._ledger = ledger

    async def load_fields(self, batch: Batch) -> None:
        """Decides `custom_field` records."""
        known: dict[str, list[FieldDefinition]] = {}

        async def act(work: Work) -> Outcome:
            return await self._with_doubt(batch, work, partial(self._field, batch, work, known))

        await self._attempts.in_order(batch, batch.open(Action.CREATE, Action.UPDATE, Action.IN_DOUBT), act)

    async def load_options(self, batch: Batch) -> None:
        """Decides `field_option` records: the missing ones of a field are added with one call."""
        groups: dict[tuple[str, str], list[Work]] = defaultdict(list)
        for work in batch.open(Action.CREATE, Action.UPDATE, Action.IN_DOUBT):
            groups[str(work.body.get("entity")), str(work.body.get("field_code"))].append(work)
        for (entity, code), works in groups.items():
            await self._attempts.group(batch, works, partial(self._options, batch, entity, code, works))

    async def load_named(self, entity: NamedEntity, batch: Batch) -> None:
        """Decides pipelines, stages and activity types."""
        known: list[Raw] = []

        async def act(work: Work) -> Outcome:
            return await self._with_doubt(batch, work, partial(self._named, entity, batch, work, known))

        await self._attempts.in_order(batch, batch.open(Action.CREATE, Action.UPDATE, Action.IN_DOUBT), act)

    async def _with_doubt(self, batch: Batch, work: Work, act: Callable[[bool], Awaitable[Outcome]]) -> Outcome:
        """Does `act`; after a lost answer waits and does it again, which then finds by name what was created."""
        is_ours = False
        if work.action is Action.IN_DOUBT:
            await self._doubt.wait_out(batch.started)
            is_ours = True
        for _ in range(_TRIES_MAX - 1):
            try:
                return await act(is_ours)
            except OutcomeUnknownError:
                await self._doubt.wait_out(None)
                is_ours = True
            except STOPS as error:
                if not is_ours:
                    raise
                return doubtful(batch, error)
        try:
            return await act(is_ours)
        except STOPS as error:
            return doubtful(batch, error)

    async def _field(self, batch: Batch, work: Work, known: dict[str, list[FieldDefinition]], is_ours: bool) -> Outcome:
        body = work.body
        entity = str(body.get("entity"))
        if entity not in schema.FIELD_ENTITIES:
            raise TargetRejectedError(f"custom fields of {entity!r} cannot be made by the API")
        if is_ours or entity not in known:
            known[entity] = await schema.list_fields(batch.client, batch.shared, entity)
        found = _find_field(known[entity], work)
        if found is None:
            wanted = {"field_name": body["field_name"], "field_type": body["field_type"]}
            if body.get("options"):
                wanted["options"] = [{"label": label} for label in body["options"]]
            made = await schema.create_field(batch.client, work.context, entity, wanted)
            if body.get("options") and len(made.options) < len(set(body["options"])):
                # The answer did not name the options' ids.
                known[entity] = await schema.list_fields(batch.client, batch.shared, entity)
                made = next(definition for definition in known[entity] if definition.code == made.code)
            known[entity].append(made)
            return Outcome(Result.CREATED, made.code, image=made.image())
        before = found.options
        missing = [label for label in dict.fromkeys(body.get("options") or []) if label not in before]
        image = found.image()
        if missing:
            new = await schema.add_options(batch.client, work.context, entity, found.code, missing)
            image = image | {"options": before | new}
        if work.action is Action.UPDATE and found.raw["field_name"] != body["field_name"]:
            await schema.rename_field(batch.client, work.context, entity, found.code, body["field_name"])
            image = image | {"field_name": body["field_name"]}
            return Outcome(Result.UPDATED, found.code, image=image, pre_image=work.pre_image or None)
        if work.action is Action.UPDATE:
            return Outcome(Result.UPDATED if missing else Result.UNCHANGED, found.code, image=image, pre_image=work.pre_image or None)
        if is_ours and found.code not in await self._before(batch, "custom_field"):
            return Outcome(Result.CREATED, found.code, image=image)
        return Outcome(Result.MATCHED, found.code, image=image, pre_image={"options": before} if missing else None)

    async def _options(self, batch: Batch, entity: str, code: str, works: Sequence[Work]) -> None:
        is_ours = False
        if any(work.action is Action.IN_DOUBT for work in works):
            await self._doubt.wait_out(batch.started)
            is_ours = True
        before = await self._before(batch, "field_option") if is_ours else frozenset()
        for _ in range(_TRIES_MAX):
            try:
                definitions = await schema.list_fields(batch.client, batch.shared, entity)
            except STOPS as error:
                if not is_ours:
                    raise
                for work in works:
                    work.outcome = work.outcome or doubtful(batch, error)
                return
            field = next((definition for definition in definitions if definition.code == code), None)
            if field is None:
                raise TargetRejectedError(f"the account has no field {code} on {entity}")
            options = field.options
            missing: list[str] = []
            for work in works:
                label = str(work.body.get("label"))
                if label in options:
                    is_new = is_ours and str(options[label]) not in before and work.action in {Action.CREATE, Action.IN_DOUBT}
                    work.outcome = _option(entity, code, label, options[label], Result.CREATED if is_new else Result.MATCHED)
                elif label not in missing:
                    missing.append(label)
            if not missing:
                return
            try:
                added = await schema.add_options(batch.client, works[0].context, entity, code, missing)
            except OutcomeUnknownError:
                # What the list shows next time and did not show now is ours.
                before = frozenset(str(number) for number in options.values())
                is_ours = True
                await self._doubt.wait_out(None)
                continue
            for work in works:
                label = str(work.body.get("label"))
                if work.outcome is None and label in added:
                    work.outcome = _option(entity, code, label, added[label], Result.CREATED)
            return
        raise OutcomeUnknownError(f"whether the options of {entity}.{code} were added is not known")

    async def _named(self, entity: NamedEntity, batch: Batch, work: Work, known: list[Raw], is_ours: bool) -> Outcome:
        if is_ours or not known:
            known[:] = await entity.list_all(batch.client, batch.shared)
        if work.action is Action.UPDATE:
            return await self._change_named(entity, batch, work, known)
        found = next((raw for raw in known if entity.is_same(raw, work.body)), None)
        if found is None:
            made = await entity.create(batch.client, work.context, work.body)
            known.append(made)
            return Outcome(Result.CREATED, str(made["id"]), image=entity.image(made))
        is_created = is_ours and str(found["id"]) not in await self._before(batch, entity.name)
        return Outcome(Result.CREATED if is_created else Result.MATCHED, str(found["id"]), image=entity.image(found))

    @staticmethod
    async def _change_named(entity: NamedEntity, batch: Batch, work: Work, known: list[Raw]) -> Outcome:
        found = next((raw for raw in known if str(raw["id"]) == work.target_id), None)
        if found is None:
            return Outcome(
                Result.WAITING, work.target_id, image=work.last_image, reason="CONFLICT", message=f"the {entity.name} was deleted in Pipedrive"
            )
        changes = {name: value for name, value in work.body.items() if found.get(name) != value and work.last_image.get(name) != value}
        if not changes:
            return Outcome(Result.UNCHANGED, work.target_id, image=entity.image(found))
        await entity.update(batch.client, work.context, work.target_id, changes)
        before = {name: found.get(name) for name in changes} | work.pre_image if work.pre_image else None
        return Outcome(Result.UPDATED, work.target_id, image=entity.image({**found, **changes}), pre_image=before)

    async def _before(self, batch: Batch, target_entity: str) -> frozenset[str]:
        manifest = await self._ledger.manifest(batch.manifest_digest)
        return manifest.schema_before.get(target_entity, frozenset())


def _find_field(known: Sequence[FieldDefinition], work: Work) -> FieldDefinition | None:
    body = work.body
    if work.action is Action.UPDATE:
        return next((definition for definition in known if definition.code == work.target_id), None)
    return next(
        (
            definition
            for definition in known
            if definition.raw.get("is_custom_field")
            and definition.raw["field_name"] == body.get("field_name")
            and definition.raw["field_type"] == body.get("field_type")
        ),
        None,
    )


def _option(entity: str, code: str, label: str, number: Any, result: Result) -> Outcome:
    image = {"entity": entity, "field_code": code, "id": number, "label": label}
    return Outcome(result, str(number), image=image)
