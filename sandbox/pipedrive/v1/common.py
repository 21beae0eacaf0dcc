"""What version 1 operations have in common: lenient bodies, offset paging, and lists that are null when empty."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.gateway.call import Call, Result
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.store.store import Record
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


def lead_link(account: Account, value: Any) -> str | None:
    """Read the id of a lead, a text; None for null and the empty text.

    Raises:
        ApiError: 400 when there is no such lead.
    """
    if value is None or value == "":
        return None
    lead = account.lead(value)
    if lead is None:
        raise bad_request(f"Lead {value} not found")
    return str(lead["uuid"])


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
    call: Call,
    records: Iterable[Record],
    render: Callable[[Record], dict[str, Any]],
    sorts: tuple[str, ...] | Mapping[str, str],
    limit_max: int = LIMIT_MAX,
) -> Result:
    """Answer a list with `start`, `limit` and `sort`. An empty list is null.

    Args:
        call: The call, for its query.
        records: What the list is about; read only as far as the page goes when no order is asked for.
        render: How one is shown.
        sorts: Columns that can be sorted by, or their names in version 1 with the column of each.
        limit_max: Longest page.
    """
    start = integer_of(call.query.get("start"), "start") or 0
    limit = integer_of(call.query.get("limit"), "limit") or min(LIMIT_DEFAULT, limit_max)
    limit = min(limit, limit_max)  # version 1 cuts a larger limit (assumed)
    columns = sorts if isinstance(sorts, Mapping) else {name: name for name in sorts}
    found = list(islice(_sorted(records, call.query.get("sort", ""), columns), start, start + limit + 1))
    has_more, found = len(found) > limit, found[:limit]
    pagination: dict[str, Any] = {"start": start, "limit": limit, "more_items_in_collection": has_more}
    if has_more:
        pagination["next_start"] = start + limit
    return Result({"success": True, "data": [render(record) for record in found] or None, "additional_data": {"pagination": pagination}})


def _sorted(records: Iterable[Record], sort: str, columns: Mapping[str, str]) -> Iterable[Record]:
    """Order by a list such as `add_time DESC, id ASC`; names that are not known are refused."""
    for part in reversed([part.split() for part in sort.split(",") if part.strip()]):
        name, direction = part[0], (part[1].upper() if len(part) > 1 else "ASC")
        if name not in columns or direction not in {"ASC", "DESC"}:
            raise bad_request(f"Sorting by '{' '.join(part)}' is not possible")
        records = sorted(records, key=partial(_rank, columns[name]), reverse=direction == "DESC")
    return records


def _rank(column: str, record: Record) -> tuple[bool, Any]:
    """Order nulls before everything else."""
    value = record[column]
    return (value is not None, 0 if value is None else value)


def times(record: Record) -> dict[str, Any]:
    """Return the times of a record in version 1 form."""
    return {"add_time": v1_time(record["add_time"]), "update_time": v1_time(record["update_time"])}


def milliseconds(text: str) -> str:
    """Return a stored time with milliseconds, as the younger parts of version 1 write it."""
    return text[:19] + ".000Z"
