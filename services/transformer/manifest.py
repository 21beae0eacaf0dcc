"""The manifest: a confirmed mapping bound to one Pipedrive account (G-01), and the keys under which schema records stand in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from services.common.errors import MappingError
from services.transformer.mapping.reading import load_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping as MappingType

    from services.transformer.mapping.document import Mapping

FALLBACK_USER_KEY: Final = "user:schema/fallback"
PLACEHOLDER_ENTITY: Final = "placeholder"
"""Stands in keys where other records have their source entity."""


def custom_field_key(target_entity: str, field_id: str) -> str:
    """Key of a custom field's schema record."""
    return f"custom_field:schema/{target_entity}.{field_id}"


def option_key(target_entity: str, field_code: str, label: str) -> str:
    """Key of the schema record of an option of a built-in field (labels, categories)."""
    return f"field_option:schema/{target_entity}.{field_code}/{label}"


def pipeline_key(pipeline_id: str) -> str:
    """Key of a pipeline's schema record."""
    return f"pipeline:schema/{pipeline_id}"


def stage_key(pipeline_id: str, stage_id: str) -> str:
    """Key of a stage's schema record."""
    return f"stage:schema/{pipeline_id}.{stage_id}"


def activity_type_key(type_id: str) -> str:
    """Key of an activity type's schema record."""
    return f"activity_type:schema/{type_id}"


def placeholder_key(target_entity: str, name: str) -> str:
    """Key of a mapped record without a source record."""
    return f"{target_entity}:{PLACEHOLDER_ENTITY}/{name}"


def listed_user_key(source_entity: str, source_id: str) -> str:
    """Key of the user record made for a person the source lists no more."""
    return f"user:schema/{source_entity}-{source_id}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the transformer knows of the migration and the target account.

    Attributes:
        bindings: schema and user records that stand in Pipedrive: key → `{"target_id", "image"}`.
    """

    source_account: str
    mapping: Mapping
    bindings: MappingType[str, MappingType[str, Any]]
    target: MappingType[str, Any] = field(default_factory=dict)
    """The account as `InspectTarget` answered it."""

    def field_hash(self, target_entity: str, field_id: str) -> str | None:
        """Answer the key of a custom field in this account, None when it is not there."""
        return self._target_id(custom_field_key(target_entity, field_id))

    def field_options(self, target_entity: str, field_id: str) -> dict[str, int]:
        """Answer a custom field's options: label → id."""
        image = self._image(custom_field_key(target_entity, field_id))
        return {str(label): int(option_id) for label, option_id in (image.get("options") or {}).items()}

    def option_id(self, target_entity: str, field_code: str, label: str) -> int | None:
        """Answer the id of an option of a built-in field."""
        found = self._target_id(option_key(target_entity, field_code, label))
        return None if found is None else int(found)

    def stage_id(self, name: str) -> int | None:
        """Answer the id of a stage named `pipeline.stage`."""
        found = self._target_id(f"stage:schema/{name}")
        return None if found is None else int(found)

    def activity_type(self, type_id: str) -> str | None:
        """Answer the key string of an activity type."""
        found = self._image(activity_type_key(type_id)).get("key_string")
        return None if found is None else str(found)

    def outcome(self, label: str) -> int | None:
        """Answer the id of the account's activity outcome with this label, letters' case aside; None where there is none."""
        wanted = " ".join(label.casefold().split())
        outcomes = self.target.get("activity_outcomes") or []
        return next((int(one["id"]) for one in outcomes if " ".join(str(one["label"]).casefold().split()) == wanted), None)

    @property
    def external_id_prefix(self) -> str:
        """What stands before `{entity}/{id}` in the external-id field."""
        return f"{self.source_account}/"

    @property
    def base_url(self) -> str:
        """Where people see the account."""
        domain = str((self.target.get("company") or {}).get("company_domain") or "app")
        return f"https://{domain}.pipedrive.com"

    def _target_id(self, key: str) -> str | None:
        binding = self.bindings.get(key)
        target_id = binding.get("target_id") if binding else None
        return None if target_id is None else str(target_id)

    def _image(self, key: str) -> MappingType[str, Any]:
        binding = self.bindings.get(key)
        return (binding.get("image") or {}) if binding else {}


def read_manifest(content: bytes) -> Manifest:
    """Read a manifest as the ledger keeps it.

    Raises:
        MappingError: it is broken, or its mapping cannot be read.
    """
    try:
        document = orjson.loads(content)
        return Manifest(
            source_account=str(document["source_account"]),
            mapping=load_mapping(document["mapping_yaml"]),
            bindings=document.get("bindings") or {},
            target=document.get("target") or {},
        )
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise MappingError(f"the manifest is not readable: {error!r}") from error
