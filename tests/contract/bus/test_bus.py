"""What product code relies on of JetStream, shown on a real server and on the simulated one alike."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import nats.errors
import pytest

from services.common import jetstream
from services.common.errors import PermanentError, UnavailableError
from services.common.jetstream import Bus
from services.common.settings import NatsSettings
from services.common.streams import MAPPED, ConsumerSpec, StreamSpec
from tests.contract.bus.sites import Site, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RAW = StreamSpec("RAW", messages_max=3, bytes_max=1024 * 1024)
TRANSFORMER = ConsumerSpec(RAW, "transformer", ack_wait_seconds=1.0)
LOADER = ConsumerSpec(MAPPED, "loader")
SUBJECT = "raw.m.client"


@asynccontextmanager
async def connected(site: Site) -> AsyncIterator[Bus]:
    async with jetstream.connect(NatsSettings(site.url)) as bus:
        small = Bus(bus._client, streams=(RAW, MAPPED), consumers=(TRANSFORMER, LOADER))
        await small.declare()
        yield small


async def next_message(bus: Bus, seconds: float = 5.0) -> Any:
    subscription = await bus.pull(TRANSFORMER)
    message = (await subscription.fetch(1, timeout=seconds))[0]
    await subscription.unsubscribe()
    return message


async def nothing_comes(bus: Bus, seconds: float) -> bool:
    try:
        await next_message(bus, seconds)
    except (TimeoutError, nats.errors.TimeoutError):
        return True
    return False


def test_a_message_comes_as_it_was_sent_and_is_gone_once_acknowledged(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            await bus.publish(SUBJECT, b"one", msg_id="1")
            message = await next_message(bus)
            assert (message.data, message.subject, message.metadata.num_delivered) == (b"one", SUBJECT, 1)
            assert message.headers["Nats-Msg-Id"] == "1"
            await message.ack_sync(timeout=5.0)
            assert await nothing_comes(bus, 1.5)

    site.run(scenario)


def test_one_id_is_stored_once(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            for _ in range(3):
                await bus.publish(SUBJECT, b"one", msg_id="1")
            await (await next_message(bus)).ack_sync(timeout=5.0)
            await bus.publish(SUBJECT, b"one", msg_id="1")
            assert await nothing_comes(bus, 0.5)

    site.run(scenario)


def test_messages_come_in_their_order_each_to_one_taker(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            for text in (b"a", b"b", b"c"):
                await bus.publish(SUBJECT, text, msg_id=text.decode())
            assert [(await next_message(bus)).data for _ in range(3)] == [b"a", b"b", b"c"]
            assert await nothing_comes(bus, 0.3)

    site.run(scenario)


def test_a_full_stream_refuses_until_there_is_room(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            for number in range(3):
                await bus.publish(SUBJECT, b"x", msg_id=str(number))
            with pytest.raises(UnavailableError, match="stream RAW is full"):
                await bus.publish(SUBJECT, b"x", msg_id="3")
            await (await next_message(bus)).ack_sync(timeout=5.0)
            await bus.publish(SUBJECT, b"x", msg_id="3")

    site.run(scenario)


def test_what_is_handed_back_comes_again_after_its_delay(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            await bus.publish(SUBJECT, b"x", msg_id="1")
            await (await next_message(bus)).nak(delay=0.6)
            assert await nothing_comes(bus, 0.3)
            assert (await next_message(bus)).metadata.num_delivered == 2

    site.run(scenario)


def test_what_is_not_answered_comes_again_and_a_sign_of_life_puts_it_off(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            await bus.publish(SUBJECT, b"x", msg_id="1")
            message = await next_message(bus)
            for _ in range(3):
                assert await nothing_comes(bus, 0.6)
                await message.in_progress()
            assert (await next_message(bus)).metadata.num_delivered == 2

    site.run(scenario)


def test_a_late_acknowledgement_still_counts(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            await bus.publish(SUBJECT, b"x", msg_id="1")
            first = await next_message(bus)
            second = await next_message(bus)
            assert second.metadata.num_delivered == 2
            await first.ack_sync(timeout=5.0)
            assert await nothing_comes(bus, 1.5)

    site.run(scenario)


def test_what_is_buried_never_comes_again(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            await bus.publish(SUBJECT, b"x", msg_id="1")
            await (await next_message(bus)).term()
            assert await nothing_comes(bus, 1.5)

    site.run(scenario)


def test_a_payload_too_large_is_refused_for_good(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            with pytest.raises(PermanentError):
                await bus.publish(SUBJECT, b"x" * 2_000_000, msg_id="1")

    site.run(scenario)


def test_what_was_stored_outlives_the_server(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            await bus.publish(SUBJECT, b"x", msg_id="1")
            before = await bus.incarnation()
            site.kill()
            await until(lambda: not bus.is_connected)
            with pytest.raises(UnavailableError):
                await bus.publish(SUBJECT, b"y", msg_id="2")
            site.start()
            await until(lambda: bus.is_connected)
            assert await bus.incarnation() == before
            assert (await next_message(bus)).data == b"x"

    site.run(scenario)


def test_a_wiped_store_is_another_incarnation_that_takes_messages(site: Site) -> None:
    async def scenario() -> None:
        async with connected(site) as bus:
            await bus.publish(SUBJECT, b"x", msg_id="1")
            before = await bus.incarnation()
            site.kill()
            site.wipe()
            await until(lambda: not bus.is_connected)
            site.start()
            await until(lambda: bus.is_connected)
            await bus.publish(SUBJECT, b"y", msg_id="1")
            assert await bus.incarnation() != before
            assert (await next_message(bus)).data == b"y"

    site.run(scenario)
