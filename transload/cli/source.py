"""`transload source check`: whether a source can be read, and what a person should know of an export bundle before anything moves."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import grpc
import typer

from transload import errors
from transload.cli import output
from transload.cli.session import DEFAULT_DATA_DIR, EXIT_REFUSED, EXIT_UNREACHABLE, JsonOption, run, security
from transload.v1 import extractor_service_pb2 as pb
from transload.v1.extractor_service_pb2_grpc import ExtractorServiceStub

CHECK_SECONDS_MAX = 6 * 3600.0
"""A bundle of many gigabytes is read once from beginning to end."""

app = typer.Typer(help="The source before a migration.", no_args_is_help=True)


@app.callback()
def source() -> None:
    """Look at a source before a migration."""


@app.command("check")
def check(
    *,
    connector: Annotated[str, typer.Option("--from", help="Connector, e.g. novo_work_order.")],
    connection: Annotated[str, typer.Option("--source", help="Name of the connection.")],
    connector_options: Annotated[str, typer.Option("--connector-options", help="Options of the connector as JSON.")] = "",
    address: Annotated[
        str,
        typer.Option(
            "--extractor",
            envvar="TRANSLOAD_EXTRACTOR_ADDRESS",
            help="host:port of the extractor. Default: the stack started by `transload up` in this folder.",
            show_default=False,
        ),
    ] = "",
    json_output: JsonOption = False,
) -> None:
    """Check that a source can be read, and all of an export bundle. Nothing is kept. Exit status 1 where something stops the reading."""

    async def act() -> None:
        response = await _ask(_resolve(address), connector, connection, connector_options)
        if json_output:
            output.print_json(output.as_data(response))
        else:
            _show(response)
        if any(finding.severity == pb.SOURCE_FINDING_SEVERITY_STOP for finding in response.findings):
            raise typer.Exit(EXIT_REFUSED)

    run(act())


async def _ask(address: str, connector: str, connection: str, options: str) -> pb.CheckSourceResponse:
    request = pb.CheckSourceRequest(connector=connector.replace("-", "_"), connection=connection, includes_content=True, options_json=options)
    async with security().channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub: ExtractorServiceStub = ExtractorServiceStub(channel)
        try:
            return await stub.CheckSource(request, timeout=CHECK_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            raise errors.from_rpc_error(error) from error


def _resolve(address: str) -> str:
    """The extractor's address: as given, or that of the embedded stack."""
    if address:
        return address
    stack_file = Path(os.environ.get("TRANSLOAD_DATA_DIR", DEFAULT_DATA_DIR)) / "stack.json"
    if stack_file.exists():
        return str(json.loads(stack_file.read_text())["services"]["extractor"]["address"])
    output.stderr.print(f"No extractor: {stack_file} does not exist. Start one with `transload up`, or name one with --extractor host:port.")
    raise typer.Exit(EXIT_UNREACHABLE)


def _show(response: pb.CheckSourceResponse) -> None:
    if not response.is_content_checked:
        output.stdout.print(f"{response.base_url} can be read. What it holds is looked at by the audit.", markup=False)
        return
    if response.findings:
        output.stdout.print(output.table("Findings", ("", "table", "column", "rows", "what and what to do", "where"), rows_of(response.findings)))
    output.stdout.print(f"{response.base_url}: {summary(response.findings)}", markup=False)


def rows_of(findings: Sequence[pb.SourceFinding]) -> list[tuple[str, str, str, int, str, str]]:
    """The findings as rows of a table, the gravest first."""
    ordered = sorted(findings, key=lambda one: one.severity)
    return [(output.enum_word(one, "severity"), one.entity, one.column, one.count, one.message, "; ".join(one.samples[:3])) for one in ordered]


def summary(findings: Sequence[pb.SourceFinding]) -> str:
    """One sentence: can it be read?"""
    counts = Counter(one.severity for one in findings)
    stops, warnings, remarks = (
        counts[severity] for severity in (pb.SOURCE_FINDING_SEVERITY_STOP, pb.SOURCE_FINDING_SEVERITY_WARNING, pb.SOURCE_FINDING_SEVERITY_INFO)
    )
    can = "it can be read" if not stops else f"{stops} findings stop the reading of a table or of everything"
    return f"{can}; {warnings} warnings, {remarks} remarks"
