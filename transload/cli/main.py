"""Entry point of the `transload` command: puts the groups together."""

from __future__ import annotations

import typer

from transload.cli import (
    audit,
    diff,
    mapping,
    migrations,
    nats_keys,
    plan,
    quota,
    reconciliation,
    records,
    rehearse,
    review,
    rollback,
    sandbox,
    scope,
    source,
    stack,
    steps,
)

app = typer.Typer(
    name="transload",
    help="Move a field-service account into Pipedrive: every record once, audited, and reversible.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.command("up")(stack.up)
app.command("down")(stack.down)
app.command("status")(stack.status)
app.command("nats-keys")(nats_keys.nats_keys)
app.add_typer(source.app, name="source")
app.add_typer(migrations.app, name="migration")
app.add_typer(audit.app, name="audit")
app.add_typer(mapping.app, name="mapping")
app.command("plan")(plan.plan)
app.command("scope")(scope.scope)
app.command("quota")(quota.quota)
app.add_typer(steps.schema_app, name="schema")
app.command("sample")(steps.sample)
app.command("diff")(diff.diff)
app.command("approve")(steps.approve)
app.command("start")(steps.start)
app.command("pause")(steps.pause)
app.command("resume")(steps.resume)
app.command("delta")(steps.delta)
app.command("reconcile")(reconciliation.reconcile)
app.command("mismatches")(reconciliation.mismatches)
app.command("repair")(reconciliation.repair)
app.command("accept")(reconciliation.accept)
app.command("complete")(steps.complete)
app.command("rollback")(rollback.rollback)
app.add_typer(review.app, name="review")
app.add_typer(records.app, name="record")
app.command("export")(records.export)
app.command("rehearse")(rehearse.rehearse)
app.add_typer(sandbox.app, name="sandbox")


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
