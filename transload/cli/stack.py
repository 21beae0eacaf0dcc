"""`transload up`, `down`, `status`: the embedded stack on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from grpc_health.v1 import health_pb2, health_pb2_grpc

from transload.cli import output
from transload.cli.session import DEFAULT_DATA_DIR, EXIT_UNREACHABLE, JsonOption, security
from transload.embedded import state
from transload.embedded.errors import StackError
from transload.embedded.stack import LOADERS_MAX, Stack, run_stack

STOP_SECONDS_MAX = 60.0
PING_SECONDS_MAX = 2.0

DataDirOption = Annotated[Path, typer.Option("--data-dir", envvar="TRANSLOAD_DATA_DIR", help="Folder of ledger, staging, streams and logs.")]


LoadersOption = Annotated[
    int, typer.Option("--loaders", min=1, max=LOADERS_MAX, help="Loaders to run; they share the target's budget, and one stands in for another.")
]


def up(*, data_dir: DataDirOption = DEFAULT_DATA_DIR, loaders: LoadersOption = 1) -> None:
    """Start NATS and the services on this machine, and keep them running until Ctrl-C.

    Goes on where the ledger stands, also after a power cut. Connections come from TRANSLOAD_CONNECTION_<NAME>_URL and _KEY or _KEY_FILE, or from
    <data-dir>/connections/<name>/{url,key}.
    """

    def ready(stack: Stack) -> None:
        for name, address in sorted(stack.addresses.items()):
            output.stderr.print(f"{name:<12} {address}", markup=False)
        output.stderr.print(f"Up. Data and logs in {data_dir}; Ctrl-C stops. Next: transload migration create", markup=False)

    try:
        asyncio.run(run_stack(data_dir.resolve(), env=os.environ, loaders=loaders, on_ready=ready))
    except StackError as error:
        output.stderr.print(str(error), markup=False)
        raise typer.Exit(EXIT_UNREACHABLE) from error


def down(*, data_dir: DataDirOption = DEFAULT_DATA_DIR) -> None:
    """Stop a stack started by `transload up` elsewhere. Nothing is lost; work goes on at the next `up`."""
    if not state.is_running(data_dir.resolve()):
        output.stderr.print("It does not run.")
        return
    pid = int(_stack_file(data_dir)["pid"])
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        output.stderr.print("It does not run.")
        return
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            output.stdout.print("Stopped.")
            return
        time.sleep(0.1)
    output.stderr.print(f"Process {pid} has not stopped within {STOP_SECONDS_MAX:.0f} s; see {data_dir / 'logs'}.", markup=False)
    raise typer.Exit(EXIT_UNREACHABLE)


def status(*, data_dir: DataDirOption = DEFAULT_DATA_DIR, json_output: JsonOption = False) -> None:
    """Say which services answer. Exit status 3 when one does not."""
    services: dict[str, dict[str, Any]] = _stack_file(data_dir)["services"]

    async def act() -> dict[str, str]:
        states = await asyncio.gather(*(_health(str(service["address"])) for service in services.values()))
        return dict(zip(services, states, strict=True))

    states = asyncio.run(act())
    if json_output:
        output.print_json({name: {**services[name], "health": state} for name, state in states.items()})
    else:
        rows = [(name, services[name]["address"], services[name]["pid"], state) for name, state in states.items()]
        output.stdout.print(output.table("", ("service", "address", "process", "health"), [tuple(map(str, row)) for row in rows]))
    if set(states.values()) != {"SERVING"}:
        raise typer.Exit(EXIT_UNREACHABLE)


async def _health(address: str) -> str:
    """The health word of a service, `UNREACHABLE` when it does not answer."""
    async with replace(security(), token=None).channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=PING_SECONDS_MAX)
        except grpc.aio.AioRpcError:
            return "UNREACHABLE"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))


def _stack_file(data_dir: Path) -> dict[str, Any]:
    """The `stack.json` of a stack.

    Raises:
        typer.Exit: when there is none.
    """
    path = data_dir / "stack.json"
    if not path.exists():
        output.stderr.print(f"{path} does not exist; start a stack with `transload up`.", markup=False)
        raise typer.Exit(EXIT_UNREACHABLE)
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
