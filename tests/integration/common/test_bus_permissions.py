"""A cluster of three servers that knows each service by its key: every service is refused everything that is not its own."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import nats.errors
import pytest
from nats.aio.client import Client

from services.common import bus_connection, jetstream
from services.common.bus_users import LEDGER_USER, LOADER_USER, TRANSFORMER_USER, USERS, BusUser
from services.common.errors import ConfigurationError, UnavailableError
from services.common.jetstream import Bus
from services.common.settings import NatsSettings
from services.common.streams import LOADER, TRANSFORMER
from tests.fakes.certificates import Authority
from tests.fakes.consuming import Recorder, consuming, until
from tests.fakes.nats_cluster import NatsCluster, nats_cluster
from transload.nkeys import NKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.fakes.nats_server import NatsServer

# The client drops the sockets of attempts that were refused; Python closes them.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
ACTS = [
    *(f"$JS.API.STREAM.{act}.{name}" for name in ("RAW", "MAPPED", "OTHER") for act in ("CREATE", "UPDATE", "INFO", "DELETE", "PURGE", "MSG.GET")),
    *(f"$JS.API.STREAM.{act}.RAW" for act in ("MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN", "PEER.REMOVE")),
    *(f"$JS.API.CONSUMER.{act}.RAW.transformer" for act in ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT", "PAUSE", "LEADER.STEPDOWN")),
    *(f"$JS.API.CONSUMER.{act}.MAPPED.loader" for act in ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT", "PAUSE", "LEADER.STEPDOWN")),
    *("$JS.API.CONSUMER.CREATE.RAW", "$JS.API.CONSUMER.CREATE.RAW.spy.raw.x", "$JS.API.CONSUMER.MSG.NEXT.RAW.spy", "$JS.API.CONSUMER.LIST.RAW"),
    *(
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "$JS.API.STREAM.LIST",
        "$JS.API.DIRECT.GET.RAW",
        "$JS.API.META.LEADER.STEPDOWN",
        "$JS.API.SERVER.REMOVE",
    ),
    *("$JS.ACK.RAW.transformer.1.1.1.1.1", "$JS.ACK.MAPPED.loader.1.1.1.1.1", "$JS.ACK.RAW.loader.1.1.1.1.1"),
    *("raw.m.client", "mapped.m.deals", "other.m", "$SYS.REQ.SERVER.PING", "$JS.FC.RAW.x", "_INBOX.x", *(f"{user.inbox}.x" for user in USERS)),
]
PLACES = ["raw.>", "mapped.>", ">", "_INBOX.>", "$SYS.>", "$JS.>", "$JS.API.>", "$JS.EVENT.>", *(f"{user.inbox}.>" for user in USERS)]
WORK = {"ledger": {"raw.m.client", "mapped.m.deals"}, "transformer": {"mapped.m.deals"}, "loader": set[str]()}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with nats_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture(autouse=True)
def dropped_sockets_are_closed_here() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
async def ledger(cluster: NatsCluster) -> AsyncIterator[Bus]:
    async with jetstream.connect(cluster.settings(LEDGER_USER), user=LEDGER_USER) as bus:
        yield bus


@asynccontextmanager
async def intruder(cluster: NatsCluster, key: NKey) -> AsyncIterator[tuple[Client, list[str]]]:
    """Somebody with a service's key and a client of their own, and what the servers refused them."""
    refused: list[str] = []

    async def on_error(error: Exception) -> None:
        refused.append(str(error).partition('"')[2].rstrip('"'))

    client = Client()
    client._public_nkey = key.public
    try:
        await client.connect(cluster.url.split(","), signature_cb=key.sign, error_cb=on_error, allow_reconnect=False)
        yield client, refused
    finally:
        await client.close()


def lowered(subjects: set[str]) -> set[str]:
    """As the client repeats them."""
    return {subject.lower() for subject in subjects}


