from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from services.common import jetstream
from services.common.settings import NatsSettings
from tests.fakes.consuming import until
from transload.embedded import state
from transload.embedded.errors import StackError
from transload.embedded.stack import SERVICES, Stack

ROOT = Path(__file__).resolve().parents[3]
ENV = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
EVERYTHING = ("nats", *SERVICES)


class IdleStack(Stack):
    """The real supervisor and NATS with services that do nothing."""

    def _command(self, name: str) -> tuple[str, ...]:
        del name
        return (sys.executable, "-m", "tests.fakes.service")


SUPERVISOR = """
import asyncio, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.integration.embedded import test_stack
from transload.embedded import stack
stack.Stack = test_stack.IdleStack
asyncio.run(stack.run_stack(Path(sys.argv[1]), env=test_stack.ENV, on_ready=lambda ready: print("ready", flush=True)))
"""


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[Stack]:
    stack = IdleStack(folder, env=ENV)
    await stack.start()
    try:
        yield stack
    finally:
        await stack.stop()


async def until_serving(stack: Stack, *names: str) -> None:
    async with asyncio.timeout(20):
        for name in names:
            while not await stack.is_serving(name):  # noqa: ASYNC110 - happens in another process
                await asyncio.sleep(0.02)


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def pids(stack: Stack) -> dict[str, int]:
    found = {name: stack.pid(name) for name in EVERYTHING}
    assert None not in found.values()
    return {name: pid for name, pid in found.items() if pid is not None}


async def test_a_started_stack_serves_says_where_and_stops_cleanly(tmp_path: Path) -> None:
    async with started(tmp_path / "data") as stack:
        content = state.read(tmp_path / "data")
        assert content["pid"] == os.getpid()
        assert content["nats_url"] == stack.nats_url
        assert {name: service["address"] for name, service in content["services"].items()} == stack.addresses
        assert {name: service["pid"] for name, service in content["services"].items()} | {"nats": content["nats_pid"]} == pids(stack)
        assert state.is_running(tmp_path / "data")
        running = list(pids(stack).values())
        async with jetstream.connect(NatsSettings(stack.nats_url)) as bus:
            await bus.ping()
    await stack.wait()
    assert not any(is_alive(pid) for pid in running)
    assert not state.is_running(tmp_path / "data")
    assert state.read(tmp_path / "data")["pid"] is None
    assert {path.name for path in (tmp_path / "data" / "logs").iterdir()} == {f"{name}.log" for name in EVERYTHING}
    assert "service.stopped" in (tmp_path / "data" / "logs" / "ledger.log").read_text(encoding="utf-8")


async def test_addresses_stay_the_same_after_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path) as first:
        before = (first.nats_url, first.addresses)
    async with started(tmp_path) as second:
        assert (second.nats_url, second.addresses) == before


async def test_a_port_taken_by_somebody_else_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transload.embedded.stack.PORT_WAIT_SECONDS", 0.1)
    async with started(tmp_path) as first:
        before = first.addresses
    with socket.create_server(("127.0.0.1", int(before["ledger"].rpartition(":")[2]))):
        async with started(tmp_path) as second:
            assert second.addresses["ledger"] != before["ledger"]
            assert second.addresses["loader"] == before["loader"]


@pytest.mark.requirement("G-03")
async def test_several_loaders_share_the_budgets_and_two_of_them_may_keep_these(tmp_path: Path) -> None:
    stack = IdleStack(tmp_path, env=ENV, loaders=3)
    await stack.start()
    try:
        assert stack.loaders == ("loader", "loader-2", "loader-3")
        environments = [psutil.Process(pid).environ() for name in stack.loaders if (pid := stack.pid(name))]
        assert [environment["TRANSLOAD_REPLICA"] for environment in environments] == ["loader-1", "loader-2", "loader-3"]
        assert {environment["TRANSLOAD_QUOTA_ADDRESS"] for environment in environments} == {
            f"{stack.addresses['loader']},{stack.addresses['loader-2']}"
        }
        assert {environment["TRANSLOAD_LOADER_ADDRESS"] for environment in environments} == {stack.addresses["loader"]}
        assert len({environment["TRANSLOAD_GRPC_LISTEN"] for environment in environments}) == 3
        before = stack.pid("loader-3")
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await until(lambda: stack.pid("loader-3") not in {None, before})
    finally:
        await stack.stop()
    # Fewer the next time: the others keep their places.
    async with started(tmp_path) as fewer:
        assert fewer.addresses == {name: address for name, address in stack.addresses.items() if name not in {"loader-2", "loader-3"}}


