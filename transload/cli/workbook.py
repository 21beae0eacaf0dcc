"""`transload mapping export-workbook` and `import-workbook`: the mapping as a spreadsheet, out and back in (L-02)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from transload.cli import output, views
from transload.cli.session import EXIT_REFUSED, ActorOption, AddressOption, JsonOption, MigrationOption, connect_migration, run
from transload.v1 import transformer_service_pb2
from transload.workbook.read import Change, Place, Problem, Reading, UnreadableError, read_about, read_workbook
from transload.workbook.write import write_workbook

MIGRATION: Final = "Migration"
VERSION: Final = "Version of the mapping"
DIGEST: Final = "Digest of the mapping"
MADE: Final = "Exported"
ALLOWED_SHOWN: Final = 12


def export_workbook(
    *,
    file: Annotated[Path, typer.Argument(help="XLSX file to write.")],
    migration: MigrationOption = "",
    address: AddressOption = "",
    json_output: JsonOption = False,
) -> None:
    """Write the mapping as a workbook: fields, value maps, owners, policies, custom fields, open questions. Edit it and import it again (L-02)."""

    async def act() -> None:
        async with connect_migration(migration, address) as (client, migration_id):
            found = await client.get_mapping_workbook(migration_id)
        workbook = json.loads(found.workbook_json)
        about = {
            MIGRATION: migration_id,
            VERSION: str(found.mapping_version),
            DIGEST: found.mapping_digest,
            MADE: datetime.now(UTC).isoformat(timespec="seconds"),
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        write_workbook(file, workbook, about)
        sheets = {sheet["name"]: len(sheet["rows"]) for sheet in workbook["sheets"]}
        if json_output:
            output.print_json({"file": str(file), "mapping_version": found.mapping_version, "mapping_digest": found.mapping_digest, "sheets": sheets})
        else:
            output.stdout.print(output.table(f"Written to {file}", ("sheet", "rows"), sheets.items(), right_from=1))
            output.stdout.print(f"When it is edited: transload mapping import-workbook {file} --dry-run", markup=False)

    run(act())


def import_workbook(
    *,
    file: Annotated[Path, typer.Argument(help="Edited workbook.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and what cannot be; store nothing.")] = False,
    migration: MigrationOption = "",
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Take an edited workbook: shows what changed, and stores it as a new version of the mapping. With any error nothing is stored (L-02)."""

    async def act() -> None:
        try:
            about = read_about(file)
            async with connect_migration(migration, address, actor) as (client, migration_id):
                _check_origin(about, migration_id)
                found = await client.get_mapping_workbook(migration_id)
                _check_version(about, found.mapping_version)
                reading = read_workbook(file, json.loads(found.workbook_json))
                checked = await client.check_mapping_workbook(migration_id, _as_messages(reading.changes), base_version=found.mapping_version)
                problems = [*reading.problems, *_refused(reading, checked.result)]
                stored = None
                if not problems and reading.changes and not dry_run and checked.result.mapping_yaml:
                    stored = await client.edit_mapping(migration_id, checked.result.mapping_yaml, base_digest=checked.base_digest)
        except UnreadableError as error:
            output.stderr.print(str(error), markup=False)
            raise typer.Exit(EXIT_REFUSED) from error
        _show(reading, problems, checked.result, stored, json_output=json_output, is_dry_run=dry_run)
        if problems:
            raise typer.Exit(EXIT_REFUSED)

    run(act())


def _check_origin(about: dict[str, str], migration_id: str) -> None:
    theirs = about.get(MIGRATION, "")
    if theirs and theirs != migration_id:
        raise UnreadableError(f"the workbook is of migration {theirs}, not of {migration_id}")
    if not theirs:
        raise UnreadableError("the sheet 'Read me' does not say of which migration the workbook is: export it again")


def _check_version(about: dict[str, str], version: int) -> None:
    theirs = about.get(VERSION, "")
    if theirs != str(version):
        raise UnreadableError(
            f"the workbook was made of version {theirs or '?'} of the mapping, and the latest is {version}: export it again and edit that, "
            "so that nobody's decision is lost"
        )


def _as_messages(changes: list[Change]) -> list[transformer_service_pb2.MappingChange]:
    return [transformer_service_pb2.MappingChange(sheet=one.place.sheet, row=one.row, column=one.column, value=one.new) for one in changes]


def _refused(reading: Reading, result: transformer_service_pb2.ReviseMappingResponse) -> list[Problem]:
    """What the mapping does not take, by cell; and what is wrong with the whole."""
    by_cell = [
        Problem(change.place, revision.problem, tuple(revision.allowed))
        for change, revision in zip(reading.changes, result.revisions, strict=True)
        if revision.problem
    ]
    return by_cell + [Problem(Place("", ""), message) for message in result.problems]


def _show(
    reading: Reading,
    problems: list[Problem],
    result: transformer_service_pb2.ReviseMappingResponse,
    stored: Any,
    *,
    json_output: bool,
    is_dry_run: bool,
) -> None:
    if json_output:
        output.print_json(
            {
                "changes": [
                    {"sheet": one.place.sheet, "cell": one.place.cell, "row": one.row, "column": one.column, "path": revision.path}
                    | {"old": one.old, "new": one.new}
                    for one, revision in zip(reading.changes, result.revisions, strict=True)
                ],
                "problems": [_problem_data(one) for one in problems],
                "remarks": [_problem_data(one) for one in reading.remarks],
                "is_dry_run": is_dry_run,
                "stored_version": stored.version if stored is not None else None,
                "mapping_digest": stored.digest if stored is not None else None,
            }
        )
        return
    if reading.changes:
        rows = [(one.place.sheet, one.place.cell, one.row, one.column, one.old, one.new) for one in reading.changes]
        output.stdout.print(output.table("Changed cells", ("sheet", "cell", "row", "column", "was", "is"), rows))
    _print_problems("Not taken", reading.remarks)
    _print_problems("Errors", problems)
    if problems:
        output.stderr.print(f"{len(problems):,} errors; nothing was stored.")
    elif not reading.changes:
        output.stdout.print("Nothing changed.")
    elif stored is None:
        output.stdout.print("A dry run: nothing was stored.")
    else:
        if stored.findings:
            output.stdout.print(views.findings_table(stored.findings))
        output.stdout.print(f"Stored as version {stored.version}. Next: transload mapping confirm --digest {stored.digest}", markup=False)


def _print_problems(title: str, problems: list[Problem]) -> None:
    if problems:
        rows = [(one.place.sheet, one.place.cell, one.message, _allowed(one)) for one in problems]
        output.stdout.print(output.table(title, ("sheet", "cell", "what", "allowed"), rows))


def _allowed(problem: Problem) -> str:
    more = len(problem.allowed) - ALLOWED_SHOWN
    return ", ".join(problem.allowed[:ALLOWED_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _problem_data(problem: Problem) -> dict[str, Any]:
    return {"sheet": problem.place.sheet, "cell": problem.place.cell, "message": problem.message, "allowed": list(problem.allowed)}
