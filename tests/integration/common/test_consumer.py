from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import nats
import pytest

from services.common import errors
from services.common.consumer import Consumer
from services.common.jetstream import Bus
from services.common.streams import RAW, TRANSFORMER, ConsumerSpec
from tests.fakes.consuming import QUICK, Recorder, consuming, until

if TYPE_CHECKING:
    from tests.fakes.nats_server import NatsServer


async def publish(bus: Bus, *payloads: bytes) -> None:
    for payload in payloads:
        await bus.publish(RAW.subject("m", "client"), payload, msg_id=payload.decode())


async def waiting_count(bus: Bus) -> int:
    info = await bus._jetstream.consumer_info("RAW", "transformer")
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


@pytest.mark.requirement("X-04")
async def test_every_kind_of_message_ends_acknowledged_or_buried(bus: Bus, recorder: Recorder) -> None:
    async def work(payload: bytes) -> None:
        if payload == b"slow":
            await asyncio.sleep(0.1)

    recorder.work = work
    recorder.failures = {
        b"flaky": [errors.UnavailableError("away"), ValueError("a bug that passes")],
        b"limited": [errors.RateLimitedError("wait", retry_after_seconds=0.1)],
        b"held": [errors.ClaimHeldError("held")],
        b"paused": [errors.PausedError("paused")],
        b"early": [errors.NotFoundError("not yet")],
    }
    recorder.endless = {b"bad": errors.InvalidRecordError("broken date"), b"bug": KeyError("always")}
    good = [b"ok", b"slow", b"flaky", b"limited", b"held", b"paused", b"early"]
    async with consuming(recorder.consumer(bus)):
        await publish(bus, *good, b"bad", b"bug")
        await until(lambda: len(recorder.handled) == len(good) and len(recorder.buried) == 2)
    assert sorted(recorder.handled) == sorted(good)
    assert sorted(recorder.buried) == [b"bad", b"bug"]
    assert recorder.tried.count(b"bad") == 1
    assert recorder.tried.count(b"bug") == QUICK.bug_deliveries_max
    assert await waiting_count(bus) == 0


@pytest.mark.requirement("X-04")
async def test_a_message_that_nobody_can_use_is_given_up_and_the_next_one_handled(bus: Bus, recorder: Recorder) -> None:
    recorder.endless = {
        b"none": errors.MalformedMessageError("no message of this stream"),
        b"unknown": errors.NotFoundError("no such batch"),
        b"broken": errors.InvalidRequestError("strangers in the batch"),
        b"over": errors.PreconditionError("the run is over"),
        b"bug": KeyError("always"),
    }
    async with consuming(recorder.consumer(bus, buries=False)):
        await publish(bus, *recorder.endless, b"good")
        await until(
            lambda: recorder.handled == [b"good"] and len(recorder.tried) == 1 + 3 * QUICK.refused_deliveries_max + QUICK.bug_deliveries_max + 1
        )
    assert recorder.tried.count(b"none") == 1
    assert await waiting_count(bus) == 0


async def test_a_message_published_twice_arrives_once(bus: Bus, recorder: Recorder) -> None:
    await publish(bus, b"a", b"a", b"b")
    async with consuming(recorder.consumer(bus)):
        await until(lambda: b"b" in recorder.handled)
    assert sorted(recorder.handled) == [b"a", b"b"]


async def test_no_more_messages_are_in_hand_than_there_are_workers(bus: Bus, recorder: Recorder) -> None:
    in_hand = 0
    most = 0

    async def work(payload: bytes) -> None:
        nonlocal in_hand, most
        in_hand += 1
        most = max(most, in_hand)
        await asyncio.sleep(0.01)
        in_hand -= 1

    recorder.work = work
    await publish(bus, *(b"%d" % number for number in range(20)))
    async with consuming(recorder.consumer(bus, concurrency=2)):
        await until(lambda: len(recorder.handled) == 20)
    assert most == 2


async def test_a_long_job_is_kept_alive_and_not_handed_out_twice(bus: Bus, recorder: Recorder) -> None:
    impatient = ConsumerSpec(RAW, "transformer", ack_wait_seconds=0.6)
    bus._consumers = (impatient,)
    await bus.declare()

    async def work(payload: bytes) -> None:
        await asyncio.sleep(1.5)

    recorder.work = work
    await publish(bus, b"long")
    async with consuming(Consumer(bus, impatient, recorder.handle, concurrency=2, policy=QUICK)):
        await until(lambda: bool(recorder.handled))
    assert recorder.tried == [b"long"]