@pytest.mark.parametrize("name", EVERYTHING)
async def test_a_killed_process_is_started_again(tmp_path: Path, name: str) -> None:
    async with started(tmp_path) as stack:
        before = pids(stack)
        os.kill(before[name], signal.SIGKILL)
        await until(lambda: stack.pid(name) not in {None, before[name]})
        await until_serving(stack, *SERVICES)
        after = pids(stack)
        assert {other for other in EVERYTHING if before[other] != after[other]} == {name}
        assert stack.restart_count(name) == 1


@pytest.mark.requirement("X-04")
async def test_the_store_of_nats_may_be_deleted_while_it_is_down(tmp_path: Path) -> None:
    async with started(tmp_path) as stack, jetstream.connect(NatsSettings(stack.nats_url)) as bus:
        before = await bus.incarnation()
        async with stack.held_down("nats"):
            assert stack.pid("nats") is None
            shutil.rmtree(tmp_path / "nats")
        await until(lambda: stack.pid("nats") is not None and bus.is_connected)
        await bus.publish("raw.m.client", b"x", msg_id="x")
        assert await bus.incarnation() != before


async def test_two_stacks_do_not_share_a_folder(tmp_path: Path) -> None:
    async with started(tmp_path):
        with pytest.raises(StackError, match="a stack already runs"):
            await IdleStack(tmp_path, env=ENV).start()
        assert state.read(tmp_path)["pid"] == os.getpid()


async def test_a_service_that_refuses_its_configuration_stops_the_start(tmp_path: Path) -> None:
    stack = IdleStack(tmp_path, env=ENV | {"TRANSLOAD_TEST_EXIT": "1"})
    with pytest.raises(StackError, match="refuses to start: TRANSLOAD_TEST_EXIT is set"):
        await stack.start()
    assert not state.is_running(tmp_path)


async def test_a_stack_that_is_not_ready_in_time_says_who_and_leaves_nothing(tmp_path: Path) -> None:
    class SilentStack(IdleStack):
        def _command(self, name: str) -> tuple[str, ...]:
            return ("/bin/sleep", "60") if name == "loader" else super()._command(name)

    with pytest.raises(StackError, match="not ready after 3 s: loader"):
        await SilentStack(tmp_path, env=ENV).start(timeout_seconds=3)
    assert not state.is_running(tmp_path)


def start_supervisor(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(folder), str(ROOT)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for(condition: Callable[[], bool]) -> None:
    until_time = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until_time
        time.sleep(0.02)


def all_pids(folder: Path) -> list[int]:
    content = json.loads((folder / state.FILE_NAME).read_text(encoding="utf-8"))
    return [content["nats_pid"], *(service["pid"] for service in content["services"].values())]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_everything_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    supervisor = start_supervisor(tmp_path)
    running = all_pids(tmp_path)
    supervisor.send_signal(number)
    _, stderr = supervisor.communicate(timeout=20)
    assert (supervisor.returncode, stderr) == (0, "")
    assert not any(is_alive(pid) for pid in running)


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels cannot tie a process to its parent")
def test_everything_dies_with_a_killed_supervisor_and_starts_again_on_the_same_ports(tmp_path: Path) -> None:
    supervisor = start_supervisor(tmp_path)
    before = state.read(tmp_path)
    supervisor.kill()
    supervisor.communicate()
    wait_for(lambda: not any(is_alive(pid) for pid in all_pids(tmp_path)))
    assert not state.is_running(tmp_path)
    again = start_supervisor(tmp_path)
    after = state.read(tmp_path)
    again.terminate()
    again.communicate(timeout=20)
    assert after["nats_url"] == before["nats_url"]
    assert {name: service["address"] for name, service in after["services"].items()} == {
        name: service["address"] for name, service in before["services"].items()
    }
