"""What an account's data is made of: custom fields, options, pipelines, stages, activity types, users. Found by name, listed whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.loader.pipedrive import lists
from services.loader.pipedrive.errors import GoneError, OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.loader.canonical import Image
    from services.loader.pipedrive.client import CallContext, PipedriveClient
    from services.loader.pipedrive.lists import Raw

FIELD_ENTITIES: Final = ("deal", "person", "organization", "product")
OUTCOME_FIELD: Final = "outcome"
"""Built-in field of activities whose options are their outcomes; newer accounts have it."""


@dataclass(frozen=True, slots=True)
class FieldDefinition:
    """A field of one entity, built in or custom."""

    entity: str
    raw: Raw

    @property
    def code(self) -> str:
        """Its name in the API: a word, or 40 hex digits."""
        return str(self.raw["field_code"])

    @property
    def options(self) -> dict[str, Any]:
        """Label → id; of equal labels the first."""
        options: dict[str, Any] = {}
        for option in self.raw.get("options") or []:
            options.setdefault(str(option["label"]), option["id"])
        return options

    def image(self) -> Image:
        """Answers the canonical image."""
        image: Image = {
            "entity": self.entity,
            "field_code": self.code,
            "field_name": self.raw["field_name"],
            "field_type": self.raw["field_type"],
        }
        return image | ({"options": self.options} if self.options else {})


async def list_fields(client: PipedriveClient, context: CallContext, entity: str) -> list[FieldDefinition]:
    """Lists all fields of an entity."""
    found: list[FieldDefinition] = []
    async for page in lists.by_cursor(client, f"{entity}_fields.list", context):
        found.extend(FieldDefinition(entity, raw) for raw in page if not raw.get("is_deleted"))
    return found


async def list_outcomes(client: PipedriveClient, context: CallContext) -> list[dict[str, Any]]:
    """Lists the outcomes activities may have, as `id` and `label`; none where the account does not have the field."""
    found = [one for one in await list_fields(client, context, "activity") if one.code == OUTCOME_FIELD]
    return [{"id": option_id, "label": label} for one in found for label, option_id in one.options.items()]


async def create_field(client: PipedriveClient, context: CallContext, entity: str, body: Mapping[str, Any]) -> FieldDefinition:
    """Creates a custom field; Pipedrive gives its code."""
    answer = await client.call(f"{entity}_fields.create", context, body=body)
    if not isinstance(answer.data, dict) or not answer.data.get("field_code"):
        raise OutcomeUnknownError("Pipedrive's answer to the new field names no code")
    return FieldDefinition(entity, answer.data)


async def rename_field(client: PipedriveClient, context: CallContext, entity: str, code: str, name: str) -> None:
    """Renames a custom field; type and options cannot be changed here."""
    await client.call(f"{entity}_fields.update", context, ids={"field_code": code}, body={"field_name": name})


async def delete_field(client: PipedriveClient, context: CallContext, entity: str, code: str) -> None:
    """Deletes a custom field; one that is gone already is deleted."""
    try:
        await client.call(f"{entity}_fields.delete", context, ids={"field_code": code})
    except GoneError:
        return


async def add_options(client: PipedriveClient, context: CallContext, entity: str, code: str, labels: Sequence[str]) -> dict[str, Any]:
    """Adds options in the order given; answers label → id of the new ones."""
    answer = await client.call(f"{entity}_fields.add_options", context, ids={"field_code": code}, body=[{"label": label} for label in labels])
    if not isinstance(answer.data, list):
        raise OutcomeUnknownError("Pipedrive's answer to the new options names none")
    return {str(option["label"]): option["id"] for option in answer.data}


async def delete_options(client: PipedriveClient, context: CallContext, entity: str, code: str, ids: Sequence[int]) -> None:
    """Deletes options by id, all or none: Pipedrive refuses the list when one id is unknown."""
    try:
        await client.call(f"{entity}_fields.delete_options", context, ids={"field_code": code}, body=[{"id": number} for number in ids])
    except GoneError:
        return


@dataclass(frozen=True, slots=True)
class NamedEntity:
    """Pipelines, stages and activity types: few, listed whole, told apart by name.

    Attributes:
        name: target entity.
        operations: prefix in the cost table.
        identity: fields that together are the name.
        kept: fields of the canonical image.
        is_version_1: whole list without cursor.
    """

    name: str
    operations: str
    identity: tuple[str, ...]
    kept: tuple[str, ...]
    is_version_1: bool = False

    def image(self, raw: Mapping[str, Any]) -> Image:
        """Answers the canonical image."""
        return {name: raw[name] for name in self.kept if raw.get(name) is not None}

    def is_same(self, raw: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
        """Whether a record of the account is the one meant."""
        return all(raw.get(name) == payload.get(name) for name in self.identity)

    async def list_all(self, client: PipedriveClient, context: CallContext) -> list[Raw]:
        """Lists all live records in the account's order."""
        name = f"{self.operations}.list"
        if self.is_version_1:
            answer = await client.call(name, context)
            return [raw for raw in answer.data or [] if raw.get("active_flag", True)]
        found: list[Raw] = []
        async for page in lists.by_cursor(client, name, context):
            found.extend(raw for raw in page if not raw.get("is_deleted"))
        return found

    async def create(self, client: PipedriveClient, context: CallContext, payload: Mapping[str, Any]) -> Raw:
        """Creates a record."""
        answer = await client.call(f"{self.operations}.create", context, body=dict(payload))
        if not isinstance(answer.data, dict) or not answer.data.get("id"):
            raise OutcomeUnknownError(f"Pipedrive's answer to {self.operations}.create names no id", is_answered=True)
        return answer.data

    async def update(self, client: PipedriveClient, context: CallContext, target_id: str, body: Mapping[str, Any]) -> None:
        """Changes fields of a record."""
        await client.call(f"{self.operations}.update", context, ids={"id": target_id}, body=dict(body))

    async def delete(self, client: PipedriveClient, context: CallContext, target_id: str) -> None:
        """Deletes a record; one that is gone already is deleted."""
        try:
            await client.call(f"{self.operations}.delete", context, ids={"id": target_id})
        except GoneError:
            return


PIPELINE: Final = NamedEntity(name="pipeline", operations="pipelines", identity=("name",), kept=("id", "name", "is_deal_probability_enabled"))
STAGE: Final = NamedEntity(
    name="stage", operations="stages", identity=("name", "pipeline_id"), kept=("id", "name", "pipeline_id", "deal_probability")
)
ACTIVITY_TYPE: Final = NamedEntity(
    name="activity_type", operations="activity_types", identity=("name",), kept=("id", "name", "key_string", "icon_key"), is_version_1=True
)


async def list_users(client: PipedriveClient, context: CallContext) -> list[Raw]:
    """Lists all users, active or not."""
    answer = await client.call("users.list", context)
    return list(answer.data or [])
