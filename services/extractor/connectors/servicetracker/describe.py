"""Discovery (G-07): what objects and fields an org has, as far as its user may see them, in the form they are frozen in.

Objects are the records of `object_description`, with the entity that reads them; fields those of `field_description`, with label, type, picklist
values and what they refer to. Proposals are made from them, and a reading that was interrupted goes on by them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.common import telemetry
from services.extractor.connectors.servicetracker.client import CallRefusedError, OrgClient, forbidden
from services.extractor.connectors.servicetracker.errors import Reaction
from services.extractor.connectors.servicetracker.ids import PREFIX_LENGTH
from services.extractor.connectors.servicetracker.options import Options
from services.extractor.connectors.servicetracker.roles import ROLES, Binding, bind, namespace_of

CUSTOM_RECORD: Final = "custom_record"
"""Entity of the rows of objects that play no role."""
FILE_OBJECTS: Final[Mapping[str, str]] = {
    "RecordType": "record_type",
    "Attachment": "attachment",
    "ContentVersion": "content_version",
    "ContentDocumentLink": "",
    "ContentNote": "content_note",
}
"""Objects of the platform that play no role but are read, with the entity that reads them."""
SKIPPED_TYPES: Final = frozenset({"base64", "address", "location", "complexvalue"})
"""Field types that are not selected: bytes are downloaded apart, and compounds stand in their parts too."""
_NOISE: Final = re.compile(r"__(?:History|Share|Feed|ChangeEvent|Tag|VoteStat|mdt|e|x|b|kav)$")
_COUNT_NAMES: Final = 100
"""Objects in one call for counts."""
_log = telemetry.get_logger(__name__)


async def discover(client: OrgClient, options: Options) -> list[dict[str, Any]]:
    """Ask the org what it has; one call for the list, one for each object that may be of use, and one for every hundred counts.

    Raises:
        EntityForbiddenError: The user may not see the list of objects.
    """
    try:
        listed = (await client.get("/sobjects"))["sobjects"]
    except CallRefusedError as error:
        raise forbidden("the list of objects", error.failure) from error
    wanted = [one for one in listed if _is_wanted(one, options)]
    counts = await _counts(client, [one["name"] for one in wanted])
    described = []
    for one in wanted:
        try:
            detail = await client.get(f"/sobjects/{one['name']}/describe")
        except CallRefusedError as error:
            if error.failure.reaction is not Reaction.RIGHT:
                raise forbidden(one["name"], error.failure) from error
            _log.warning("source.object_closed", object=one["name"], code=error.failure.code)
            continue
        described.append(_description(one, detail, counts))
    bound = bind(described, options.roles)
    return _with_entities(described, bound, options)


def _is_wanted(summary: Mapping[str, Any], options: Options) -> bool:
    name = summary["name"]
    standard = {known for role in ROLES for known in role.standard} | FILE_OBJECTS.keys()
    named = {role.object for role in options.roles.values() if role is not None}
    if not summary.get("queryable") or summary.get("deprecatedAndHidden") or summary.get("customSetting"):
        return False
    return name in standard or name in named or (bool(summary.get("custom")) and not _NOISE.search(name))


async def _counts(client: OrgClient, names: list[str]) -> dict[str, int]:
    """Ask how many rows there are, roughly. Without an answer nothing is known, which costs no more than a plan."""
    found: dict[str, int] = {}
    for start in range(0, len(names), _COUNT_NAMES):
        try:
            answer = await client.get("/limits/recordCount", {"sObjects": ",".join(names[start : start + _COUNT_NAMES])})
        except CallRefusedError:
            return found
        found |= {one["name"]: int(one["count"]) for one in answer.get("sObjects") or []}
    return found


def _description(summary: Mapping[str, Any], detail: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    name = summary["name"]
    return {
        "name": name,
        "label": summary.get("label") or name,
        "label_plural": summary.get("labelPlural") or "",
        "key_prefix": summary.get("keyPrefix") or "",
        "is_custom": bool(summary.get("custom")),
        "is_replicateable": bool(summary.get("replicateable")),
        "namespace": namespace_of(name),
        "count": counts.get(name),
        "record_types": [one.get("developerName") or one.get("name") for one in detail.get("recordTypeInfos") or []],
        "fields": [_field(one) for one in detail.get("fields") or []],
    }


def _field(described: Mapping[str, Any]) -> dict[str, Any]:
    name = described["name"]
    return {
        "name": name,
        "label": described.get("label") or name,
        "type": described.get("type") or "string",
        "length": described.get("length") or 0,
        "values": [one["value"] for one in described.get("picklistValues") or [] if one.get("active", True)],
        "refers_to": list(described.get("referenceTo") or []),
        "is_custom": bool(described.get("custom")),
        "is_calculated": bool(described.get("calculated")),
        "is_filterable": bool(described.get("filterable", True)),
        "namespace": namespace_of(name),
        "help": described.get("inlineHelpText") or "",
    }


def _with_entities(described: list[dict[str, Any]], bound: Mapping[str, Binding], options: Options) -> list[dict[str, Any]]:
    """Say of each object which entity reads it, and of each reference to which entities it leads."""
    binding_of = {one.object: one for one in bound.values()}
    entity_of: dict[str, str] = {}
    for one in described:
        binding = binding_of.get(one["name"])
        otherwise = CUSTOM_RECORD if one["is_custom"] and options.custom_objects else ""
        entity_of[one["name"]] = binding.role if binding else FILE_OBJECTS.get(one["name"], otherwise)
    for one in described:
        binding = binding_of.get(one["name"])
        one["entity"] = entity_of[one["name"]]
        one["score"] = binding.score if binding else None
        one["reason"] = binding.reason if binding else ""
        one["filter"] = binding.option.filter if binding and binding.option else ""
        meanings = {api_name: meaning for meaning, api_name in (binding.option.fields if binding and binding.option else {}).items()}
        for field in one["fields"]:
            field["leads_to"] = sorted({entity for name in field["refers_to"] if (entity := entity_of.get(name, ""))})
            if field["name"] in meanings:
                field["meaning"] = meanings[field["name"]]
    return [one for one in described if one["entity"] or one["name"] in FILE_OBJECTS]


def field_rows(objects: Iterable[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Answer the fields of all objects as records, by id."""
    return [
        (f"{one['name']}.{field['name']}", {"object": one["name"], "object_label": one["label"], "entity": one["entity"], **field})
        for one in objects
        for field in one["fields"]
    ]


