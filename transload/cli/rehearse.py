"""`transload rehearse`: the whole way of a migration between the simulators, on one machine, in about a minute."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from transload.cli import output, views
from transload.cli.rehearsal import Rehearsal, RehearsalFailedError, RehearsalOptions, TargetOptions
from transload.cli.rehearsal_result import RehearsalResult
from transload.embedded.errors import StackError
from transload.errors import TransloadCallError


def rehearse(
    *,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the generated account.")] = 1,
    source: Annotated[
        str, typer.Option("--source", help="Source to move: stel-order, servicetracker, novo-work-order, octopuspro, results.")
    ] = "stel-order",
    size: Annotated[
        int, typer.Option("--size", "--clients", min=1, help="Clients (customers, accounts) in the generated account; everything else in proportion.")
    ] = 150,
    plan: Annotated[str, typer.Option("--plan", help="Plan of the simulated Pipedrive: lite, growth, premium, ultimate.")] = "ultimate",
    seats: Annotated[int, typer.Option("--seats", min=1, help="Its paid seats; the daily tokens grow with them.")] = 5,
    token_kind: Annotated[
        str, typer.Option("--token-kind", help="Whose calls in 2 seconds it allows: of an oauth app, or of an api token.")
    ] = "oauth",  # noqa: S107 - a kind, not a token
    spent: Annotated[
        int | None,
        typer.Option("--spent", min=0, help="Tokens the customer's other apps have spent today. Default: half of the day's.", show_default=False),
    ] = None,
    other_apps: Annotated[int, typer.Option("--other-apps", min=0, help="Tokens an hour they go on to spend.")] = 0,
    clock_speed: Annotated[
        float,
        typer.Option("--clock-speed", min=1, max=100_000, help="How fast its days pass; above 1 the rehearsal begins at 8 in the morning there."),
    ] = 1.0,
    source_plan: Annotated[
        str, typer.Option("--source-plan", help="Plan of a simulated source, of STEL Order lite, business, pro. Default: the one with most calls.")
    ] = "",
    rollback: Annotated[bool, typer.Option("--rollback", help="Take everything back at the end and compare with the state before.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end, until Ctrl-C.")] = False,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Folder for all run data; emptied first.")] = Path(".transload/rehearsal"),
    result_file: Annotated[Path, typer.Option("--result", help="Where the result goes as JSON.")] = Path(".transload/last-run.json"),
) -> None:
    """Move a generated account of a source into the Pipedrive simulator: audit, confirm, sample, approve, load, reconcile, delta."""
    options = RehearsalOptions(
        seed=seed,
        source=source.replace("-", "_"),
        size=size,
        source_plan=source_plan,
        target=TargetOptions(plan=plan, seats=seats, token_kind=token_kind, spent=spent, other_apps=other_apps, clock_speed=clock_speed),
        takes_back=rollback,
        is_kept=keep,
        data_dir=data_dir.resolve(),
    )
    if options.data_dir.exists():
        shutil.rmtree(options.data_dir)
    result_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        result = asyncio.run(
            Rehearsal(options, say=lambda line: output.stderr.print(line, markup=False)).run(on_result=lambda r: _show(r, result_file))
        )
    except (RehearsalFailedError, StackError, TransloadCallError) as error:
        output.stderr.print(f"failed: {error}", markup=False, style="bold red")
        if not isinstance(error, StackError):  # which says itself what to look at, if anything
            output.stderr.print(f"Logs: {options.data_dir / 'logs'}", markup=False)
        result_file.write_text(json.dumps({"is_ok": False, "problems": [str(error)]}, indent=2) + "\n", encoding="utf-8")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    sys.exit(0 if result.is_ok else 1)


def _show(result: RehearsalResult, result_file: Path) -> None:
    """Prints the end of a rehearsal and writes it as JSON."""
    result_file.write_text(json.dumps(result.as_data(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    output.stdout.print(views.summary_table(result.summary))
    output.stdout.print(views.targets_table(result.summary))
    output.stdout.print(
        output.table(
            "Time and tokens",
            ("step", "seconds", "of these paused", "tokens"),
            [(s.name, f"{s.seconds:.1f}", f"{s.paused_seconds:.1f}" if s.paused_seconds else "", s.token_count) for s in result.steps],
            right_from=1,
        )
    )
    for line in result.lines():
        output.stdout.print(line, markup=False)
    output.stdout.print(f"Result as JSON: {result_file}", markup=False)
