"""What edited cells do to a mapping. Either all of them can be made, or none is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.common.errors import MappingError
from services.transformer.lint import lint
from services.transformer.mapping.reading import load_mapping
from services.transformer.workbook.describe import QUESTIONS, sheets_of
from services.transformer.workbook.layer import Layer, with_overrides
from services.transformer.workbook.sheet import Refused, edits_of
from services.transformer.workbook.survey import Survey
from transload.v1 import transformer_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from services.transformer.snapshot.lookup import Snapshot
    from services.transformer.workbook.sheet import Edit, Sheet


@dataclass(frozen=True, slots=True)
class Change:
    """One edited cell, named by sheet, row key and column."""

    sheet: str
    row: str
    column: str
    value: str


@dataclass(slots=True)
class Outcome:
    """What became of one change.

    Attributes:
        path: where it stands in the mapping; empty when there is no such cell.
        problem: why it cannot be made, empty when it can.
    """

    path: str = ""
    old: str = ""
    new: str = ""
    problem: str = ""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Revision:
    """What all changes together make of a mapping.

    Attributes:
        outcomes: one for each change, in their order.
        text: the new mapping; empty when a change cannot be made or the mapping would have an error it did not have.
        findings: what the linter says of the new mapping; empty when it cannot be read.
        problems: what is wrong with the whole and belongs to no cell.
    """

    outcomes: list[Outcome]
    text: str
    digest: str
    findings: list[pb.MappingFinding]
    problems: list[str]


def revise(text: str, view: Snapshot, target: Mapping[str, Any], changes: Sequence[Change]) -> Revision:
    """Make the changes.

    Raises:
        MappingError: the mapping itself cannot be read.
    """
    mapping = load_mapping(text)
    sheets = sheets_of(mapping, Survey(mapping, view), view, target)
    edits, layer = edits_of(sheets), Layer(text)
    outcomes = [Outcome() for _ in changes]
    places = _order(sheets)
    # As the sheets stand: a decision before what depends on it.
    for position in sorted(range(len(changes)), key=lambda at: places.get((changes[at].sheet, changes[at].row, changes[at].column), 0)):
        outcomes[position] = _apply(changes[position], sheets, edits, layer)
    revised = with_overrides(text, layer.overrides)
    problems: list[str] = []
    findings: list[pb.MappingFinding] = []
    digest = ""
    try:
        after = load_mapping(revised)
        findings, digest = lint(after, view, target), after.digest
    except MappingError as error:
        problems = _blame(error.message, "", changes, outcomes)
    known = {(row.cells["Place in the mapping"], row.cells["What"]) for row in sheets[QUESTIONS].rows}
    for one in findings:
        if one.severity == pb.FINDING_SEVERITY_ERROR and (one.path, one.message) not in known:
            problems += _blame(one.message, one.path, changes, outcomes)
    is_refused = bool(problems) or any(outcome.problem for outcome in outcomes)
    return Revision(outcomes, "" if is_refused else revised, digest, findings, list(dict.fromkeys(problems)))


def _order(sheets: Mapping[str, Sheet]) -> dict[tuple[str, str, str], int]:
    cells = ((sheet.name, row.key, column.name) for sheet in sheets.values() for row in sheet.rows for column in sheet.columns)
    return {cell: number for number, cell in enumerate(cells)}


def _apply(change: Change, sheets: Mapping[str, Sheet], edits: Mapping[tuple[str, str, str], Edit], layer: Layer) -> Outcome:
    sheet = sheets.get(change.sheet)
    if sheet is None:
        return Outcome(problem=f"there is no sheet {change.sheet!r}", allowed=tuple(sheets))
    row = next((one for one in sheet.rows if one.key == change.row), None)
    if row is None:
        return Outcome(problem="there is no such row in the mapping as it is now: export the workbook again")
    edit = edits.get((change.sheet, change.row, change.column))
    if edit is None:
        is_known = any(one.name == change.column for one in sheet.columns)
        return Outcome(problem="this cell is for reading only" if is_known else f"there is no column {change.column!r} that can be edited")
    before = row.cells.get(change.column)
    outcome = Outcome(path=edit.path, old="" if before is None else str(before), new=change.value, allowed=edit.allowed)
    if change.value == outcome.old:
        return outcome
    try:
        edit.apply(layer, change.value)
    except Refused as problem:
        outcome.problem, outcome.allowed = problem.message, problem.allowed or edit.allowed
    return outcome


def _blame(message: str, path: str, changes: Sequence[Change], outcomes: Iterable[Outcome]) -> list[str]:
    """Give an error of the whole mapping to the change that caused it; answers the error when it belongs to none."""
    where = path or message
    for _, outcome in zip(changes, outcomes, strict=True):
        if outcome.path and (where.startswith(outcome.path) or (path and outcome.path.startswith(path))) and not outcome.problem:
            outcome.problem = message
            return []
    return [f"{path}: {message}" if path else message]
