"""Secrets of every kind are planted, a migration is run with a failing login in it, and then everything that was written is looked through."""

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import asyncpg
import pytest
import zstandard
from aiohttp import web

from tests.e2e.harness import ACTOR, Rehearsal, installation
from tests.fakes.certificates import Authority, environ_of
from tests.fakes.collector import Collector, collector
from tests.fakes.postgres import PostgresUnavailableError, create_database, postgres_server
from transload.client import Client
from transload.embedded import simulators
from transload.errors import TransloadCallError
from transload.nkeys import NKey
from transload.security import ChannelSecurity
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.slow]

VIEWER = "vera@example.com"
_ZSTD = b"\x28\xb5\x2f\xfd"


def planted(kind: str) -> str:
    """A secret that stands nowhere by chance, with characters that addresses and base64 write otherwise."""
    return f"{kind}+planted/{secrets.token_hex(12)}="


def forms(secret: str) -> Iterator[bytes]:
    yield from (secret.encode(), quote(secret, safe="").encode(), quote(secret).encode(), quote_plus(secret).encode())
    yield from (secret.encode("utf-16-le"), secret.encode().hex().encode())
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Without the ends, which depend on what stands beside.
            yield encode(b"-" * shift + secret.encode())[4:-4]


@dataclass
class Search:
    """Looks for the secrets in everything it is shown."""

    secrets: Mapping[str, str]
    found: set[str] = field(default_factory=set)
    _forms: list[tuple[str, bytes]] = field(default_factory=list)
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    byte_count: int = 0
    places: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._forms = sorted({(name, form) for name, secret in self.secrets.items() for form in forms(secret)})

    def look(self, where: str, content: bytes) -> None:
        """Look through bytes, and what is packed in them."""
        self.places.add(where)
        self.byte_count += len(content)
        self.found |= {f"{name} in {where}" for name, form in self._forms if form in content}
        if content.startswith(_ZSTD):
            self.look(where, zstandard.ZstdDecompressor().decompressobj().decompress(content))

    def look_at_files(self, folder: Path, *, without: tuple[str, ...] = ()) -> None:
        """Look through all files below a folder; those that go away meanwhile are seen at another time."""
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            if path.is_file() and not name.startswith(without):
                with contextlib.suppress(FileNotFoundError):
                    stamp = path.stat().st_mtime_ns, path.stat().st_size
                    if self._seen.get(path) != stamp:
                        self._seen[path] = stamp
                        self.look(f"{folder.name}/{name}", path.read_bytes())

    def look_at_processes(self) -> None:
        """Look at the arguments of every process of the machine."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                self.look("arguments of a process", path.read_bytes())

    def look_at_telemetry(self, collecting: Collector) -> None:
        """Look through what was exported."""
        for span in collecting.spans.values():
            self.look(f"span {span.name}", "\n".join(span.texts).encode())
        self.look("metrics", "\n".join(collecting.metric_texts).encode())


@contextlib.asynccontextmanager
async def gossip() -> AsyncIterator[str]:
    """A system that refuses every call and repeats all that it was told, in every place its words could be taken from."""

    async def answer(request: web.Request) -> web.Response:
        told = " ".join([*request.headers.values(), request.path_qs, (await request.read()).decode("utf-8", "replace")])
        words = dict.fromkeys(("error", "message", "code", "error-code", "errorCode", "error_info", "error_description"), told)
        return web.json_response({"success": False, **words}, status=403)

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(application, handle_signals=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    secret = planted("any")
    content = f"before {secret} after".encode()
    kinds = [content, base64.b64encode(content), base64.b64encode(b"x" + content), quote(content).encode(), quote_plus(content).encode()]
    for number, one in enumerate([*kinds, zstandard.compress(content), zstandard.compress(base64.b64encode(content)), content.hex().encode()]):
        (tmp_path / f"file-{number}").write_bytes(b"\0" * 100 + one if not one.startswith(_ZSTD) else one)
    search = Search({"any": secret})
    search.look_at_files(tmp_path)
    assert len(search.found) == 8
    search = Search({"any": planted("any")})
    search.look_at_files(tmp_path)
    assert search.found == set()


@pytest.mark.requirement("X-06")
@pytest.mark.parametrize(("connector", "size", "database"), [("stel_order", 5, "sqlite"), ("servicetracker", 2, "postgresql")])
async def test_no_secret_is_written_anywhere(connector: str, size: int, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: planted(name) for name in ("source", "pipedrive", "refresh", "service", "person", "viewer", "database")}
    given["nats"] = NKey.generate().seed
    keys = iter((given["source"], given["pipedrive"]))
    # The stand-ins' own secrets have twenty bytes; the key of their control interface, which is none of the product's, has fewer.
    monkeypatch.setattr(simulators, "secrets", SimpleNamespace(token_hex=lambda count: next(keys) if count == 20 else secrets.token_hex(count)))
    search = Search(given)
    async with contextlib.AsyncExitStack() as exits:
        collecting = await exits.enter_async_context(collector())
        env = collecting.environ | _access(tmp_path / "keys", given) | {"TRANSLOAD_LOG_LEVEL": "DEBUG", "TRANSLOAD_NATS_NKEY_SEED": given["nats"]}
        store = None
        if database == "postgresql":
            server, store = await _postgres(exits)
            env["TRANSLOAD_LEDGER_DATABASE_URL"] = (await create_database(server, "ledger")).replace(
                "postgres@", f"postgres:{quote(given['database'], '')}@"
            )
        security = ChannelSecurity.from_env(env | {"TRANSLOAD_TOKEN": given["person"]})
        refresh: tuple[str, ...] = ()
        if connector == "servicetracker":
            (tmp_path / "keys" / "refresh").write_text(given["refresh"])
            refresh = ("--refresh-token-file", str(tmp_path / "keys" / "refresh"))
        async with (
            installation(tmp_path, env, security=security) as installed,
            installed.rehearsal(connector=connector, size=size, source=refresh) as rehearsal,
        ):
            if refresh:
                _connection(rehearsal, "source").joinpath("refresh_token").write_text(given["refresh"])
            watching = asyncio.create_task(_watch_processes(search))
            await _audit_with_gossips(rehearsal)
            await _viewer_is_refused(rehearsal, ChannelSecurity.from_env(env | {"TRANSLOAD_TOKEN": given["viewer"]}))
            await rehearsal.run_to(pb.MIGRATION_STATE_SAMPLED)
            search.look_at_files(tmp_path / "stack", without=("connections",))
            # The sample loads already; the rest of the way is the same for both.
            if connector == "stel_order":
                await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
                search.look_at_files(tmp_path / "stack", without=("connections",))
                await rehearsal.step("reconcile")
                await _look_at_answers(search, rehearsal, env | {"TRANSLOAD_TOKEN": given["person"]})
            await rehearsal.step("rollback")
            search.look_at_files(tmp_path / "stack", without=("connections",))
            watching.cancel()
        search.look_at_files(tmp_path / "stack", without=("connections",))
        if store is not None:
            search.look_at_files(store)
        search.look_at_telemetry(collecting)
    assert search.found == set()
    # That it looked everywhere.
    wanted = {"logs/ledger.log", "logs/loader.log", "logs/extractor.log", "nats/jetstream", "staging/pages", "metrics", "arguments of a process"}
    wanted |= {"store/base/" if store is not None else "stack/ledger.db", "span transload.v1.LedgerService/SettleBatch"}
    assert {want for want in wanted if not any(want in place for place in search.places)} == set()
    assert search.byte_count > 5_000_000


def _access(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """TLS with client certificates, one person and our services, all by token."""
    files = Authority(folder).issue("localhost")
    callers = [
        {"actor": ACTOR, "role": "admin", "token_sha256": hashlib.sha256(given["person"].encode()).hexdigest()},
        {"actor": VIEWER, "role": "viewer", "token_sha256": hashlib.sha256(given["viewer"].encode()).hexdigest()},
        {
            "actor": "services",
            "role": "service",
            "services": ["extractor", "transformer", "loader", "ledger"],
            "token_sha256": hashlib.sha256(given["service"].encode()).hexdigest(),
        },
    ]
    (folder / "access.yaml").write_text(json.dumps({"callers": callers}))
    return environ_of(files) | {"TRANSLOAD_ACCESS_FILE": str(folder / "access.yaml"), "TRANSLOAD_SERVICE_TOKEN": given["service"]}


async def _postgres(exits: contextlib.AsyncExitStack) -> tuple[str, Path]:
    """A server, and where it keeps its files."""
    try:
        server = exits.enter_context(postgres_server())
    except PostgresUnavailableError as error:
        pytest.skip(str(error))
    connection = await asyncpg.connect(f"{server}/postgres")
    try:
        return server, Path(await connection.fetchval("SHOW data_directory"))
    finally:
        await connection.close()


def _connection(rehearsal: Rehearsal, side: str) -> Path:
    return rehearsal.installation.stack.data_dir / "connections" / f"{rehearsal.migration_id}-{side}"


async def _audit_with_gossips(rehearsal: Rehearsal) -> None:
    """First the source, then Pipedrive is somebody who repeats the secret in the refusal."""
    async with gossip() as address:
        urls = {}
        for side in ("source", "target"):
            url = _connection(rehearsal, side) / "url"
            urls[side] = url, url.read_text()
            url.write_text(address)
        await rehearsal.start("audit")
        for side in ("source", "target"):
            migration = await rehearsal.finish()
            assert migration.latest_run.state != pb.RUN_STATE_SUCCEEDED, side
            told = migration.pause_message + migration.latest_run.message
            # What a source says is not passed on beyond its code; Pipedrive's words are.
            assert side == "source" or "[secret]" in told, told
            url, right = urls[side]
            url.write_text(right)
            await (rehearsal.client.resume(rehearsal.migration_id) if migration.pause_kind else rehearsal.start("audit"))
    rehearsal.expect_success(await rehearsal.finish(), "audit")


async def _viewer_is_refused(rehearsal: Rehearsal, security: ChannelSecurity) -> None:
    """Who may only look changes nothing, and that it tried stands on the trail under its own name."""
    async with Client.connect(rehearsal.installation.stack.addresses["ledger"], actor=ACTOR, security=security) as viewer:
        assert (await viewer.get_migration(rehearsal.migration_id)).state == pb.MIGRATION_STATE_AUDITED
        for act in (viewer.start_audit, viewer.rollback):
            with pytest.raises(TransloadCallError) as caught:
                await act(rehearsal.migration_id)
            assert caught.value.reason == "ACCESS_DENIED"
    events = [event async for event in rehearsal.client.export_audit(rehearsal.migration_id)]
    refused = [(event.actor, json.loads(event.payload_json)["rpc"]) for event in events if event.kind == "access.refused"]
    assert refused == [(VIEWER, "StartAudit"), (VIEWER, "RollbackMigration")]
    assert {event.actor for event in events if event.kind == "run.started"} == {ACTOR}


async def _watch_processes(search: Search) -> None:
    while True:
        search.look_at_processes()
        await asyncio.sleep(1)


async def _look_at_answers(search: Search, rehearsal: Rehearsal, env: Mapping[str, str]) -> None:
    """Everything people take away: reports, exports, and what the command prints."""
    client, migration_id = rehearsal.client, rehearsal.migration_id
    search.look("audit report", await client.get_audit(migration_id))
    search.look("plan", await client.plan_load(migration_id))
    search.look("workbook", (await client.get_mapping_workbook(migration_id)).workbook_json)
    search.look("statement", await client.reconciliation_statement(migration_id))
    search.look("trail", b"".join([line async for line in client.export_audit_lines(migration_id)]))
    async for name, content in client.export_reference_files(migration_id):
        search.look(f"export {name}", content)
    async for record in client.iterate_records(migration_id):
        search.look("records", record.SerializeToString())
    own = {
        **env,
        "TRANSLOAD_LEDGER_ADDRESS": rehearsal.installation.stack.addresses["ledger"],
        "TRANSLOAD_MIGRATION": migration_id,
        "PATH": "/usr/bin:/bin",
    }
    for words in (("migration", "show"), ("review", "list", "--json"), ("quota",)):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "transload.cli.main", *words), stdout=PIPE, stderr=PIPE, env=own, cwd=Path(__file__).parents[2]
        )
        out, err = await process.communicate()
        assert process.returncode == 0, (words, out.decode(), err.decode())
        search.look(f"transload {' '.join(words)}", out + err)
