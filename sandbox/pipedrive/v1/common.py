"""What version 1 operations have in common: lenient bodies, offset paging, and lists that are null when empty."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from sandbox.pipedrive.call import Call, Result
from sandbox.pipedrive.clock import v1_time
from sandbox.pipedrive.errors import bad_request
from sandbox.pipedrive.store import Record
from sandbox.pipedrive.v2.listing import DIGITS_MAX

LIMIT_DEFAULT = 100
LIMIT_MAX = 500
FILES_LIMIT_MAX = 100


def body_of(call: Call) -> dict[str, Any]:
    """Return a JSON or form body as an object. Unknown keys are ignored by version 1."""
    if call.request.header(b"content-type").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(call.request.body.decode("utf-8", "replace"), keep_blank_values=True))
    body = call.json()
    if type(body) is not dict:
        raise bad_request("Request body must be an object")
    return body


def integer_of(value: Any, name: str) -> int | None:
    """Read an id, which version 1 takes as a number or as text; None for null and the empty text.

    Raises:
        ApiError: 400 for anything else.
    """
    if value is None or value == "":
        return None
    if type(value) is int:
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX:
        return int(value)
    raise bad_request(f"{name} must be an integer")


def ids_of(call: Call) -> list[int]:
    """Read the ids of a bulk operation, each once.

    Raises:
        ApiError: 400 when there are none or one is not a number.
    """
    found = [integer_of(part.strip(), "ids") for part in call.query.get("ids", "").split(",")]
    wanted = [record_id for record_id in dict.fromkeys(found) if record_id is not None]
    if not wanted:
        raise bad_request("ids must be given.")
    return wanted


def paged(
    call: Call, records: Iterable[Record], render: Callable[[Record], dict[str, Any]], sorts: tuple[str, ...], limit_max: int = LIMIT_MAX
) -> Result:
    """Answer a list with `start`, `limit` and `sort`. An empty list is null."""
    start = integer_of(call.query.get("start"), "start") or 0
    limit = integer_of(call.query.get("limit"), "limit") or min(LIMIT_DEFAULT, limit_max)
    limit = min(limit, limit_max)  # version 1 cuts a larger limit (assumed)
    chosen = _sorted(list(records), call.query.get("sort", ""), sorts)
    shown = [render(record) for record in chosen[start : start + limit]]
    pagination: dict[str, Any] = {"start": start, "limit": limit, "more_items_in_collection": start + limit < len(chosen)}
    if pagination["more_items_in_collection"]:
        pagination["next_start"] = start + limit
    return Result({"success": True, "data": shown or None, "additional_data": {"pagination": pagination}})


def _sorted(records: list[Record], sort: str, allowed: tuple[str, ...]) -> list[Record]:
    """Order by a list such as `add_time DESC, id ASC`; names that are not allowed are refused."""
    for part in reversed([part.split() for part in sort.split(",") if part.strip()]):
        column, direction = part[0], (part[1].upper() if len(part) > 1 else "ASC")
        if column not in allowed or direction not in {"ASC", "DESC"}:
            raise bad_request(f"Sorting by '{' '.join(part)}' is not possible")
        records.sort(key=lambda record: (record[column] is not None, record[column] or 0), reverse=direction == "DESC")
    return records


def times(record: Record) -> dict[str, Any]:
    """Return the times of a record in version 1 form."""
    return {"add_time": v1_time(record["add_time"]), "update_time": v1_time(record["update_time"])}
