"""Where the web application shows a field and asks for it. Stored and shown again; nothing in the API depends on it."""

from typing import Any

from sandbox.pipedrive.account.schema import Check, Problems, array, boolean, integer, not_a, nullable, one_of
from sandbox.pipedrive.store.store import Record

_DIALOG: Record = {"show": False, "order": None}
_SEEN: Record = {"add_visible_flag": False, "details_visible_flag": True}
_IMPORTANT: Record = {"enabled": False, "stage_ids": []}
SETTINGS: dict[str, dict[str, Record]] = {
    "deal": {
        "ui_visibility": {**_SEEN, "projects_detail_visible_flag": False, "show_in_pipelines": {"show_in_all": True, "pipeline_ids": []}},
        "important_fields": _IMPORTANT,
        "required_fields": {"enabled": False, "stage_ids": [], "statuses": {}},
    },
    "person": {
        "ui_visibility": {**_SEEN, "show_in_add_deal_dialog": _DIALOG},
        "important_fields": _IMPORTANT,
        "required_fields": {"enabled": False},
    },
    "organization": {
        "ui_visibility": {**_SEEN, "show_in_add_deal_dialog": _DIALOG, "show_in_add_person_dialog": _DIALOG},
        "important_fields": _IMPORTANT,
        "required_fields": {"enabled": False},
    },
    "product": {"ui_visibility": _SEEN},
    "activity": {"ui_visibility": _SEEN},
}
"""Settings of the fields of each kind of record, with their documented defaults."""
_statuses = array(one_of("won", "lost"))


def check_of(default: Any) -> Check:
    """Return the check of a setting that looks like its default. Keys that are not known are left out, as the specification allows any."""
    match default:
        case bool():
            return boolean
        case None:
            return nullable(integer)
        case list():
            return array(integer)
        case _:
            parts = {name: check_of(part) for name, part in default.items()}

    def check(value: Any, path: str, problems: Problems) -> Any:
        if type(value) is not dict:
            problems.add(path, not_a("object"))
            return value
        if not parts:  # the won and lost statuses by pipeline
            return {str(name): _statuses(item, f"{path}.{name}", problems) for name, item in value.items()}
        return {name: part(value[name], f"{path}.{name}", problems) for name, part in parts.items() if name in value}

    return check


def filled_in(default: Record, stored: Record) -> Record:
    """Return a setting with the default of every part that was not given."""
    shown = dict(default)
    for name, value in stored.items():
        part = default.get(name)
        shown[name] = filled_in(part, value) if isinstance(part, dict) and part else value
    return shown