def object_rows(objects: Iterable[Mapping[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Answer the objects as records, by id; their fields are records of their own."""
    return [(one["name"], {name: value for name, value in one.items() if name != "fields"}) for one in objects]


def joined(objects: Iterable[Mapping[str, Any]], fields: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put the frozen objects and fields together again."""
    by_object: dict[str, list[Mapping[str, Any]]] = {}
    for field in fields:
        by_object.setdefault(field["object"], []).append(field)
    return [{**one, "fields": by_object.get(one["name"], [])} for one in objects]


class Objects:
    """The described objects, ready to be asked."""

    def __init__(self, descriptions: Iterable[Mapping[str, Any]]) -> None:
        self.all = list(descriptions)
        self.by_name = {one["name"]: one for one in self.all}
        self.by_entity: dict[str, list[Mapping[str, Any]]] = {}
        for one in self.all:
            if one["entity"]:
                self.by_entity.setdefault(one["entity"], []).append(one)
        roles = {role.name for role in ROLES}
        self._entity_of_prefix = {one["key_prefix"]: one["entity"] for one in self.all if one["entity"] in roles and one["key_prefix"]}

    def entity_of(self, row_id: str) -> str:
        """Answer the role of the row with this id, told by its first characters; empty for none."""
        return str(self._entity_of_prefix.get(row_id[:PREFIX_LENGTH], ""))

    @staticmethod
    def columns(described: Mapping[str, Any]) -> list[str]:
        """Answer the fields to select, the id first."""
        names = [one["name"] for one in described["fields"] if one["type"] not in SKIPPED_TYPES and one["name"] != "Id"]
        return ["Id", *names]

    @staticmethod
    def stamp(described: Mapping[str, Any]) -> str:
        """Answer the field that moves with every change; empty where the object has none."""
        names: set[str] = {one["name"] for one in described["fields"] if one["is_filterable"]}
        return next((name for name in ("SystemModstamp", "LastModifiedDate") if name in names), "")
