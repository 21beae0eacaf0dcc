"""Everything there is in one simulation: the world (networks, NATS, object store, the two systems) and the processes of Transload in it."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.account.export import export_state
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options as PipedriveOptions
from sandbox.stel_order import quota as stel_quota
from sandbox.stel_order.application import Options as StelOptions
from sandbox.stel_order.application import StelOrder
from sandbox.stel_order.control import Control
from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.store import Store as StelStore
from services.common import runtime
from services.extractor import bootstrap as extractor
from services.extractor.settings import ExtractorSettings
from services.ledger import bootstrap as ledger
from services.ledger.settings import LedgerSettings
from services.ledger.sql.engine import normalise_url, open_database
from services.ledger.sql.schema import upgrade
from services.loader import bootstrap as loader
from services.loader.settings import LoaderSettings
from services.transformer import bootstrap as transformer
from services.transformer.settings import TransformerSettings
from tests.simulation.database import DatabaseFaults
from tests.simulation.faults import kill
from tests.simulation.http import Breakage
from tests.simulation.nats_server import NatsStore
from tests.simulation.network import Network
from tests.simulation.object_store import ObjectStore
from tests.simulation.processes import Process
from tests.simulation.rpc import Wire
from tests.simulation.stand_ins import EPOCH, true_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import datetime

    from tests.simulation.loop import SimulatedLoop
    from tests.simulation.trace import Trace

_PREPARED: list[bool] = []
SOURCE_KEY = "source-key"
TARGET_KEY = "target-key"
USERS = [
    {"name": "Lucía García", "email": "lucia.garcia@example.com", "active": True, "admin": True},
    {"name": "Mateo Ruiz", "email": "mateo.ruiz@example.com", "active": True},
    {"name": "Inés Soto", "email": "ines.soto@example.com", "active": True},
    {"name": "Tomás Vega", "email": "tomas.vega@example.com", "active": True},
    {"name": "Carmen Vidal", "email": "carmen.vidal@example.com", "active": False},
]


@dataclass(frozen=True, slots=True)
class Size:
    """How large the accounts are.

    Attributes:
        clients: clients in the source; all else follows in proportion, at least one of each.
        is_clean: without the deliberate defects, which add about thirty records.
        loaders: replicas of the loader.
    """

    clients: int = 2
    is_clean: bool = True
    loaders: int = 2
    plan: str = "premium"
    seats: int = 2
    token_kind: str = "oauth"
    retry_after: str = "always"
    """Which of Pipedrive's 429s name a time."""
    charges_errors: bool = True
    has_daily_headers: bool = True
    documents: float = 1.0
    lines: float = 1.0
    files: float = 1.0
    """How many times as many documents, lines and files as usual each client has."""
    top_up: int = 0
    """Tokens a day more than the plan gives, or fewer."""
    other_apps: int = 0
    """Tokens an hour that other applications spend."""
    search_lag_seconds: float = 0.0
    """How long Pipedrive's search does not know a new record."""


class _SourceClock(stel_quota.Clock):
    """The source's clock on virtual time."""

    def now(self) -> datetime:
        return true_time() + self._offset


