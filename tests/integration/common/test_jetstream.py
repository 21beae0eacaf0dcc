from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nats.errors
import pytest
from nats.aio.client import Client
from nats.js import api

from services.common import bus_connection, jetstream
from services.common.errors import PermanentError, UnavailableError
from services.common.jetstream import Bus
from services.common.settings import NatsSettings
from services.common.streams import CONSUMERS, MAPPED, RAW, StreamSpec
from tests.fakes.consuming import Recorder, consuming, until
from tests.fakes.nats_server import NatsServer

if TYPE_CHECKING:
    from pathlib import Path

SMALL = StreamSpec("RAW", messages_max=3, bytes_max=1024 * 1024)


async def test_streams_and_consumers_stand_as_the_table_says(bus: Bus) -> None:
    for stream in (RAW, MAPPED):
        config = (await bus._jetstream.stream_info(stream.name)).config
        assert config.subjects == [stream.subjects]
        assert (config.max_msgs, config.max_bytes) == (stream.messages_max, stream.bytes_max)
        assert (config.retention, config.discard) == (api.RetentionPolicy.WORK_QUEUE, api.DiscardPolicy.NEW)
    for consumer in CONSUMERS:
        settings = (await bus._jetstream.consumer_info(consumer.stream.name, consumer.name)).config
        assert (settings.ack_wait, settings.max_deliver) == (consumer.ack_wait_seconds, -1)


async def test_declaring_again_changes_limits_and_keeps_messages(bus: Bus) -> None:
    await bus.publish("raw.m.client", b"a", msg_id="a")
    smaller = Bus(bus._client, streams=(SMALL, MAPPED))
    await smaller.declare()
    info = await bus._jetstream.stream_info("RAW")
    assert (info.config.max_msgs, info.state.messages) == (3, 1)


async def test_a_full_stream_is_back_pressure(bus: Bus, recorder: Recorder) -> None:
    small = Bus(bus._client, streams=(SMALL, MAPPED))
    await small.declare()
    for number in range(3):
        await small.publish("raw.m.client", b"x", msg_id=str(number))
    with pytest.raises(UnavailableError, match="stream RAW is full"):
        await small.publish("raw.m.client", b"x", msg_id="3")
    publishing = asyncio.create_task(small.publish("raw.m.client", b"x", msg_id="4", full_wait_seconds=15.0))
    async with consuming(recorder.consumer(small)):
        await publishing
        await until(lambda: len(recorder.handled) == 4)


async def test_a_message_too_large_for_nats_is_permanent(bus: Bus) -> None:
    with pytest.raises(PermanentError) as caught:
        await bus.publish("raw.m.client", b"x" * 2_000_000, msg_id="large")
    assert caught.value.reason == "VALUE_TOO_LONG"


async def test_publishing_while_nats_is_away_is_unavailable_and_then_works(bus: Bus, own_nats_server: NatsServer) -> None:
    own_nats_server.kill()
    await until(lambda: not bus.is_connected)
    with pytest.raises(UnavailableError, match="did not store"):
        await bus.publish("raw.m.client", b"x", msg_id="x")
    with pytest.raises(UnavailableError):
        await bus.ping()
    own_nats_server.start()
    await until(lambda: bus.is_connected)
    await bus.publish("raw.m.client", b"x", msg_id="x")
    await bus.ping()


async def test_a_service_may_start_before_nats(tmp_path: Path) -> None:
    server = NatsServer(tmp_path)

    async def publish_one() -> str:
        async with jetstream.connect(NatsSettings(server.url)) as bus:
            await bus.publish("mapped.m.deals", b"x", msg_id="x")
            return await bus.incarnation()

    publishing = asyncio.create_task(publish_one())
    await asyncio.sleep(0.3)
    assert not publishing.done()
    server.start()
    try:
        async with asyncio.timeout(20):
            assert "MAPPED" in await publishing
    finally:
        server.kill()


@pytest.mark.requirement("X-04")
async def test_stored_messages_survive_a_kill(bus: Bus, recorder: Recorder, own_nats_server: NatsServer) -> None:
    for number in range(10):
        await bus.publish("raw.m.client", b"%d" % number, msg_id=str(number))
    own_nats_server.kill()
    own_nats_server.start()
    async with consuming(recorder.consumer(bus)):
        await until(lambda: len(recorder.handled) == 10)


def test_trace_context_travels_in_the_headers_and_spans_are_one_trace(nats_server: NatsServer) -> None:
    """In a process of its own, because a tracer provider is set once for good."""
    script = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from services.common import jetstream, telemetry
from services.common.consumer import Consumer
from services.common.settings import NatsSettings
from services.common.streams import LOADER
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
async def main():
    done = asyncio.Event()
    async def handle(payload):
        with telemetry.tracer().start_as_current_span("inner"):
            done.set()
    async with jetstream.connect(NatsSettings(sys.argv[1])) as bus:
        consumer = Consumer(bus, LOADER, handle, concurrency=1)
        running = asyncio.create_task(consumer.run())
        with telemetry.tracer().start_as_current_span("outer"):
            await bus.publish("mapped.traced.deals", b"x", msg_id="traced")
        await done.wait()
        consumer.stop()
        await running
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"outer", "publish", "process MAPPED", "inner"}, set(spans)
    assert len({span.context.trace_id for span in spans.values()}) == 1
    assert spans["process MAPPED"].parent.span_id == spans["publish"].context.span_id
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script, nats_server.url], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


async def test_an_attempt_that_failed_leaves_the_connection_that_came_after_it_alone(
    own_nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Flaky(Client):
        attempts = 0

        async def connect(self, **options: Any) -> None:  # type: ignore[override]
            Flaky.attempts += 1
            if Flaky.attempts == 2:  # as far as a client comes before it speaks to a server
                self._closed_cb, self._flush_queue = options["closed_cb"], asyncio.Queue()
            if Flaky.attempts <= 2:
                raise nats.errors.NoServersError
            await super().connect(**options)

    monkeypatch.setattr(bus_connection, "Client", Flaky)
    async with jetstream.connect(NatsSettings(own_nats_server.url)) as bus:
        first = bus.client
        await asyncio.sleep(0)  # whoever replaces connections had its turn
        await bus.ping()
        await bus.publish("raw.m.client", b"x", msg_id="x")
        assert (bus.client is first, Flaky.attempts) == (True, 3)
