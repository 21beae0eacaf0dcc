"""An installation as in production, on this machine: nothing is shared but PostgreSQL, the NATS cluster and the bucket, and nobody is let in unknown.

Each process has a folder, a certificate and, on NATS, a key of its own. Supervision is that of the embedded stack: who dies is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from services.common import grpc_client
from services.common.errors import UnavailableError
from tests.e2e.harness import Installation
from tests.fakes.certificates import Authority, environ_of
from tests.fakes.nats_cluster import NatsCluster, nats_cluster
from tests.fakes.postgres import PostgresUnavailableError, create_database, postgres_server
from tests.fakes.s3 import ObjectStore, object_store
from transload.client import Client
from transload.embedded import ports
from transload.embedded.stack import SERVICES, Stack
from transload.security import ChannelSecurity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from transload.embedded.process import ManagedProcess

REPLICAS: Final = {"ledger": 2, "extractor": 1, "transformer": 2, "loader": 3}
ARBITERS: Final = 2
"""Loaders that may keep the budgets: one at work and one that stands by."""
START_SECONDS: Final = 120.0
POLL_SECONDS: Final = 0.1
OPERATOR, APPROVER, VIEWER = "olga@example.com", "ada@example.com", "vera@example.com"


def replicas_of(service: str) -> tuple[str, ...]:
    """Name the processes of a service."""
    return tuple(f"{service}-{number}" for number in range(1, REPLICAS[service] + 1))


def service_of(replica: str) -> str:
    """Name the service of a process."""
    return replica.rpartition("-")[0]


class ProductionStack(Stack):
    """Our services only; what they stand on runs already."""

    def __init__(self, data_dir: Path, *, env: Mapping[str, str], cluster: NatsCluster, authority: Authority) -> None:
        super().__init__(data_dir, env=env)
        self.names = tuple(name for service in SERVICES for name in replicas_of(service))
        self.loaders = replicas_of("loader")
        self._cluster = cluster
        self._certificates = {service: environ_of(authority.issue(f"transload-{service}")) for service in SERVICES}

    async def start(self, *, timeout_seconds: float = START_SECONDS) -> None:
        """Start everything at once and wait until each process is at work or, of ledgers, stands by."""
        taken: set[int] = set()
        for name in self.names:
            taken.add(port := ports.choose(taken, random.Random()))
            self.addresses[name] = f"{ports.HOST}:{port}"
        for part in (*(f"pods/{name}" for name in self.names), "connections", "logs"):
            (self.data_dir / part).mkdir(parents=True)
        self._processes = {name: self._own(name) for name in self.names}
        for process in self._processes.values():
            process.start()
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*(self.until_serving(name) for name in self.names if service_of(name) != "ledger"))
            while not any([await self.is_serving(name) for name in replicas_of("ledger")]):  # noqa: ASYNC110 - another process
                await asyncio.sleep(POLL_SECONDS)
            await asyncio.gather(*(self.until_living(name) for name in replicas_of("ledger")))

    async def stop(self) -> None:
        """Stop the workers, then the ledgers, each cleanly."""
        ledgers = replicas_of("ledger")
        await asyncio.gather(*(process.stop() for name, process in self._processes.items() if name not in ledgers))
        await asyncio.gather(*(process.stop() for name, process in self._processes.items() if name in ledgers))
        self._processes = {}

    def addresses_of(self, service: str, count: int | None = None) -> str:
        """Where the processes of a service listen, with commas."""
        return ",".join(self.addresses[name] for name in replicas_of(service)[:count])

    async def until_serving(self, name: str) -> None:
        """Wait until a process says that work is welcome."""
        while not await self.is_serving(name):  # noqa: ASYNC110 - another process
            await asyncio.sleep(POLL_SECONDS)

    async def until_living(self, name: str) -> None:
        """Wait until a process answers, at work or not."""
        async with grpc_client.channel(self.addresses[name], security=self._security) as channel:
            while True:
                try:
                    return await grpc_client.ping(channel)
                except UnavailableError:
                    await asyncio.sleep(POLL_SECONDS)

    def _own(self, name: str) -> ManagedProcess:
        service = service_of(name)
        settings = {f"TRANSLOAD_{one.upper()}_ADDRESS": self.addresses_of(one) for one in SERVICES} | {
            "MALLOC_ARENA_MAX": "1",
            "PYTHONUNBUFFERED": "1",
            "TRANSLOAD_QUOTA_ADDRESS": self.addresses_of("loader", ARBITERS),
            "TRANSLOAD_CONNECTIONS_DIR": str(self.data_dir / "connections"),
            "TRANSLOAD_LEDGER_SIGNING_KEY_FILE": str(self.data_dir / "signing-key.pem"),
            "TRANSLOAD_DATA_DIR": str(self.data_dir / "pods" / name),
            "TRANSLOAD_GRPC_LISTEN": self.addresses[name],
            "TRANSLOAD_REPLICA": name,
        }
        own = self._env | settings | self._certificates[service] | self._cluster.environ(service)
        return self._process(name, self._command(service), own)


@dataclass(frozen=True)
class Production:
    """A running installation, and those who may call it."""

    installed: Installation
    """Its client is the operator's."""
    stack: ProductionStack
    cluster: NatsCluster
    store: ObjectStore
    database: str
    approver: Client
    viewer: Client

    async def lease(self) -> tuple[str, int]:
        """Which ledger is at work, in which term."""
        ((holder, term),) = await self._ask("SELECT holder, term FROM leases")
        return holder, term

    async def loader_at_work(self) -> str:
        """Which loader has records in hand now, the one that keeps a budget before others; empty: none."""
        at_work = {_replica(row[0]) for row in await self._ask("SELECT DISTINCT holder FROM records WHERE holder <> ''")}
        keeping = {_replica(row[0]) for row in await self._ask("SELECT holder FROM budget_terms")}
        return next(iter(sorted(at_work & keeping) or sorted(at_work)), "")

    async def _ask(self, query: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()


def _replica(holder: str) -> str:
    """The process's name, without which of its lives it is."""
    return holder.partition("/")[0]


@contextlib.asynccontextmanager
async def production(folder: Path, env: Mapping[str, str]) -> AsyncIterator[Production]:
    """Run it while the block runs; skips the test where PostgreSQL or the object store cannot run."""
    async with contextlib.AsyncExitStack() as exits:
        try:
            database = await create_database(exits.enter_context(postgres_server()), "ledger")
        except PostgresUnavailableError as error:
            pytest.skip(f"no PostgreSQL here: {error}")
        store = exits.enter_context(object_store(folder))
        authority = Authority(folder / "keys")
        cluster = exits.enter_context(nats_cluster(folder / "cluster", tls=authority.issue("localhost")))
        tokens = {actor: secrets.token_hex(32) for actor in (OPERATOR, VIEWER)}
        people = environ_of(authority.issue("people"))
        environ = {**os.environ, **env, **store.environ, "TRANSLOAD_LEDGER_DATABASE_URL": database}
        environ |= people | {"TRANSLOAD_ACCESS_FILE": str(_callers(folder / "access.yaml", tokens))}
        stack = ProductionStack(folder / "stack", env=environ, cluster=cluster, authority=authority)
        exits.push_async_callback(stack.stop)
        await stack.start()

        async def connect(environ: Mapping[str, str]) -> Client:
            # What they say of themselves is not what the trail believes.
            security = ChannelSecurity.from_env(environ)
            return await exits.enter_async_context(Client.connect(stack.addresses_of("ledger"), actor="somebody", security=security))

        operator = await connect(people | {"TRANSLOAD_TOKEN": tokens[OPERATOR]})
        viewer = await connect(people | {"TRANSLOAD_TOKEN": tokens[VIEWER]})
        approver = await connect(environ_of(authority.issue("ada.example.com")))
        installed = Installation(folder, stack, operator, environ, exits)
        yield Production(installed, stack, cluster, store, database, approver, viewer)


def _callers(path: Path, tokens: Mapping[str, str]) -> Path:
    """Write the list of callers: two people by token, one by certificate, each service by its own certificate."""
    roles = {OPERATOR: "operator", VIEWER: "viewer"}
    callers: list[dict[str, object]] = [
        {"actor": actor, "role": roles[actor], "token_sha256": hashlib.sha256(token.encode()).hexdigest()} for actor, token in tokens.items()
    ]
    callers.append({"actor": APPROVER, "role": "approver", "certificate": "ada.example.com"})
    callers += [{"actor": one, "role": "service", "services": [one], "certificate": f"transload-{one}"} for one in SERVICES]
    path.write_text(json.dumps({"callers": callers}))
    return path
