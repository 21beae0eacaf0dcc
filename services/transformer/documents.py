"""JSON documents in requests: the target account as `InspectTarget` answers it, and the connector's options. Their shape is checked here."""

from __future__ import annotations

from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from services.common.errors import InvalidRequestError

_WHOLE: Final = ("calls_per_minute", "calls_per_day")


class _Part(BaseModel):
    """Only what we read is checked; what else stands there is left as it is."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _User(_Part):
    id: int | None = None
    name: str | None = None
    email: str | None = None
    active_flag: bool | None = None


class _Option(_Part):
    id: int | str | None = None
    label: str | None = None


class _Field(_Part):
    field_code: str | None = None
    field_name: str | None = None
    field_type: str | None = None
    is_custom_field: bool | None = None
    options: list[_Option] | None = None


class _Named(_Part):
    id: int | str | None = None
    name: str | None = None
    key_string: str | None = None
    pipeline_id: int | None = None


class _Outcome(_Part):
    id: int
    label: str


class _TokenUser(_Part):
    name: str | None = None
    email: str | None = None
    is_admin: bool | None = None


class _Company(_Part):
    company_domain: str | None = None


class _Counts(_Part):
    custom_fields: int | None = None
    open_deals: int | None = None


class _Account(_Part):
    company: _Company | None = None
    token_user: _TokenUser | None = None
    users: list[_User] | None = None
    fields: dict[str, list[_Field]] | None = None
    pipelines: list[_Named] | None = None
    stages: list[_Named] | None = None
    activity_types: list[_Named] | None = None
    activity_outcomes: list[_Outcome] | None = None
    counts: _Counts | None = None
    caps: _Counts | None = None
    quota: dict[str, Any] | None = None


def read_target(target_json: bytes) -> dict[str, Any]:
    """Answers the target account; empty: one nobody looked at.

    Raises:
        InvalidRequestError: it is not as `InspectTarget` answers it; the message names the place.
    """
    document = _object(target_json, "target_json")
    try:
        _Account.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part)[:100] for part in ("target_json", *first["loc"]))
        raise InvalidRequestError(f"{place}: {first['msg']}") from None
    return document


def read_connector_options(text: str) -> dict[str, Any]:
    """Answers the connector's options as far as a profile needs them.

    Raises:
        InvalidRequestError: they are no JSON object, or a limit is no whole number.
    """
    options = _object(text, "connector_json")
    for name in _WHOLE:
        value = options.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InvalidRequestError(f"connector_json.{name}: must be a whole number from 0")
    return options


def _object(text: str | bytes, field: str) -> dict[str, Any]:
    try:
        document = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"{field} is not JSON") from error
    if not isinstance(document, dict):
        raise InvalidRequestError(f"{field} must be an object")
    return document
