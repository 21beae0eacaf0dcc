"""Sheets of decisions for the whole migration: policies, pipelines with their stages, value maps, owners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from services.transformer.mapping.matching import EntityMatching
from services.transformer.mapping.policies import Policies
from services.transformer.workbook.sheet import Column, Edit, Refused, Row, Sheet, choice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.workbook.layer import Layer
    from services.transformer.workbook.sheet import Cell
    from services.transformer.workbook.survey import Survey

STATUSES: Final = ("open", "won", "lost")
_ABOUT: Final[Mapping[str, str]] = {
    "archived": "records the source has archived: leave them out (skip) or move them too (load)",
    "deleted": "records the source has deleted: leave them out (skip) or move them too (load)",
    "deal_value": "of documents that follow one another: only the last one carries the value (chain_end), or each its own (every)",
    "unmatched_owner": "records of people without a Pipedrive user: to the fallback owner, flagged (fallback), or they wait for a decision (wait)",
    "fallback_owner": "e-mail of the fallback owner; empty: the user whose API token is used",
    "oversize_files": "files over the limit: wait for review (flag), a note says what and where they are (link), or they are moved in parts (split)",
    "default_currency": "currency of amounts that carry none, as a code of three letters",
    "time_zone": "time zone of times that carry none, e.g. Europe/Madrid",
    "phone_format": "telephone numbers as they are written (as_written), or in the international form (e164)",
    "recurrence_from": "first day of the window in which what comes again is made, e.g. 2026-03-01; empty: the day of the audit",
    "recurrence_window_months": "months ahead for which what comes again is made",
    "recurrence_past_months": "months back for which past occurrences are kept",
    "recurrence_cap": "occurrences of one record at most",
    "phone_region": "country of telephone numbers without a country code, as two letters; empty: none",
}


_MATCHED: Final = ("organization", "person", "product")
_MATCHING_ABOUT: Final[Mapping[str, str]] = {
    "policy": "one that Pipedrive has already: create another, match (link to it), match_and_fill (fill empty fields too), update (source wins)",
    "within_source": "one that comes twice in the source: keep both (keep_all), take the later for the first (merge_into_first), or ask (review)",
}


def policies_sheet(mapping: MappingModel, target: Mapping[str, Any]) -> Sheet:
    """One row for each decision."""
    sheet = Sheet(
        "Policies",
        "Decisions that hold for the whole migration.",
        (
            Column("Decision", width=26),
            Column("Value", "What is decided; allowed values stand beside it.", 26, is_editable=True),
            Column("Allowed", width=34),
            Column("What it means", width=80),
        ),
    )
    users = tuple(sorted(str(user.get("email")) for user in target.get("users") or [] if user.get("active_flag") and user.get("email")))
    for name, info in Policies.model_fields.items():
        value = getattr(mapping.policies, name)
        if isinstance(value, (dict, list)):
            continue
        words = _literals(info.annotation)
        allowed = words or (users if name == "fallback_owner" else ())
        edit = Edit(_policy_edit(name, info.annotation, allowed), f"policies.{name}", tuple(allowed))
        cells: dict[str, Cell] = {
            "Decision": name,
            "Value": "" if value is None else str(value),
            "Allowed": " | ".join(words),
            "What it means": _ABOUT.get(name, ""),
        }
        sheet.rows.append(Row(name, cells, {"Value": edit}))
    for name, one in mapping.choices.items():
        edit = Edit(_choice_edit(name, tuple(one.allowed)), f"choices.{name}", tuple(one.allowed))
        sheet.rows.append(
            Row(
                f"choice/{name}",
                {"Decision": name, "Value": one.value, "Allowed": " | ".join(one.allowed), "What it means": one.says},
                {"Value": edit},
            )
        )
    sheet.rows.extend(_matching_rows(mapping))
    return sheet


def _matching_rows(mapping: MappingModel) -> Iterator[Row]:
    """Make rows of what is done with records that exist already."""
    for entity in _MATCHED:
        own = getattr(mapping.matching, entity) or EntityMatching()
        for name, words in _MATCHING_ABOUT.items():
            allowed = _literals(EntityMatching.model_fields[name].annotation)
            keys = ("matching", entity, name)
            cells: dict[str, Cell] = {
                "Decision": f"{entity}: {name}",
                "Value": str(getattr(own, name)),
                "Allowed": " | ".join(allowed),
                "What it means": words,
            }
            yield Row(f"matching/{entity}.{name}", cells, {"Value": Edit(_word_edit(keys, allowed), ".".join(keys), allowed)})


def _word_edit(keys: tuple[str, ...], allowed: tuple[str, ...]) -> Any:
    def apply(layer: Layer, written: str) -> None:
        layer.set(keys, choice(written, allowed))

    return apply


def _choice_edit(name: str, allowed: tuple[str, ...]) -> Any:
    def apply(layer: Layer, written: str) -> None:
        layer.set(("choices", name, "value"), choice(written, allowed))

    return apply


def _literals(annotation: Any) -> tuple[str, ...]:
    """Answer the words an annotation allows, empty where any text may stand."""
    if get_origin(annotation) is Literal:
        return tuple(str(word) for word in get_args(annotation))
    return tuple(word for part in get_args(annotation) if get_origin(part) is Literal for word in _literals(part))


def _policy_edit(name: str, annotation: Any, allowed: Sequence[str]) -> Any:
    is_optional = type(None) in get_args(annotation)

    def apply(layer: Layer, written: str) -> None:
        text = written.strip()
        if allowed:
            text = choice(text, allowed, may_be_empty=is_optional)
        if not text and not is_optional:
            raise Refused("must not be empty", allowed)
        value: Any = text or None
        if value is not None and int in (annotation, *get_args(annotation)) and bool is not annotation:
            value = _whole_number(text)
        # Null would take the key away; what is empty by default is so without it.
        layer.set(("policies", name), value)

    return apply


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise Refused(f"{text!r} is no whole number") from error


def pipelines_sheet(mapping: MappingModel) -> Sheet:
    """One row for each pipeline and each of its stages."""
    sheet = Sheet(
        "Pipelines",
        "Pipelines and stages as they will be named in Pipedrive. One that has the name already is used.",
        (Column("Pipeline", width=26), Column("Stage id", width=26), Column("Name", "The name in Pipedrive.", 36, is_editable=True)),
    )
    for pipeline_id, pipeline in mapping.schema_.pipelines.items():
        keys: tuple[str, ...] = ("schema", "pipelines", pipeline_id, "name")
        sheet.rows.append(Row(f"pipeline/{pipeline_id}", {"Pipeline": pipeline_id, "Name": pipeline.name}, {"Name": _name_edit(keys)}))
        for stage_id, name in pipeline.stages.items():
            keys = ("schema", "pipelines", pipeline_id, "stages", stage_id)
            cells: dict[str, Cell] = {"Pipeline": pipeline_id, "Stage id": stage_id, "Name": name}
            sheet.rows.append(Row(f"stage/{pipeline_id}.{stage_id}", cells, {"Name": _name_edit(keys)}))
    return sheet


def _name_edit(keys: tuple[str, ...]) -> Edit:
    def apply(layer: Layer, written: str) -> None:
        if not written.strip():
            raise Refused("Pipedrive refuses an empty name")
        layer.set(keys, written.strip())

    return Edit(apply, ".".join(keys))


def value_maps_sheet(mapping: MappingModel, survey: Survey) -> Sheet:
    """One row for each value of the source, those without a meaning yet included."""
    columns = list(
        dict.fromkeys(name for table in mapping.value_maps.values() for entry in table.values() if isinstance(entry, dict) for name in entry)
    )
    means = [name for name in columns if name != "remark"]
    sheet = Sheet(
        "Value maps",
        "What a value of the source means in Pipedrive. Records with a value that means nothing wait for a decision.",
        (
            Column("Map", width=24),
            Column("Value in the source", width=36),
            Column("Records without a meaning", width=14),
            *(Column(_heading(name), width=30, is_editable=True) for name in means),
            Column("Means", "For maps with a single meaning.", 30, is_editable=True),
            Column("Remark", width=60),
        ),
    )
    for map_name, table in mapping.value_maps.items():
        known = {value.casefold().strip() for value in table}
        missing = {value: None for value in survey.unmapped.get(map_name, {}) if value.casefold() not in known}
        has_columns = _columns_of(table)
        if not has_columns and not table:
            has_columns = _columns_asked_for(mapping, map_name)
        for value, entry in {**table, **missing}.items():
            cells: dict[str, Any] = {"Map": map_name, "Value in the source": value}
            if value in missing:
                cells["Records without a meaning"] = survey.unmapped[map_name][value]
            row = Row(f"{map_name}/{value}", cells)
            for name in has_columns:
                allowed = _allowed(mapping, table, name)
                found = entry.get(name) if isinstance(entry, dict) else None
                row.cells[_heading(name)] = "" if found is None else _written(found)
                row.edits[_heading(name)] = _value_edit(map_name, value, name, allowed)
            if not has_columns:
                row.cells["Means"] = "" if entry is None else _written(entry)
                row.edits["Means"] = _value_edit(map_name, value, "", ())
            if isinstance(entry, dict):
                row.cells["Remark"] = str(entry.get("remark") or "")
            sheet.rows.append(row)
    return sheet


def _heading(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns_of(table: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for entry in table.values() if isinstance(entry, dict) for name in entry if name != "remark"))


def _columns_asked_for(mapping: MappingModel, map_name: str) -> list[str]:
    """Answer the columns the proposal fills, for a map that is still empty."""
    return ["stage", "status"] if any(group.value_map == map_name for one in mapping.propose.states for group in one.groups.values()) else []


def _allowed(mapping: MappingModel, table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    if name == "stage":
        return tuple(f"{pipeline_id}.{stage_id}" for pipeline_id, pipeline in mapping.schema_.pipelines.items() for stage_id in pipeline.stages)
    if name == "status" and all(entry.get(name) in (None, *STATUSES) for entry in table.values() if isinstance(entry, dict)):
        return STATUSES
    return ()


def _value_edit(map_name: str, value: str, column: str, allowed: tuple[str, ...]) -> Edit:
    keys = ("value_maps", map_name, value, *([column] if column else []))

    def apply(layer: Layer, written: str) -> None:
        text = choice(written, allowed, may_be_empty=True) if allowed else written.strip()
        before = layer.get(*keys)
        entry: Any = text
        if isinstance(before, bool) and text.casefold() in {"true", "false"}:
            entry = text.casefold() == "true"
        elif isinstance(before, (int, float)) and not isinstance(before, bool):
            entry = _number(text)
        layer.set(keys, entry if text else None)
        if text and column and entry != before and layer.get("value_maps", map_name, value, "remark"):
            # The question the remark asks is answered.
            layer.set(("value_maps", map_name, value, "remark"), None)

    return Edit(apply, ".".join(keys), allowed)


def _number(text: str) -> float | int | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() else number


def owners_sheet(mapping: MappingModel, survey: Survey, target: Mapping[str, Any]) -> Sheet:
    """One row for each user of the source."""
    sheet = Sheet(
        "Owners",
        "People of the source, and the Pipedrive users their records go to. Users are found by their e-mail.",
        (
            Column("Person", width=14),
            Column("Name", width=28),
            Column("E-mail", "E-mail of the Pipedrive user who gets this person's records.", 36, is_editable=True),
            Column("In Pipedrive", width=30),
            Column("Records", width=10),
            Column("Remark", width=70),
        ),
    )
    names = {str(user.get("id")): str(user.get("name") or user.get("email") or "") for user in target.get("users") or []}
    users = tuple(sorted(str(user.get("email")) for user in target.get("users") or [] if user.get("active_flag") and user.get("email")))
    for row in survey.owners.rows(target or None):
        source_id = row["owner"].partition("/")[2]
        person = mapping.owners.people.get(source_id)
        state = names.get(row["pipedrive_user"], "") or row["state"]
        cells: dict[str, Any] = {
            "Person": source_id,
            "Name": person.name if person else "",
            "E-mail": (person.email if person else None) or "",
            "In Pipedrive": state,
            "Records": row["records"],
            "Remark": (person.remark if person else None) or "",
        }
        sheet.rows.append(Row(source_id, cells, {"E-mail": _owner_edit(source_id, users)}))
    return sheet


def _owner_edit(source_id: str, users: tuple[str, ...]) -> Edit:
    keys = ("owners", "people", source_id, "email")

    def apply(layer: Layer, written: str) -> None:
        email = written.strip()
        before = layer.get(*keys) or ""
        if email and users and email != before and email.casefold() not in {user.casefold() for user in users}:
            raise Refused(f"no active Pipedrive user has the e-mail {email!r}", users)
        layer.set(keys, email or None)
        if email and email != before and layer.get("owners", "people", source_id, "remark"):
            layer.set(("owners", "people", source_id, "remark"), None)

    return Edit(apply, ".".join(keys), users)
