"""What product code relies on of the object store, shown on a local folder, on a store with the protocol of S3 and on the simulated one alike."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from unittest import mock

import pytest

import services.common.staging
from services.common.errors import NotFoundError
from services.common.staging import Staging
from tests.fakes.s3 import ObjectStore as S3Store
from tests.fakes.s3 import object_store
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.object_store import ObjectStore
from tests.simulation.stand_ins import time_and_chance
from tests.simulation.trace import Trace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    Scenario = Callable[[Staging], Coroutine[Any, Any, None]]


class Run(Protocol):
    def __call__(self, scenario: Scenario, /) -> None: ...


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Store]:
    with object_store(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=["folder", "s3", "simulated"])
def run(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a scenario on a store of its own."""

    def on_folder(scenario: Scenario) -> None:
        asyncio.run(scenario(Staging.open((tmp_path / "staging").as_uri())))

    if request.param == "s3":
        environ = request.getfixturevalue("bucket").environ | {"no_proxy": "127.0.0.1"}
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return lambda scenario: asyncio.run(scenario(Staging.open(environ["TRANSLOAD_STAGING_URL"])))

    def simulated(scenario: Scenario) -> None:
        loop = SimulatedLoop(Random(1))
        store = ObjectStore(Network(Random(2), Trace(loop.time)))
        with ExitStack() as stack:

            def put(target: Any, name: str, value: Any) -> None:
                stack.enter_context(mock.patch.object(target, name, value))

            time_and_chance(put, Random(3))
            put(services.common.staging, "obstore", store)
            put(services.common.staging, "from_url", lambda _url: None)
            try:
                loop.run_until_complete(scenario(Staging.open("memory:///")))
            finally:
                loop.drop_all()
                loop.close()

    return simulated if request.param == "simulated" else on_folder


async def chunks(*parts: bytes, failure: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if failure is not None:
        raise failure


def test_a_page_comes_back_under_its_digest(run: Run) -> None:
    async def scenario(staging: Staging) -> None:
        digests = [await staging.put_page(b'[{"id":"1"}]') for _ in range(2)]
        assert digests == [hashlib.sha256(b'[{"id":"1"}]').hexdigest()] * 2
        assert await staging.get_page(digests[0]) == b'[{"id":"1"}]'
        assert await staging.exists(f"pages/{digests[0]}")

    run(scenario)


def test_a_file_comes_back_whole(run: Run) -> None:
    async def scenario(staging: Staging) -> None:
        parts = [b"a" * 1_500_000, b"", b"b" * 700_000]
        digest, byte_count = await staging.put_file(chunks(*parts))
        assert (digest, byte_count) == (hashlib.sha256(b"".join(parts)).hexdigest(), 2_200_000)
        assert await staging.put_file(chunks(*parts)) == (digest, byte_count)
        assert b"".join([chunk async for chunk in staging.read_file(digest)]) == b"".join(parts)

    run(scenario)


def test_a_file_that_breaks_off_is_not_there(run: Run) -> None:
    async def scenario(staging: Staging) -> None:
        with pytest.raises(ValueError, match="cut"):
            await staging.put_file(chunks(b"half", failure=ValueError("cut")))
        assert not await staging.exists(f"files/{hashlib.sha256(b'half').hexdigest()}")

    run(scenario)


def test_a_blob_is_replaced(run: Run) -> None:
    async def scenario(staging: Staging) -> None:
        await staging.put_blob("selections/a", b"1")
        await staging.put_blob("selections/a", b"2")
        assert await staging.get_blob("selections/a") == b"2"

    run(scenario)


def test_what_is_not_there_is_not_found(run: Run) -> None:
    async def scenario(staging: Staging) -> None:
        assert not await staging.exists("files/none")
        with pytest.raises(NotFoundError):
            await staging.get_blob("files/none")
        with pytest.raises(NotFoundError):
            _ = [chunk async for chunk in staging.read_file("none")]

    run(scenario)
