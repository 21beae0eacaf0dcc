"""Access on real sockets with real certificates: who gets in, who does not, and what changes while everything runs."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.common import errors, grpc_client
from services.common.access import interceptor, refusals
from services.common.access.roles import RULES, SERVICES, Role
from services.common.grpc_server import Server, serve
from services.common.settings import SecuritySettings
from tests.fakes.certificates import Authority, environ_of
from transload import client, watched
from transload.errors import TransloadCallError
from transload.security import ChannelSecurity, TlsFiles
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2_grpc import MigrationServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from services.common.access.refusals import Refusal

ROOT = Path(__file__).resolve().parents[3]
OURS = sorted(path for path in RULES if path.startswith("/transload."))
PEOPLE = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
STRANGER = "f" * 40
pytestmark = pytest.mark.asyncio(loop_scope="module")


def token_of(name: str) -> str:
    return f"{name}-".ljust(40, "0")


def access_yaml(*names: str) -> str:
    """Persons by token, named after their role, and our services by certificate."""
    persons = [
        f"  - {{actor: {name}@example.com, role: {name}, token_sha256: {hashlib.sha256(token_of(name).encode()).hexdigest()}}}" for name in names
    ]
    services = [f"  - {{actor: {name}, role: service, services: [{name}], certificate: transload-{name}}}" for name in SERVICES]
    return "\n".join(["callers:", *persons, *services, ""])


class Everything:
    """Serves every RPC of every contract with an empty answer, and notes the requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.registrations: list[tuple[Any, object]] = []
        self.rpcs: dict[str, tuple[type[Any], bool]] = {}
        for path in sorted((ROOT / "proto/transload/v1").glob("*.proto")):
            messages = importlib.import_module(f"transload.v1.{path.stem}_pb2")
            for service in messages.DESCRIPTOR.services_by_name.values():
                self._add(service, importlib.import_module(f"transload.v1.{path.stem}_pb2_grpc"))

    def _add(self, service: Any, stubs: Any) -> None:
        methods = {}
        for method in service.methods:
            request, response = method.input_type._concrete_class, method.output_type._concrete_class
            self.rpcs[f"/{service.full_name}/{method.name}"] = (request, method.server_streaming)
            methods[method.name] = self._streamed(response) if method.server_streaming else self._answered(response)
        servicer = type("Any", (getattr(stubs, f"{service.name}Servicer"),), methods)()
        self.registrations.append((getattr(stubs, f"add_{service.name}Servicer_to_server"), servicer))

    def _answered(self, response: type[Any]) -> Any:
        async def answer(_: Any, request: Any, context: Any) -> Any:
            self.requests.append(request)
            return response()

        return answer

    def _streamed(self, response: type[Any]) -> Any:
        async def answer(_: Any, request: Any, context: Any) -> AsyncIterator[Any]:
            self.requests.append(request)
            yield response()

        return answer

    async def call(self, to: aio.Channel, path: str, **fields: Any) -> None:
        """Call by the RPC's full path; raises what the call gave."""
        request, is_stream = self.rpcs[path]
        message = request(**fields).SerializeToString()
        if is_stream:
            async for _ in to.unary_stream(path, None, None)(message, timeout=10):
                pass
        else:
            await to.unary_unary(path, None, None)(message, timeout=10)