@pytest.mark.requirement("G-03")
async def test_a_rate_limit_pauses_all_workers(bus: Bus, recorder: Recorder) -> None:
    recorder.failures = {b"first": [errors.RateLimitedError("wait", retry_after_seconds=0.8)]}
    handled_times: dict[bytes, float] = {}

    async def work(payload: bytes) -> None:
        handled_times.setdefault(payload, time.monotonic())

    recorder.work = work
    await publish(bus, b"first", b"second")
    async with consuming(recorder.consumer(bus, concurrency=1)):
        await until(lambda: len(recorder.handled) == 2)
    assert handled_times[b"second"] - handled_times[b"first"] >= 0.75


async def test_what_cannot_be_buried_comes_back(bus: Bus, recorder: Recorder) -> None:
    recorder.endless = {b"bad": errors.MappingError("no rule")}
    attempts = 0

    async def bury(payload: bytes, error: Exception) -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise errors.UnavailableError("the ledger is away")
        await recorder.bury(payload, error)

    await publish(bus, b"bad")
    async with consuming(Consumer(bus, TRANSFORMER, recorder.handle, concurrency=1, on_buried=bury, policy=QUICK)):
        await until(lambda: recorder.buried == [b"bad"])
    assert recorder.tried == [b"bad", b"bad"]


async def test_stopping_finishes_what_is_in_hand(bus: Bus, recorder: Recorder) -> None:
    started = asyncio.Event()

    async def work(payload: bytes) -> None:
        started.set()
        await asyncio.sleep(0.2)

    recorder.work = work
    consumer = recorder.consumer(bus, concurrency=1)
    await publish(bus, b"a", b"b")
    async with consuming(consumer):
        await started.wait()
        consumer.stop()
    assert recorder.handled == [b"a"]
    assert await waiting_count(bus) == 1


@pytest.mark.requirement("X-04")
async def test_a_killed_worker_loses_nothing(bus: Bus, recorder: Recorder, own_nats_server: NatsServer) -> None:
    impatient = (ConsumerSpec(RAW, "transformer", ack_wait_seconds=0.5),)
    await Bus(bus._client, consumers=impatient).declare()
    await publish(bus, *(b"%d" % number for number in range(10)))
    dying = Recorder()
    hang = asyncio.Event()

    async def never_ends(payload: bytes) -> None:
        await hang.wait()

    dying.work = never_ends
    other = await nats.connect(own_nats_server.url)
    running = asyncio.create_task(dying.consumer(Bus(other, consumers=impatient)).run())
    await until(lambda: len(dying.tried) == 3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await other.close()
    async with consuming(recorder.consumer(bus)):
        await until(lambda: len(recorder.handled) == 10)
    assert len(set(recorder.handled)) == 10


@pytest.mark.requirement("X-04")
async def test_consuming_goes_on_after_nats_was_killed(bus: Bus, recorder: Recorder, own_nats_server: NatsServer) -> None:
    async with consuming(recorder.consumer(bus)):
        await publish(bus, b"before")
        await until(lambda: recorder.handled == [b"before"])
        own_nats_server.kill()
        own_nats_server.start()
        await until(lambda: bus.is_connected)
        await publish(bus, b"after")
        await until(lambda: b"after" in recorder.handled)


@pytest.mark.requirement("X-04")
async def test_streams_come_back_after_the_store_was_deleted(bus: Bus, recorder: Recorder, own_nats_server: NatsServer) -> None:
    before = await bus.incarnation()
    async with consuming(recorder.consumer(bus)):
        await publish(bus, b"before")
        await until(lambda: recorder.handled == [b"before"])
        own_nats_server.kill()
        own_nats_server.wipe()
        own_nats_server.start()
        await until(lambda: bus.is_connected)
        await publish(bus, b"after")
        await until(lambda: b"after" in recorder.handled)
        await publish(bus, b"later")
        await until(lambda: b"later" in recorder.handled)
    assert await bus.incarnation() != before
    assert await waiting_count(bus) == 0


async def test_a_deleted_consumer_is_declared_again(bus: Bus, recorder: Recorder) -> None:
    async with consuming(recorder.consumer(bus)):
        await publish(bus, b"before")
        await until(lambda: recorder.handled == [b"before"])
        await bus._jetstream.delete_consumer("RAW", "transformer")
        await publish(bus, b"after")
        await until(lambda: b"after" in recorder.handled)
