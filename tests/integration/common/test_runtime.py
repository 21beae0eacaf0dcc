from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from services.common import grpc_client, jetstream
from services.common.errors import UnavailableError
from services.common.runtime import EXIT_CONFIGURATION, Service, run
from services.common.settings import GrpcSettings, NatsSettings, TelemetrySettings
from services.common.streams import TRANSFORMER
from tests.fakes.consuming import Recorder, consuming, until
from tests.fakes.nats_server import NatsServer


@dataclass
class Settings:
    grpc: GrpcSettings
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)


@dataclass
class Life:
    """What a service did, in order."""

    events: list[str] = field(default_factory=list)
    problem: Exception | None = None
    task_failures: int = 0

    @asynccontextmanager
    async def build(self, settings: Settings) -> AsyncIterator[Service]:
        del settings
        self.events.append("opened")
        try:
            yield Service(name="x", tasks=[self.task], pings={"dependency": self.ping})
        finally:
            self.events.append("closed")

    async def ping(self) -> None:
        if self.problem is not None:
            raise self.problem

    async def task(self) -> None:
        if self.task_failures:
            self.task_failures -= 1
            self.events.append("task failed")
            raise RuntimeError("a bug")
        self.events.append("task running")
        await asyncio.Event().wait()


@asynccontextmanager
async def running(life: Life, folder: Path) -> AsyncIterator[str]:
    stop = asyncio.Event()
    settings = Settings(GrpcSettings(address_file=folder / "address", drain_seconds=2.0))
    service = asyncio.create_task(run(settings, life.build, stop=stop))
    await until((folder / "address").exists)
    try:
        yield (folder / "address").read_text(encoding="utf-8")
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await service


async def test_a_service_is_ready_when_its_pings_pass(tmp_path: Path) -> None:
    life = Life(problem=UnavailableError("not yet"))
    async with running(life, tmp_path) as address, grpc_client.channel(address) as channel:
        await asyncio.sleep(0.3)
        assert not await grpc_client.is_serving(channel)
        life.problem = None
        await grpc_client.wait_until_serving(address, timeout_seconds=5)
        assert life.events == ["opened", "task running"]
    assert life.events == ["opened", "task running", "closed"]


async def test_a_task_with_a_bug_starts_again(tmp_path: Path) -> None:
    life = Life(task_failures=1)
    async with running(life, tmp_path):
        await until(lambda: "task running" in life.events)
    assert life.events == ["opened", "task failed", "task running", "closed"]


async def test_a_service_that_is_over_is_wired_anew_and_its_callers_hung_up_on(tmp_path: Path) -> None:
    over = asyncio.Event()
    life = Life()

    async def until_over() -> None:
        await over.wait()

    @asynccontextmanager
    async def build(settings: Settings) -> AsyncIterator[Service]:
        async with life.build(settings) as service:
            yield replace(service, until=until_over)
        over.clear()

    stop = asyncio.Event()
    running_service = asyncio.create_task(run(Settings(GrpcSettings(address_file=tmp_path / "address", drain_seconds=2.0)), build, stop=stop))
    await until((tmp_path / "address").exists)
    async with grpc_client.channel((tmp_path / "address").read_text(encoding="utf-8")) as channel:
        await grpc_client.ping(channel)
        over.set()
        await until(lambda: life.events.count("task running") == 2)
    await grpc_client.wait_until_serving((tmp_path / "address").read_text(encoding="utf-8"), timeout_seconds=5)
    assert life.events == ["opened", "task running", "closed", "opened", "task running"]
    stop.set()
    async with asyncio.timeout(10):
        await running_service


async def test_stopping_while_still_connecting_ends_at_once() -> None:
    stop = asyncio.Event()

    @asynccontextmanager
    async def build(settings: Settings) -> AsyncIterator[Service]:
        del settings
        await asyncio.Event().wait()
        yield Service(name="x")

    service = asyncio.create_task(run(Settings(GrpcSettings()), build, stop=stop))
    await asyncio.sleep(0.05)
    stop.set()
    async with asyncio.timeout(5):
        await service


SCRIPT = """
import asyncio, os, sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from services.common import jetstream, runtime, settings, streams
from services.common.consumer import Consumer

@dataclass
class Settings:
    grpc: object
    telemetry: object
    nats: object
    @classmethod
    def from_env(cls, environ):
        reader = settings.EnvReader(environ)
        values = cls(settings.GrpcSettings.from_env(reader), settings.TelemetrySettings.from_env(reader), settings.NatsSettings.from_env(reader))
        reader.refuse_unknown("x")
        return values

@asynccontextmanager
async def build(values):
    async def handle(payload):
        await asyncio.sleep(0.02)
        with open(sys.argv[1], "ab") as out:
            out.write(payload + b"\\n")
            out.flush()
    async with jetstream.connect(values.nats) as bus:
        yield runtime.Service(name="x", consumers=[Consumer(bus, streams.TRANSFORMER, handle, concurrency=2)], pings={"nats": bus.ping})

runtime.main("x", Settings.from_env, build)
"""


def start(out: Path, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(out)]
    return subprocess.Popen(command, env={"PATH": "/usr/bin", **environ}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.requirement("X-04")
async def test_a_service_restarted_while_it_consumes_handles_everything(own_nats_server: NatsServer, tmp_path: Path, recorder: Recorder) -> None:
    out = tmp_path / "out"
    out.touch()
    environ = {"TRANSLOAD_NATS_URL": own_nats_server.url, "TRANSLOAD_LOG_LEVEL": "ERROR"}
    expected = {b"%d" % number for number in range(60)}

    def handled() -> set[bytes]:
        return set(out.read_bytes().split())

    async with jetstream.connect(NatsSettings(own_nats_server.url)) as bus:
        for payload in expected:
            await bus.publish("raw.m.client", payload, msg_id=payload.decode())
        for number in range(3):
            seen = len(handled())
            process = start(out, **environ)
            await until(lambda seen=seen: len(handled()) > seen + 4)  # type: ignore[misc]
            process.terminate()
            stdout, stderr = await asyncio.to_thread(process.communicate)
            assert (number, process.returncode, stdout, stderr) == (number, 0, "", "")
        async with consuming(recorder.consumer(bus)):
            # A message that was on its way to a stopped process comes back only when nobody has answered for it in time.
            await until(lambda: handled() | set(recorder.handled) == expected, seconds_max=TRANSFORMER.ack_wait_seconds + 15)
        # A clean stop hands everything back, so nothing was done twice either.
        assert len(out.read_bytes().split()) + len(recorder.handled) == len(expected)


def test_a_wrong_setting_ends_with_a_message_that_names_it(tmp_path: Path) -> None:
    process = start(tmp_path / "out", TRANSLOAD_NATS_ULR="x")
    stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (EXIT_CONFIGURATION, "")
    assert "TRANSLOAD_NATS_ULR is not a setting; did you mean TRANSLOAD_NATS_URL?" in stderr
    assert "Traceback" not in stderr