class World:
    """An authority, and a server that has a certificate of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "ours")
        self.access_file = folder / "access.yaml"
        self.access_file.write_text(access_yaml(*PEOPLE))
        self.files = self.authority.issue("localhost", file="server")
        self.people = self.authority.issue("people")
        self.everything = Everything()
        self.refused: list[Refusal] = []

    def security(self, *, wants_client_certificates: bool = True) -> SecuritySettings:
        return SecuritySettings(tls=self.files, wants_client_certificates=wants_client_certificates, access_file=self.access_file)

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator[Server]:
        async with serve("127.0.0.1:0", self.everything.registrations, security=self.security(**options), on_refused=self._note) as server:
            await server.set_serving(True)
            yield server

    async def _note(self, refusal: Refusal) -> None:
        self.refused.append(refusal)

    def channel(self, server: Server, files: TlsFiles | None = None, token: str = "") -> aio.Channel:
        security = ChannelSecurity(tls=files or self.people, token=(lambda: token) if token else None)
        # Channels to one address would share a connection, and with it the certificate of the first.
        return security.channel(server.address, options=[("grpc.use_local_subchannel_pool", 1)])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fort(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, Server]]:
    """One server with everything on, for tests that change nothing."""
    world = World(tmp_path_factory.mktemp("fort"))
    async with world.serving() as server:
        yield world, server


async def code_of(awaitable: Any) -> grpc.StatusCode:
    try:
        await awaitable
    except aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("path", OURS)
async def test_each_rpc_takes_the_roles_and_services_of_the_table_and_nobody_else(path: str, fort: tuple[World, Server]) -> None:
    world, server = fort
    rule = RULES[path]
    refused_before, served_before = len(world.refused), len(world.everything.requests)
    allowed = 0
    for role in PEOPLE:
        async with world.channel(server, token=token_of(role)) as channel:
            is_allowed = rule.role is not None and PEOPLE.index(role) >= PEOPLE.index(rule.role)
            wanted = grpc.StatusCode.OK if is_allowed else grpc.StatusCode.PERMISSION_DENIED
            assert await code_of(world.everything.call(channel, path)) is wanted, role
            allowed += is_allowed
    for name in SERVICES:
        async with world.channel(server, world.authority.issue(f"transload-{name}")) as channel:
            wanted = grpc.StatusCode.OK if name in rule.services else grpc.StatusCode.PERMISSION_DENIED
            assert await code_of(world.everything.call(channel, path)) is wanted, name
            allowed += name in rule.services
    for token in ("", STRANGER):
        async with world.channel(server, token=token) as channel:
            assert await code_of(world.everything.call(channel, path)) is grpc.StatusCode.UNAUTHENTICATED
    assert len(world.everything.requests) == served_before + allowed
    assert len(world.refused) == refused_before + 8 - allowed, "every refusal of somebody known is told, none of a stranger"


async def test_a_refusal_says_what_was_needed(fort: tuple[World, Server]) -> None:
    world, server = fort
    security = ChannelSecurity(tls=world.people, token=lambda: token_of(Role.OPERATOR))
    async with client.Client.connect(server.address, actor="somebody else", security=security) as connected:
        with pytest.raises(TransloadCallError, match=r"operator@example\.com may not call ApproveMigration: it needs the role approver") as caught:
            await connected.approve("acme", "digest")
    assert caught.value.reason == "ACCESS_DENIED"
    assert caught.value.metadata == {"rpc": "ApproveMigration", "role": "operator", "needed": "approver"}
    refusal = world.refused[-1]
    assert (refusal.actor, refusal.migration_id, refusal.facts["rpc"]) == ("operator@example.com", "acme", "ApproveMigration")


async def test_the_trail_has_the_callers_name_and_not_the_one_it_claims(fort: tuple[World, Server]) -> None:
    world, server = fort
    security = ChannelSecurity(tls=world.people, token=lambda: token_of(Role.APPROVER))
    async with client.Client.connect(server.address, actor="the managing director", security=security) as connected:
        await connected.approve("acme", "digest")
    assert world.everything.requests[-1] == pb.ApproveMigrationRequest(
        migration_id="acme", diff_digest="digest", actor="approver@example.com", request_id=world.everything.requests[-1].request_id
    )


async def test_a_service_gets_its_own_error_back_through_our_channel(fort: tuple[World, Server]) -> None:
    world, server = fort
    security = ChannelSecurity(tls=world.authority.issue("transload-loader"))
    async with grpc_client.channel(server.address, security=security) as channel:
        await grpc_client.ping(channel)
        with pytest.raises(errors.AccessDeniedError, match="loader may not call StartLoad: it needs the role operator"):
            await MigrationServiceStub(channel).StartLoad(pb.StartLoadRequest(migration_id="acme"))
    security = ChannelSecurity(tls=world.people, token=lambda: STRANGER)
    async with grpc_client.channel(server.address, security=security) as channel:
        with pytest.raises(errors.UnauthenticatedError, match="not known here"):
            await MigrationServiceStub(channel).GetMigration(pb.GetMigrationRequest(migration_id="acme"))


async def test_what_a_stranger_sends_is_not_parsed_and_what_a_known_caller_sends_is_refused_in_words(fort: tuple[World, Server]) -> None:
    world, server = fort
    path = "/transload.v1.MigrationService/GetMigration"
    for token, code in (("", grpc.StatusCode.UNAUTHENTICATED), (token_of(Role.VIEWER), grpc.StatusCode.INVALID_ARGUMENT)):
        async with world.channel(server, token=token) as channel:
            assert await code_of(channel.unary_unary(path, None, None)(b"\xff\xff\xff", timeout=10)) is code


async def test_health_is_open_and_reflection_is_not(fort: tuple[World, Server]) -> None:
    world, server = fort
    async with world.channel(server) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert await code_of(_reflected(channel)) is grpc.StatusCode.UNAUTHENTICATED
    async with world.channel(server) as channel:
        found = await _reflected(channel, [("authorization", f"Bearer {token_of(Role.VIEWER)}")])
    assert "transload.v1.MigrationService" in found


async def _reflected(channel: aio.Channel, metadata: Any = None) -> set[str]:
    async def ask() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    async for response in stub.ServerReflectionInfo(ask(), timeout=10, metadata=metadata):
        return {service.name for service in response.list_services_response.service}
    return set()


async def test_without_a_right_certificate_nobody_gets_as_far_as_a_call(world: World) -> None:
    strangers = Authority(world.folder / "strangers", name="strangers")
    theirs = strangers.issue("people")
    mixed = TlsFiles(world.authority.ca_file, theirs.certificate, theirs.key)
    async with world.serving() as server:
        for files in (
            TlsFiles(world.authority.ca_file),
            mixed,
            world.authority.issue("late", lives=timedelta(hours=-1)),
            TlsFiles(strangers.ca_file, world.people.certificate, world.people.key),
        ):
            async with world.channel(server, files, token_of(Role.ADMIN)) as channel:
                assert await code_of(world.everything.call(channel, "/transload.v1.MigrationService/ListMigrations")) is grpc.StatusCode.UNAVAILABLE
        async with aio.insecure_channel(server.address) as plain:
            assert await code_of(world.everything.call(plain, "/transload.v1.MigrationService/ListMigrations")) is grpc.StatusCode.UNAVAILABLE
    assert world.everything.requests == []


async def test_a_server_with_an_ended_certificate_is_not_believed(world: World) -> None:
    world.authority.issue("localhost", file="server", lives=timedelta(hours=-1))
    async with world.serving() as server, world.channel(server, token=token_of(Role.ADMIN)) as channel:
        assert await code_of(world.everything.call(channel, "/transload.v1.MigrationService/ListMigrations")) is grpc.StatusCode.UNAVAILABLE


async def test_where_certificates_are_not_wanted_tokens_decide(world: World) -> None:
    only_ca = TlsFiles(world.authority.ca_file)
    path = "/transload.v1.MigrationService/ListMigrations"
    async with world.serving(wants_client_certificates=False) as server:
        async with world.channel(server, only_ca, token_of(Role.VIEWER)) as channel:
            assert await code_of(world.everything.call(channel, path)) is grpc.StatusCode.OK
        # A certificate that nobody looked at says nothing, however right it is.
        async with world.channel(server, world.authority.issue("transload-ledger")) as channel:
            assert await code_of(world.everything.call(channel, path)) is grpc.StatusCode.UNAUTHENTICATED


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at with every use."""
    monkeypatch.setattr(watched, "LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("eager")
async def test_changed_certificates_are_in_force_for_the_next_connection_and_broken_ones_are_not(world: World) -> None:
    path = "/transload.v1.MigrationService/ListMigrations"

    async def is_let_in(files: TlsFiles) -> bool:
        async with world.channel(server, files, token_of(Role.VIEWER)) as channel:
            return await code_of(world.everything.call(channel, path)) is grpc.StatusCode.OK

    new = Authority(world.folder / "new", name="new")
    joined = world.files.ca
    assert joined is not None
    async with world.serving() as server, world.channel(server, token=token_of(Role.VIEWER)) as lasting:
        await world.everything.call(lasting, path)
        assert await is_let_in(world.people)
        assert not await is_let_in(new.issue("people"))
        assert world.files.key is not None
        before = world.files.key.read_bytes()
        world.files.key.write_bytes(b"broken")
        assert await is_let_in(world.people), "the last good certificate stays in force"
        world.files.key.write_bytes(before)
        # From one authority to another: both are trusted, then the server's certificate changes, then the old one is taken out.
        joined.write_bytes(joined.read_bytes() + new.ca_file.read_bytes())
        theirs = new.issue("people")
        assert await is_let_in(TlsFiles(joined, theirs.certificate, theirs.key))
        server_files = new.issue("localhost", file="server")
        assert world.files.certificate is not None
        assert server_files.certificate is not None
        assert server_files.key is not None
        world.files.key.write_bytes(server_files.key.read_bytes())
        world.files.certificate.write_bytes(server_files.certificate.read_bytes())
        joined.write_bytes(new.ca_file.read_bytes())
        assert await is_let_in(theirs)
        assert not await is_let_in(TlsFiles(new.ca_file, world.people.certificate, world.people.key))
        assert await code_of(world.everything.call(lasting, path)) is grpc.StatusCode.OK, "a connection that stands goes on"


@pytest.mark.usefixtures("eager")
async def test_a_service_calls_with_its_new_certificate_without_being_started_again(world: World) -> None:
    files = world.authority.issue("transload-extractor", file="me")
    request = pb.StartLoadRequest(migration_id="acme")
    async with world.serving() as server, grpc_client.channel(server.address, security=ChannelSecurity(tls=files)) as channel:
        stub = MigrationServiceStub(channel)
        with pytest.raises(errors.AccessDeniedError, match="extractor may not"):
            await stub.StartLoad(request)
        world.authority.issue("transload-loader", file="me")
        with pytest.raises(errors.AccessDeniedError, match="loader may not"):
            await stub.StartLoad(request)
        assert files.key is not None
        files.key.write_bytes(b"broken")
        with pytest.raises(errors.AccessDeniedError, match="loader may not"):
            await stub.StartLoad(request)


@pytest.mark.usefixtures("eager")
async def test_who_is_taken_out_of_the_list_loses_running_streams_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Semaphore(0)

    async def watch(_: Any, request: Any, context: Any) -> AsyncIterator[Any]:
        while True:
            yield pb.WatchMigrationResponse()
            await go_on.acquire()

    servicer = next(servicer for add, servicer in world.everything.registrations if add.__name__.startswith("add_MigrationService"))
    monkeypatch.setattr(type(servicer), "WatchMigration", watch)
    async with world.serving() as server, world.channel(server, token=token_of(Role.VIEWER)) as channel:
        stream = MigrationServiceStub(channel).WatchMigration(pb.WatchMigrationRequest(migration_id="acme"), timeout=10)
        assert await stream.read() == pb.WatchMigrationResponse()
        go_on.release()
        assert await stream.read() == pb.WatchMigrationResponse()
        world.access_file.write_text(access_yaml(Role.ADMIN))
        go_on.release()
        with pytest.raises(aio.AioRpcError) as caught:
            await stream.read()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_from_a_file_is_read_again(world: World, eager: None) -> None:
    token_file = world.folder / "token"
    token_file.write_text(token_of(Role.VIEWER) + "\n")
    environ = environ_of(world.people) | {"TRANSLOAD_TOKEN_FILE": str(token_file)}
    async with (
        world.serving() as server,
        client.Client.connect(server.address, actor="", security=ChannelSecurity.from_env(environ)) as connected,
    ):
        with pytest.raises(TransloadCallError, match=r"viewer@example\.com may not"):
            await connected.start_load("acme")
        token_file.write_text(token_of(Role.OPERATOR))
        await connected.start_load("acme")


async def test_a_flood_of_strangers_leaves_one_line_in_ten_seconds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(refusals._LOG, "warning", lambda event, **fields: lines.append(fields))
    moment = [0.0]
    noted = refusals.Refusals(monotonic=lambda: moment[0])
    monkeypatch.setattr(interceptor, "Refusals", lambda *_: noted)
    for _ in range(50):
        noted.unknown("/anything/at-all", errors.UnauthenticatedError("who"))
    moment[0] = refusals.LOG_SECONDS
    noted.unknown("/transload.v1.MigrationService/StartLoad", errors.UnauthenticatedError("who"))
    assert [(line["method"], line["calls"]) for line in lines] == [("other", 1), ("StartLoad", 50)]


async def test_probes_ask_a_port_without_tls_that_answers_nothing_else(world: World, free_port: Callable[[], int]) -> None:
    listen = f"127.0.0.1:{free_port()}"
    fort = serve("127.0.0.1:0", world.everything.registrations, security=world.security(), health_listen=listen)
    async with fort as server, aio.insecure_channel(listen) as plain:
        stub = health_pb2_grpc.HealthStub(plain)
        assert (await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await server.set_serving(True)
        assert (await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)).status == health_pb2.HealthCheckResponse.SERVING
        assert await code_of(world.everything.call(plain, "/transload.v1.MigrationService/ListMigrations")) is grpc.StatusCode.UNIMPLEMENTED


async def test_a_service_does_not_start_with_a_broken_list_or_certificate(world: World) -> None:
    assert world.files.key is not None
    key = world.files.key.read_bytes()
    world.files.key.write_bytes(b"broken")
    with pytest.raises(errors.ConfigurationError, match="holds no private key"):
        async with world.serving():
            pass
    world.files.key.write_bytes(key)
    world.access_file.write_text("callers: [")
    with pytest.raises(errors.ConfigurationError, match="TRANSLOAD_ACCESS_FILE"):
        async with world.serving():
            pass
