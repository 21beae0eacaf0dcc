"""`transload audit erase`: takes personal data out of the ledger; every proof stays valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from transload.cli import output
from transload.cli.session import EXIT_REFUSED, EXIT_USAGE, ActorOption, AddressOption, JsonOption, MigrationOption, connect_migration, run

if TYPE_CHECKING:
    from transload.v1.migration_service_pb2 import ErasePayloadsResponse

KEYS_SHOWN = 20


def erase(
    *,
    record: Annotated[str, typer.Option("--record", help="Key of a record, or {entity}/{id} of a source record, and all it became.")] = "",
    person: Annotated[str, typer.Option("--person", help="An e-mail address, or another text: every record of which something kept holds it.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Everything of a migration that was completed or rolled back.")] = False,
    with_rollback_data: Annotated[
        bool,
        typer.Option(
            "--with-rollback-data", help="The images that a rollback and a delta compare with, too. What they were needed for is then gone."
        ),
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; stays in the trail, so no personal data (e.g. a ticket's number).")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be erased.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    migration: MigrationOption = "",
    address: AddressOption = "",
    actor: ActorOption = "",
    json_output: JsonOption = False,
) -> None:
    """Erase the personal data the ledger keeps of one person, one record or a closed migration.

    The trail keeps every event and its digest: `audit verify` and `audit prove` hold before and after. Staging, backups, the source and Pipedrive are
    not touched.
    """
    if bool(record) + bool(person) + everything != 1:
        output.stderr.print("give one of --record, --person and --all.")
        raise typer.Exit(EXIT_USAGE)

    async def act() -> None:
        wanted: dict[str, Any] = {"key": record, "text": person, "is_everything": everything, "with_rollback_data": with_rollback_data}
        async with connect_migration(migration, address, actor) as (client, migration_id):
            if dry_run or not yes:
                planned = await client.erase_payloads(migration_id, **wanted, reason=reason, is_dry_run=True)
                if dry_run:
                    _show(planned, "Would be erased", json_output=json_output)
                    return
                _show(planned, "To be erased", json_output=False)
                if not typer.confirm("Erase? It cannot be taken back.", err=True):
                    raise typer.Exit(EXIT_REFUSED)
            _show(await client.erase_payloads(migration_id, **wanted, reason=reason), "Erased", json_output=json_output)

    run(act())


def _show(erased: ErasePayloadsResponse, word: str, *, json_output: bool) -> None:
    if json_output:
        output.print_json(output.as_data(erased))
        return
    console = output.stderr if word == "To be erased" else output.stdout
    counts = (
        f"{erased.payload_count:,} event payloads, {erased.message_count:,} messages, {erased.row_count:,} report rows, {erased.image_count:,} images"
    )
    console.print(f"{word}: {counts}", markup=False)
    if erased.source_keys:
        more = len(erased.source_keys) - KEYS_SHOWN
        names = ", ".join(erased.source_keys[:KEYS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
        console.print(f"Source records: {names}", markup=False)
    if erased.kept_image_count:
        console.print(
            f"Kept: images of {erased.kept_image_count:,} records, which a rollback and a delta compare with (--with-rollback-data)", markup=False
        )