def covers(pattern: str, subject: str) -> bool:
    """Whether a subject with wildcards stands for another."""
    words, others = pattern.split("."), subject.split(".")
    for number, word in enumerate(words):
        if word == ">":
            return len(others) > number
        if number >= len(others) or word != others[number]:
            return False
    return len(words) == len(others)


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
async def test_every_service_is_refused_the_subjects_of_every_other(cluster: NatsCluster, ledger: Bus, user: BusUser) -> None:
    assert ledger.is_connected
    everything = {*ACTS, *(subject.replace(">", "1") for one in USERS for subject in one.may_publish)}
    allowed = {subject for subject in everything if any(covers(own, subject) for own in user.may_publish)}
    # Said once more in words of the test's own: nobody's work, and no message's way, is open to another.
    assert {one for one in allowed if one.startswith(("raw.", "mapped."))} - {"raw.1", "mapped.1"} == WORK[user.name]
    async with intruder(cluster, cluster.keys[user.name]) as (client, refused):
        for subject in sorted(everything):
            await client.publish(subject, b"")
            await client.flush()  # of errors that come together the client tells one
        await until(lambda: len(refused) >= len(everything - allowed))
        assert set(refused) == lowered(everything - allowed)
        refused.clear()
        for place in PLACES:
            await client.subscribe(place)
            await client.flush()
        await until(lambda: len(refused) >= len(PLACES) - 1)
        assert set(refused) == lowered({*PLACES} - {f"{user.inbox}.>"})


async def test_who_has_no_key_or_a_strange_one_is_not_let_in(cluster: NatsCluster) -> None:
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization|no servers"):
        async with intruder(cluster, NKey.generate()):
            pass
    client = Client()
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization|no servers"):
        await client.connect(cluster.url.split(","), allow_reconnect=False)
    await client.close()


