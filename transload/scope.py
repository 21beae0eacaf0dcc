"""The migration scope (L-01): what a customer reads before signing, made of the audit report, the plan and the mapping. Plain data throughout."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MUST: Final = "must be decided"
SHOULD: Final = "should be looked at"
CUSTOMER: Final = "you"
OPERATOR: Final = "the migration team"
_DECIDES: Final[Mapping[str, str]] = {"": OPERATOR}
"""By sheet of the workbook; what stands on none is technical."""
_MOVING: Final = ("move", "part")
"""Records of their own, and what moves as part of another."""
_LISTED_MAX: Final = 200
_UNMATCHED: Final = ("unmatched", "not in the source's list (deactivated)")

STEPS: Final = (
    ("Audit", OPERATOR, "Everything in the source is read and counted; nothing is written anywhere.", ("audited",)),
    ("Decisions", CUSTOMER, "The questions below are answered in the mapping workbook; then the mapping is confirmed.", ("confirmed",)),
    ("Schema", OPERATOR, "Users are matched; fields, pipelines, stages and activity types are created in Pipedrive.", ("prepared",)),
    ("Sample", OPERATOR, "A sample that covers every kind of record and every status is loaded.", ("sampled",)),
    ("Approval", CUSTOMER, "You compare the sample field by field with the source, and approve it. The load is locked until then.", ("approved",)),
    ("Load", OPERATOR, "Everything is loaded in order, within Pipedrive's limits; each phase is counted before the next begins.", ("loaded",)),
    (
        "Deltas",
        OPERATOR,
        "What changed in the source meanwhile is picked up, as often as you want. Edits made in Pipedrive are not overwritten unasked.",
        (),
    ),
    ("Reconciliation", OPERATOR, "Every field of every record is read back from Pipedrive and compared.", ()),
    ("Sign-off", CUSTOMER, "You sign the result. Until then one command takes everything back.", ("completed",)),
)
"""Step, who does it, what happens, and the states of a migration in which it is done."""
_STATES: Final = ("created", "audited", "confirmed", "prepared", "sampled", "approved", "loaded", "completed")


def build_scope(
    migration: Mapping[str, Any], audit: Mapping[str, Any], plan: Mapping[str, Any] | None, workbook: Mapping[str, Any], sentences: Sequence[str] = ()
) -> dict[str, Any]:
    """Put the scope together.

    Args:
        migration: id, name, connections, state, version and digest of the mapping.
        audit: the audit report.
        plan: what the migration spends; None where there is none yet.
        workbook: the mapping as a workbook, with what moves where.
        sentences: the plan in words.
    """
    moving = workbook["scope"]
    questions = _questions(workbook)
    scope: dict[str, Any] = {
        "migration": dict(migration),
        "source": workbook["source"],
        "title": workbook["title"],
        "summary": _summary(audit, moving, plan),
        "blockers": _blockers(audit, plan, questions, moving["policies"]),
        "moves": [row for row in moving["entities"] if row["use"] in _MOVING],
        "stays": [row | {"file": f"not-moved-{row['entity']}.csv"} for row in moving["entities"] if row["use"] == "not_moved" and row["records"]],
        "looked_up": [row for row in moving["entities"] if row["use"] == "reference_data" and row["records"]],
        "left_out_fields": _left_out(moving),
        "in_pipedrive": _targets(audit, plan),
        "pipelines": moving["pipelines"],
        "activity_types": moving["activity_types"],
        "custom_fields": moving["custom_fields"],
        "head_room": (plan or {}).get("head_room") or audit.get("target") or {},
        "owners": _owners(audit, workbook),
        "data_quality": [row | {"label": _label(moving, row["entity"])} for row in audit.get("data_quality", [])],
        "files": _files(audit, moving),
        "statuses": audit.get("status_distribution", []),
        "source_budget": audit.get("source_budget", {}),
        "plan": list(sentences),
        "steps": _steps(str(migration.get("state") or "")),
        "questions": questions,
        "policies": _policies(workbook),
        "assumptions": _assumptions(audit, plan, moving),
        "exports": moving["exports"],
    }
    scope["digest"] = digest_of(scope)
    return scope


def digest_of(scope: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a scope, so that a signature says which one was read."""
    content = {name: value for name, value in scope.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")).hexdigest()


def _summary(audit: Mapping[str, Any], moving: Mapping[str, Any], plan: Mapping[str, Any] | None) -> dict[str, Any]:
    summary = audit.get("summary", {})
    days = (plan or {}).get("days") or {}
    # What is only looked up (names of states, descriptions of fields) is nobody's data that stays behind.
    own = [row for row in moving["entities"] if row["use"] != "reference_data"]
    return {
        "records": sum(row["records"] for row in own),
        "looked_up": sum(row["records"] for row in moving["entities"]) - sum(row["records"] for row in own),
        "moving": sum(row["moves"] for row in moving["entities"]),
        "kinds": sum(1 for row in own if row["records"]),
        "archived": sum(row["archived"] for row in moving["entities"]),
        "deleted": sum(row["deleted"] for row in moving["entities"]),
        "files": summary.get("files", 0),
        "file_bytes": summary.get("file_bytes", 0),
        "findings": len(audit.get("data_quality", [])),
        "new_fields": sum(1 for field in moving["custom_fields"] if not field["is_there"]),
        "tokens": (plan or {}).get("tokens_left"),
        "days": days.get("days"),
    }


def _blockers(
    audit: Mapping[str, Any], plan: Mapping[str, Any] | None, questions: Sequence[Mapping[str, Any]], policies: Mapping[str, Any]
) -> list[str]:
    """Say what stands against going on."""
    found = [
        f"{problem.get('entity', 'an entity')} could not be read: {problem.get('message', '')}" for problem in audit.get("extraction_problems", [])
    ]
    must = sum(1 for one in questions if one["weight"] == MUST)
    if must:
        found.append(f"{must:,} question{'s' * (must > 1)} must be decided before the mapping can be confirmed")
    for name, room in ((plan or {}).get("head_room") or audit.get("target") or {}).items():
        if isinstance(room, dict) and room.get("fits") is False:
            left = max(0, room["cap"] - room["used"])
            found.append(f"{name.replace('_', ' ')}: {room['needed']:,} are needed, and the plan of the Pipedrive account has room for {left:,}")
    unmatched = sum(1 for row in audit.get("owners", []) if row["state"] in _UNMATCHED and row["records"])
    if unmatched and policies.get("unmatched_owner") == "wait":
        who = "person has" if unmatched == 1 else "people have"
        found.append(f"{unmatched:,} {who} records but no Pipedrive user: their records wait until that is decided")
    return found


def _left_out(moving: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Answer the fields that are left out, by kind of record and reason."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in moving["entities"]:
        if row["use"] == "move" and row["records"]:
            for field in row["left_out"]:
                found.setdefault((row["label"], field["reason"]), []).append(field["field"])
    return [{"kind": kind, "reason": reason, "fields": fields} for (kind, reason), fields in found.items()]


def _label(moving: Mapping[str, Any], entity: str) -> str:
    return next((row["label"] for row in moving["entities"] if row["entity"] == entity), entity.replace("_", " ").capitalize())


def _targets(audit: Mapping[str, Any], plan: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Say how many records there will be in Pipedrive, by kind."""
    if plan is not None:
        rows: dict[str, dict[str, Any]] = {}
        for row in plan["rows"]:
            if row["step"] in {"sample", "load"} and row["phase"]:
                one = rows.setdefault(row["target_entity"], {"target": row["target_entity"], "records": 0, "tokens": 0})
                one["records"] += row["records"]
                one["tokens"] += row["tokens"]
        return [row | {"held": plan.get("held_records", {}).get(name, 0)} for name, row in rows.items() if row["records"]]
    return [{"target": name, "held": 0, **row} for name, row in audit.get("load_by_target", {}).items()]


def _rows(workbook: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Answer the rows of a sheet as objects by heading, with the row's key."""
    sheet = next((one for one in workbook["sheets"] if one["name"] == name), None)
    if sheet is None:
        return []
    names = [column["name"] for column in sheet["columns"]]
    return [{"key": row["key"], **dict(zip(names, row["cells"], strict=True))} for row in sheet["rows"]]


def _questions(workbook: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "weight": row["Weight"],
            "what": str(row["What"]).removeprefix("needs_review: "),
            "sheet": row["Where to decide"] or "",
            "place": row["Place in the mapping"],
            "who": _DECIDES.get(row["Where to decide"] or "", CUSTOMER),
        }
        for row in _rows(workbook, "Questions")
        if row["Weight"] in {MUST, SHOULD}
    ]


def _owners(audit: Mapping[str, Any], workbook: Mapping[str, Any]) -> list[dict[str, Any]]:
    people = {row["key"]: row for row in _rows(workbook, "Owners")}
    rows = []
    for row in audit.get("owners", []):
        person = people.get(row["owner"].partition("/")[2], {})
        state = person.get("In Pipedrive") if row["state"] not in _UNMATCHED else row["state"]
        rows.append({**row, "name": person.get("Name") or row["owner"], "email": person.get("E-mail") or "", "pipedrive": state or row["state"]})
    return sorted(rows, key=lambda row: (row["state"] == "matched", -row["records"]))


def _files(audit: Mapping[str, Any], moving: Mapping[str, Any]) -> dict[str, Any]:
    rows = [{"entity": _label(moving, name), **row} for name, row in audit.get("files", {}).items()]
    return {
        "rows": rows,
        "oversize": audit.get("oversize_files", [])[:_LISTED_MAX],
        "too_large": sum(row["too_large"] for row in rows),
        "unavailable": sum(row["unavailable"] for row in rows),
        "policy": moving["policies"].get("oversize_files", ""),
    }


def _policies(workbook: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"decision": row["Decision"], "value": row["Value"], "means": row["What it means"]} for row in _rows(workbook, "Policies")]


def _assumptions(audit: Mapping[str, Any], plan: Mapping[str, Any] | None, moving: Mapping[str, Any]) -> list[str]:
    found = [*audit.get("remarks", []), *moving["notes"]]
    if plan is not None:
        found += [f"The plan takes for granted: {one}" for one in plan.get("assumed", [])]
    return list(dict.fromkeys(found))


def _steps(state: str) -> list[dict[str, Any]]:
    reached = _STATES.index(state) if state in _STATES else 0
    steps = []
    is_next_found = False
    for name, who, what, states in STEPS:
        is_done = bool(states) and reached >= min(_STATES.index(one) for one in states)
        is_next = not is_done and not is_next_found and bool(states)
        is_next_found = is_next_found or is_next
        steps.append({"step": name, "who": who, "what": what, "state": "done" if is_done else "next" if is_next else "to come"})
    return steps