@dataclass(slots=True)
class World:
    """One simulation."""

    draw: Random
    loop: SimulatedLoop
    trace: Trace
    size: Size
    folder: Path
    network: Network = field(init=False)
    wire: Wire = field(init=False)
    nats: NatsStore = field(init=False)
    objects: ObjectStore = field(init=False)
    source: Control = field(init=False)
    stel: StelOrder = field(init=False)
    pipedrive: PipedriveApp = field(init=False)
    source_breakage: Breakage = field(default_factory=Breakage)
    target_breakage: Breakage = field(default_factory=Breakage)
    processes: dict[str, Process] = field(default_factory=dict)
    database: DatabaseFaults = field(init=False)

    def __post_init__(self) -> None:
        """Make the world; nothing runs yet."""
        self.network = Network(self.draw, self.trace)
        self.wire = Wire(self.network)
        self.nats = NatsStore(self.network)
        self.objects = ObjectStore(self.network)
        self.database = DatabaseFaults(self.draw, lambda name: kill(self, name))
        self.stel, self.source = self._make_source()
        self.pipedrive = self._make_target()
        (self.folder / "ledger.db").write_bytes(_empty_ledger())
        (self.folder / "signing-key.pem").write_bytes(_signing_key())

    @property
    def environ(self) -> dict[str, str]:
        """The environment all processes share."""
        return {
            "TRANSLOAD_CONNECTION_SOURCE_URL": "http://source.test/app",
            "TRANSLOAD_CONNECTION_SOURCE_KEY": SOURCE_KEY,
            "TRANSLOAD_CONNECTION_TARGET_URL": "http://target.test",
            "TRANSLOAD_CONNECTION_TARGET_KEY": TARGET_KEY,
        }

    def _make_source(self) -> tuple[StelOrder, Control]:
        clock = _SourceClock()
        size = self.size
        plan = Plan(self.draw.getrandbits(31), size.clients, is_clean=size.is_clean, documents=size.documents, lines=size.lines, files=size.files)
        account = generate(StelStore(), plan)
        app = StelOrder(account, StelOptions(key=SOURCE_KEY), clock, stel_quota.CallQuota(clock, per_minute=0, per_day=0))
        return app, Control(app, "")

    def _make_target(self) -> PipedriveApp:
        users = self.folder / "users.json"
        users.write_bytes(orjson.dumps(USERS))
        options = PipedriveOptions(
            plan=self.size.plan,
            seats=self.size.seats,
            top_up=self.size.top_up,
            other_apps=self.size.other_apps,
            token=TARGET_KEY,
            token_kind=self.size.token_kind,
            seed=self.draw.getrandbits(31),
            users_file=users,
            retry_after=self.size.retry_after,
            charge_errors=self.size.charges_errors,
            daily_headers=self.size.has_daily_headers,
            search_lag_seconds=self.size.search_lag_seconds,
        )
        loop = self.loop
        clock = SandboxClock(lambda: EPOCH.timestamp() + loop.time(), loop.time)
        return PipedriveApp(Account(options, clock))

    def install(self) -> None:
        """Make the processes and start them."""
        addresses = {
            "TRANSLOAD_LEDGER_ADDRESS": "ledger:1",
            "TRANSLOAD_EXTRACTOR_ADDRESS": "extractor:1",
            "TRANSLOAD_TRANSFORMER_ADDRESS": "transformer:1",
            "TRANSLOAD_LOADER_ADDRESS": "loader-1:1",
            "TRANSLOAD_QUOTA_ADDRESS": "loader-1:1",
            "TRANSLOAD_STAGING_URL": "memory:///",
            "TRANSLOAD_LEDGER_SIGNING_KEY_FILE": str(self.folder / "signing-key.pem"),
            "TRANSLOAD_LEDGER_DATABASE_URL": f"sqlite:///{self.folder / 'ledger.db'}",
        }
        self._add("ledger", LedgerSettings.from_env, ledger.build, addresses)
        self._add("extractor", ExtractorSettings.from_env, extractor.build, addresses)
        self._add("transformer", TransformerSettings.from_env, transformer.build, addresses)
        for number in range(1, self.size.loaders + 1):
            self._add(f"loader-{number}", LoaderSettings.from_env, loader.build, addresses)
        for process in self.processes.values():
            process.start()

    def _add(self, name: str, read: Callable[[Mapping[str, str]], Any], build: Any, addresses: Mapping[str, str]) -> None:
        environ = dict(addresses) | {
            "TRANSLOAD_GRPC_LISTEN": f"{name}:1",
            "TRANSLOAD_REPLICA": name,
            "TRANSLOAD_DATA_DIR": str(self.folder / name),
            **self.environ,
        }

        def main(stop: asyncio.Event) -> Coroutine[Any, Any, None]:
            return runtime.run(read(environ), build, stop=stop)

        self.processes[name] = Process(name, main)

    def state(self) -> dict[str, Any]:
        """Answer everything a user sees in Pipedrive."""
        state: dict[str, Any] = orjson.loads(export_state(self.pipedrive.account)[0])
        return state

    def rename_organization(self, organization_id: int, name: str) -> str:
        """Let a person give an organization another name in Pipedrive's application; answers the name it had."""
        before = self.pipedrive.account.store["organization"].get(organization_id)
        assert before is not None
        self.pipedrive.engine.people.do({"edit": {"kind": "organization", "id": organization_id, "values": {"name": name}}})
        return str(before["name"])

    def truth(self) -> dict[str, Any]:
        """Answer everything the source holds."""
        answer = self.source._answer(Request("GET", "/_sandbox/truth"))
        truth: dict[str, Any] = orjson.loads(answer.body)
        return truth

    def mutate_source(self, seed: int) -> list[dict[str, Any]]:
        """Change the source as a day of work does."""
        answer = self.source._answer(Request("POST", "/_sandbox/mutate", body=orjson.dumps({"seed": seed})))
        changes: list[dict[str, Any]] = orjson.loads(answer.body)["changes"]
        return changes


def run_folder() -> Path:
    """Make a folder for one simulation, in memory where there is such a place."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder below has a name of its own
    return Path(tempfile.mkdtemp(prefix="transload-simulation-", dir=memory if memory.is_dir() else None))


def remove(folder: Path) -> None:
    """Delete a simulation's folder."""
    shutil.rmtree(folder, ignore_errors=True)


@cache
def _empty_ledger() -> bytes:
    """Answer a database file that Alembic has brought up to date; made once, outside of any simulation."""
    folder = run_folder()
    path = folder / "ledger.db"

    async def make() -> None:
        database = open_database(normalise_url(f"sqlite:///{path}"))
        await upgrade(database)
        await database.close()

    try:
        asyncio.new_event_loop().run_until_complete(make())
        return path.read_bytes()
    finally:
        remove(folder)


@cache
def _signing_key() -> bytes:
    """Answer the key every simulated ledger signs with: always the same, so that the same seed leaves the same bytes."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def prepare() -> None:
    """Make what simulations share, before the first one; it is then out of the garbage collector's sight."""
    if not _PREPARED:
        _empty_ledger()
        gc.collect()
        gc.freeze()
        _PREPARED.append(True)