async def test_the_permissions_are_enough_for_the_way_of_a_page(
    cluster: NatsCluster, ledger: Bus, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    """Announced, transformed, loaded, with lags looked at; and not one refusal on the way."""
    async with (
        jetstream.connect(cluster.settings(TRANSFORMER_USER), user=TRANSFORMER_USER) as transformer,
        jetstream.connect(cluster.settings(LOADER_USER), user=LOADER_USER) as loader,
    ):

        async def transform(payload: bytes) -> None:
            await transformer.publish("mapped.m.deals", payload, msg_id=f"mapped {payload.decode()}")

        working = Recorder()
        working.work = transform
        async with consuming(working.consumer(transformer)), consuming(recorder.consumer(loader, LOADER)):
            for number in range(20):
                await ledger.publish("raw.m.client", b"page %d" % number, msg_id=f"page {number}")
            await until(lambda: len(set(recorder.handled) & {b"page %d" % number for number in range(20)}) == 20)
        await transformer.ping()
        await loader.ping()
        assert [(lag.consumer, lag.unanswered) for lag in await ledger.lags()] == [(TRANSFORMER, 0), (LOADER, 0)]
    assert problems(caplog, "nats.refused") == []


async def test_a_forbidden_message_is_not_stored_and_the_log_says_which(
    cluster: NatsCluster, ledger: Bus, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "PUBLISH_ATTEMPTS_MAX", 1)
    before = (await ledger._jetstream.stream_info("RAW")).state.last_seq
    async with jetstream.connect(cluster.settings(LOADER_USER), user=LOADER_USER) as loader:
        with pytest.raises(UnavailableError):
            await loader.publish("raw.m.client", b"x", msg_id="forbidden")
    assert (await ledger._jetstream.stream_info("RAW")).state.last_seq == before
    assert [problem for problem in problems(caplog, "nats.refused") if "raw.m.client" in problem]


async def test_workers_wait_until_the_ledger_has_declared_the_streams(tmp_path: Path) -> None:
    with nats_cluster(tmp_path) as cluster:
        async with asyncio.timeout(60):
            opening = asyncio.ensure_future(_ping(cluster, LOADER_USER))
            await asyncio.sleep(2)
            assert not opening.done()
            await _ping(cluster, LEDGER_USER)
            await opening


async def _ping(cluster: NatsCluster, user: BusUser) -> None:
    async with jetstream.connect(cluster.settings(user), user=user) as bus:
        await bus.ping()


async def test_a_key_is_changed_while_work_goes_on_and_a_withdrawn_one_ends_the_connection(
    cluster: NatsCluster, ledger: Bus, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = cluster.keys["transformer"], NKey.generate()
    async with jetstream.connect(cluster.settings(TRANSFORMER_USER), user=TRANSFORMER_USER) as old, consuming(recorder.consumer(old)):
        # Both keys are good.
        cluster.keys["transformer"], cluster.befores["transformer"] = after, before
        change_keys(cluster)
        async with jetstream.connect(cluster.settings(TRANSFORMER_USER), user=TRANSFORMER_USER) as new:
            await asyncio.gather(old.ping(), new.ping())
        # The old one is withdrawn: its holder is sent away and stays away.
        cluster.befores["transformer"] = NKey.generate()
        change_keys(cluster)
        await until(lambda: not old.is_connected)
        async with jetstream.connect(cluster.settings(TRANSFORMER_USER), user=TRANSFORMER_USER) as new:
            await new.ping()
        with pytest.raises(UnavailableError):
            await old.ping()
        # Let in again, the same process goes on by itself, with the same consumer.
        cluster.befores["transformer"] = before
        change_keys(cluster)
        await ledger.publish("raw.m.client", b"later", msg_id="later")
        await until(lambda: b"later" in recorder.handled, seconds_max=30)
    assert [problem for problem in problems(caplog, "nats.error") if "does not know our key" in problem]


async def test_who_was_sent_away_for_good_comes_back(cluster: NatsCluster, ledger: Bus, recorder: Recorder) -> None:
    async with jetstream.connect(cluster.settings(TRANSFORMER_USER), user=TRANSFORMER_USER) as bus, consuming(recorder.consumer(bus)):
        first = bus.client
        await first._process_err("'User Authentication Expired'")
        await until(lambda: first.is_closed and bus.is_connected)
        await ledger.publish("raw.m.client", b"after", msg_id="after")
        await until(lambda: b"after" in recorder.handled)
        assert bus.client is not first


def problems(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    """What was logged."""
    return [record.__dict__["fields"]["problem"] for record in caplog.records if record.message == event]


def change_keys(cluster: NatsCluster) -> None:
    cluster.write_keys()
    cluster.reload()


async def test_servers_show_a_certificate_of_an_authority_we_trust_or_are_told_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs", "stranger")
    monkeypatch.setattr(bus_connection, "COMPLAINT_SECONDS", 0.0)
    with nats_cluster(tmp_path / "servers", tls=authority.issue("localhost")) as cluster:
        settings = cluster.settings(LEDGER_USER)
        await _ping(cluster, LEDGER_USER)
        for ca_file in (stranger.ca_file, None):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3), jetstream.connect(NatsSettings(settings.url, 3, settings.key, ca_file), user=LEDGER_USER):
                    pass


async def test_with_authorities_named_a_server_without_tls_hears_nothing(own_nats_server: NatsServer, tmp_path: Path) -> None:
    settings = NatsSettings(own_nats_server.url, key=NKey.generate(), ca_file=Authority(tmp_path).ca_file)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(3), jetstream.connect(settings):
            pass


async def test_authorities_that_cannot_be_read_are_named(own_nats_server: NatsServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TRANSLOAD_NATS_TLS_CA_FILE"):
        async with jetstream.connect(NatsSettings(own_nats_server.url, ca_file=tmp_path / "nothing.pem")):
            pass


@pytest.mark.slow
async def test_who_is_connected_to_a_server_cut_off_from_the_others_leaves_it(
    cluster: NatsCluster, ledger: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "ELSEWHERE_SECONDS", 1.0)
    first = next(node for node in cluster.nodes if "ledger" in cluster.clients(node))
    with cluster.cut_off(first):
        async with asyncio.timeout(60):
            while True:
                try:
                    await ledger.ping()
                    await ledger.publish("raw.m.client", b"while it is cut off", msg_id="cut off")
                except UnavailableError:
                    await asyncio.sleep(0.1)
                else:
                    break
        assert "ledger" not in cluster.clients(first)
        assert [node for node in cluster.nodes if "ledger" in cluster.clients(node)]
    await asyncio.to_thread(cluster.wait_until_whole)
