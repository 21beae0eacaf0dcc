"""Sends what nobody should send to every method and every stream of an installation, and collects what went wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import grpc
import nats
from grpc import aio
from nats.js import api

from services.common.streams import CONSUMERS
from tests.fuzz.installed import MESSAGES
from tests.fuzz.judge import Judge
from tests.fuzz.requests import Maker

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.harness import Installation
    from tests.fuzz.installed import Method
    from tests.fuzz.requests import Known

AT_ONCE: Final = 8
CALL_SECONDS: Final = 60.0
STREAM_SECONDS: Final = 0.5
"""A stream that tells what goes on has no end; the client leaves it after so long."""
SETTLE_SECONDS: Final = 60.0
_CHANNEL_OPTIONS: Final = (("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 64 * 1024 * 1024), ("grpc.enable_retries", 0))
_BUG_EVENTS: Final = frozenset({"rpc.failed", "task.failed", "message.failed", "service.cancelled"})


@dataclass(slots=True)
class Campaign:
    """One run against an installation.

    Attributes:
        problems: what went wrong, each once with the first case that showed it.
        answers: how often each status was answered.
    """

    installation: Installation
    known: Known
    seed: int
    problems: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)

    async def attack_methods(self, methods: list[Method], count: int) -> None:
        """Send `count` requests to every method."""
        judge = Judge([*self._keys(), str(self.installation.folder)])
        cases = [(method, number) for number in range(count) for method in methods]
        random.Random(self.seed).shuffle(cases)
        async with _Channels() as channels:
            await _side_by_side([self._attack(channels, judge, method, number) for method, number in cases])

    async def attack_streams(self, count: int) -> None:
        """Publish `count` messages on the subjects of every consumer, and wait until nothing of them waits any more."""
        client = await nats.connect(self.installation.stack.nats_url)
        try:
            jetstream = client.jetstream(timeout=10)
            for consumer in CONSUMERS:
                stream = consumer.stream
                for number in range(count):
                    maker = self._maker(stream.name, number)
                    raw = maker.make(MESSAGES[stream.name])
                    headers: dict[str, Any] = {api.Header.MSG_ID.value: f"fuzz/{stream.name}/{self.seed}/{number}"}
                    await jetstream.publish(f"{stream.name.lower()}.fuzz.{number % 7}", raw[:900_000], headers=headers)
            until = time.monotonic() + SETTLE_SECONDS
            for consumer in CONSUMERS:
                while True:
                    info = await jetstream.consumer_info(consumer.stream.name, consumer.name)
                    if not info.num_pending and not info.num_ack_pending:
                        break
                    if time.monotonic() > until:
                        self.note(f"{consumer.stream.name}: {info.num_pending} messages wait, {info.num_ack_pending} come back again and again", "")
                        break
                    await asyncio.sleep(0.1)
        finally:
            await client.close()

    async def look_after(self) -> None:
        """Note what the services' logs say of bugs, and processes that are not well."""
        for name in self.installation.stack.names:
            if self.installation.stack.restart_count(name):
                self.note(f"{name} died {self.installation.stack.restart_count(name)} times", "")
            elif not await self.installation.stack.is_serving(name):
                self.note(f"{name} does not serve", "")
            for event, words in bugs_in(self.installation.logs / f"{name}.log"):
                self.note(f"{name} logs {event}", words)

    def _keys(self) -> list[str]:
        return [path.read_text().strip() for path in (self.installation.stack.data_dir / "connections").glob("*/key")]

    def _maker(self, name: str, number: int) -> Maker:
        return Maker(self.known, random.Random(f"{self.seed}/{name}/{number}"))

    async def _attack(self, channels: _Channels, judge: Judge, method: Method, number: int) -> None:
        request = self._maker(method.path, number).make(method.request)
        try:
            await _call(channels, method, request)
        except aio.AioRpcError as error:
            self.answers[error.code().name] += 1
            if method.is_stream and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                return
            if problem := judge.problem(error, request):
                self.note(f"{method.path} {problem}", f"case {number}, {len(request)} bytes: {request[:300]!r}")
        else:
            self.answers["OK"] += 1

    def note(self, problem: str, where: str) -> None:
        """Keep a problem, and the first case that showed it."""
        self.problems.setdefault(problem[:600], where)


class _Channels:
    """One channel to each address, raw bytes in and out."""

    def __init__(self) -> None:
        self._open: dict[str, aio.Channel] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for channel in self._open.values():
            await channel.close(None)

    def to(self, address: str) -> aio.Channel:
        """Return the channel to an address."""
        if address not in self._open:
            self._open[address] = aio.insecure_channel(address, options=list(_CHANNEL_OPTIONS))
        return self._open[address]


async def _call(channels: _Channels, method: Method, request: bytes) -> None:
    channel = channels.to(method.address)
    raw: dict[str, Any] = {"request_serializer": _same, "response_deserializer": _same}
    if method.is_stream:
        call = channel.unary_stream(method.path, **raw)(request, timeout=STREAM_SECONDS)
        async for _ in call:
            pass
    else:
        await channel.unary_unary(method.path, **raw)(request, timeout=CALL_SECONDS)


def _same(raw: bytes) -> bytes:
    return raw


async def _side_by_side(calls: list[Any]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(call: Any) -> None:
        async with gate:
            await call

    await asyncio.gather(*(one(call) for call in calls))


def bugs_in(log: Path) -> list[tuple[str, str]]:
    """Return what a service logged that only a bug explains, each place in the code once: events with a traceback, and lines that are no event."""
    found: dict[str, tuple[str, str]] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            found.setdefault("no event", ("a line that is no event", line[:2000]))
            continue
        if entry.get("event") in _BUG_EVENTS or "traceback" in entry:
            words = str(entry.get("traceback", entry))
            place = hashlib.sha256("".join(line for line in words.splitlines() if line.startswith('  File "')).encode()).hexdigest()
            found.setdefault(place, (f"{entry.get('event')} {entry.get('method', '')} {words.splitlines()[-1][:200]}", words[-2500:]))
    return list(found.values())
