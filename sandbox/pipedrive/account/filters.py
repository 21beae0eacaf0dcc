"""Saved filters: the check of their conditions, and whether a record fulfils them.

Conditions have one shape (official): a group of `and` around one group of `and` and one of `or`, each with lines; 16 lines at most.
"""

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.filter_operators import OperandError, group_of, is_operator, test_of
from sandbox.pipedrive.gateway.call import DIGITS_MAX
from sandbox.pipedrive.gateway.errors import ApiError, bad_request
from sandbox.pipedrive.store.store import Record

Condition = Callable[[Record], bool]

CONDITIONS_MAX = 16
KINDS = {
    "deals": "deal", "leads": "lead", "org": "organization", "people": "person", "products": "product", "activity": "activity",
    "projects": "project",
}  # fmt: skip
"""Kind of record a filter of each type picks."""
_LINKS: dict[str, dict[str, str]] = {
    "deal": {"person": "person_id", "organization": "org_id"},
    "lead": {"person": "person_id", "organization": "organization_id"},
    "person": {"organization": "org_id"},
    "activity": {"deal": "deal_id", "person": "person_id", "organization": "org_id"},
}
"""Other objects whose fields a filter may ask for, by the column that leads to them (which ones there are is assumed)."""
_FIELDS_OF = {"lead": "deal"}
"""Leads have the fields of deals."""
_COLUMNS = {
    ("person", "email"): "emails", ("person", "phone"): "phones", ("lead", "org_id"): "organization_id",
}  # fmt: skip
_LINE_KEYS = frozenset({"object", "field_id", "operator", "value", "extra_value", "json_value_flag", "field_code"})


def check_conditions(account: Account, type_: str, conditions: Any) -> Record:
    """Return conditions as they are stored.

    Raises:
        ApiError: 400 when the shape, an object, a field, an operator or a value is wrong (texts assumed but the one for too many lines).
    """
    if type(conditions) is not dict or conditions.get("glue") != "and" or type(conditions.get("conditions")) is not list:
        raise bad_request("Conditions must be one group glued with 'and'")
    groups = conditions["conditions"]
    if not all(type(group) is dict and type(group.get("conditions")) is list for group in groups):
        raise bad_request("Conditions must be given as groups of conditions")
    if sorted(str(group.get("glue")) for group in groups) != ["and", "or"]:
        raise bad_request("Conditions must have two groups, one glued with 'and' and one with 'or'")
    if sum(len(group["conditions"]) for group in groups) > CONDITIONS_MAX:
        raise bad_request(f"Filter is allowed to have at most {CONDITIONS_MAX} conditions")
    return {
        "glue": "and",
        "conditions": [
            {"glue": group["glue"], "conditions": [_line(account, KINDS[type_], line) for line in group["conditions"]]} for group in groups
        ],
    }


def _line(account: Account, kind: str, line: Any) -> Record:
    if type(line) is not dict or not line.keys() <= _LINE_KEYS or not {"object", "field_id", "operator"} <= line.keys():
        raise bad_request("A condition needs object, field_id and operator, and may have value and extra_value")
    object_, operator = line["object"], line["operator"]
    if type(object_) is not str or (object_ != kind and object_ not in _LINKS.get(kind, {}) and object_ != _FIELDS_OF.get(kind)):
        raise bad_request(f"Object '{object_}' can not be used in this filter")
    field = _field(account, line["field_id"])
    if field is None or field["is_deleted"] or field["entity"] != _FIELDS_OF.get(object_, object_):
        raise bad_request(f"Field '{line['field_id']}' of object '{object_}' not found")
    group = group_of(field)
    if type(operator) is not str or not is_operator(group, operator):
        raise bad_request(f"Operator '{operator}' can not be used on field '{line['field_id']}'")
    value, extra = _operand(line.get("value")), _operand(line.get("extra_value"))
    try:
        test_of(group, operator, value, account.clock.today())
    except OperandError as error:
        raise bad_request(f"Condition on field '{line['field_id']}': {error}") from error
    return {"object": object_, "field_id": str(field["id"]), "operator": operator, "value": value, "extra_value": extra}


def _field(account: Account, field_id: Any) -> Record | None:
    """Return the field with a numeric id, which is the one of version 1."""
    if type(field_id) is str and field_id.isascii() and field_id.isdigit() and len(field_id) <= DIGITS_MAX:
        field_id = int(field_id)
    return account.store["field"].get(field_id) if type(field_id) is int else None


def _operand(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    if type(value) in (int, float, bool):
        return str(int(value) if type(value) is bool else value)
    raise bad_request("The value of a condition must be a text, a number or null")


def condition_of(account: Account, filter_id: int, kind: str) -> Condition:
    """Return what a record must fulfil to be picked by a saved filter.

    Args:
        account: The account the filter is saved in.
        filter_id: Its id.
        kind: Kind of the records listed, a key of `kinds.KINDS`.

    Raises:
        ApiError: 404 for an unknown filter, 400 for one of other records (both assumed).
    """
    found = account.live("filter", filter_id)
    if found is None:
        raise ApiError(404, "Filter not found", info="Object was not found.")
    if KINDS[found["type"]] != kind:
        raise bad_request(f"Filter {filter_id} is not for {kind}s")
    groups = [_group(account, kind, group) for group in found["conditions"]["conditions"]]
    return lambda record: all(group(record) for group in groups)


def _group(account: Account, kind: str, group: Record) -> Condition:
    """Return the condition of one group; one without lines lets every record through."""
    lines = [_compiled(account, kind, line) for line in group["conditions"]]
    if group["glue"] == "and" or not lines:
        return lambda record: all(line(record) for line in lines)
    return lambda record: any(line(record) for line in lines)


def _compiled(account: Account, kind: str, line: Record) -> Condition:
    field = account.store["field"].get(int(line["field_id"]))
    assert field is not None  # noqa: S101 - definitions are never removed, only marked
    test = test_of(group_of(field), line["operator"], line["value"], account.clock.today())
    read = _reader(account, kind, line["object"], field)
    return lambda record: test(read(record))


def _reader(account: Account, kind: str, object_: str, field: Record) -> Callable[[Record], Any]:
    """Return how a line finds its value in a record, or in a record this one is linked to."""
    code: str = field["field_code"]
    link = _LINKS.get(kind, {}).get(object_)
    column: str = _COLUMNS.get((object_, code), code)
    if field["is_deleted"]:
        return lambda _: None  # the values of a deleted field are gone

    def value(record: Record) -> Any:
        return record["custom_fields"].get(code) if field["is_custom_field"] else record.get(column)

    if link is None:
        return value
    table = account.store[object_]

    def linked(record: Record) -> Any:
        other = table.get(record[link] or 0)
        return None if other is None else value(other)

    return linked
