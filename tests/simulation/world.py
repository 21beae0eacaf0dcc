"""Everything there is in one simulation: the world (networks, NATS, object store, the two systems) and the processes of Transload in it."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sandbox.common.asgi import Request
from sandbox.common.clock import Clock
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.account.export import export_state
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options as PipedriveOptions
from sandbox.stel_order.application import Options as StelOptions
from sandbox.stel_order.application import StelOrder
from sandbox.stel_order.control import Control
from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.quota import CallQuota
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
from tests.simulation.faults.processes import kill
from tests.simulation.faults.target import label
from tests.simulation.http import Breakage
from tests.simulation.nats_server import NatsStore
from tests.simulation.network import Network
from tests.simulation.object_store import ObjectStore
from tests.simulation.people import People
from tests.simulation.processes import Process
from tests.simulation.purse import Purse
from tests.simulation.rpc import Wire
from tests.simulation.small import thin_out
from tests.simulation.stand_ins import EPOCH, true_time

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import datetime

    from tests.simulation.loop import SimulatedLoop
    from tests.simulation.trace import Trace

_PREPARED: list[bool] = []
SIGNING_KEY = bytes(range(32))
"""What every simulated ledger signs with: always the same, so that the same seed leaves the same bytes."""
SOURCE_KEY = "source-key"
"""The source's first key, and the name of the file that holds the present one."""
TARGET_KEY = "target-key"
"""The same of Pipedrive."""
CALL_LIMITS = frozenset({"E000001", "E000002"})
"""How the source refuses a call too many, of the minute and of the day."""
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
    is_small: bool = True
    """With few custom fields, states and entities; see `small.py`."""
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
    reset_zone: str = "UTC"
    """At whose midnight Pipedrive renews the tokens. In America/Chicago it comes four minutes after the beginning, when nobody expects it."""
    probe_seconds: int = 60
    """How often the arbiter looks whether there are tokens again."""
    source_page: int = 500
    """Records of one page of the source."""


class _SourceClock(Clock):
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
    source_breakage: Breakage = field(default_factory=lambda: Breakage("source way"))
    target_breakage: Breakage = field(default_factory=lambda: Breakage("target way"))
    processes: dict[str, Process] = field(default_factory=dict)
    database: DatabaseFaults = field(init=False)
    people: People = field(init=False)
    purse: Purse = field(init=False)
    before: dict[str, Any] = field(init=False)
    """What Pipedrive held before the migration began."""
    source_changes: list[list[dict[str, Any]]] = field(default_factory=list)
    """What people changed in the source, time by time."""
    is_calm: bool = False
    """Whether the bad time is over."""

    def __post_init__(self) -> None:
        """Make the world; nothing runs yet."""
        self.network = Network(self.draw, self.trace)
        self.wire = Wire(self.network)
        self.nats = NatsStore(self.network)
        self.objects = ObjectStore(self.network)
        self.database = DatabaseFaults(self.draw, lambda name: kill(self, name), self.hits)
        self.stel, self.source = self._make_source()
        self.pipedrive = self._make_target()
        self.people = People(self.pipedrive, self.trace, self.state, self.folder)
        self.purse = Purse(self.pipedrive, self.trace)
        self.before = self.state()
        (self.folder / "ledger.db").write_bytes(_empty_ledger())
        (self.folder / "signing-key.pem").write_bytes(_signing_key())
        for name in (SOURCE_KEY, TARGET_KEY):
            self.write_key(name, name)

    @property
    def hits(self) -> Counter[str]:
        """How often each kind of fault really hit."""
        return self.network.hits

    def count_rules(self) -> None:
        """Count what the simulators' own rules did, before they are taken back."""
        for where, faults in (("target", self.pipedrive.faults), ("source", self.stel.faults)):
            for rule in faults.rules:
                name = label(rule)
                self.hits["blocked" if name == "403 HTML" else f"{where} faults: {name.replace('_', ' ')}"] += rule.fired

        self.hits["source limits"] = sum(call.error_code in CALL_LIMITS for call in self.stel.journal.calls)

    @property
    def environ(self) -> dict[str, str]:
        """The environment all processes share. Keys stand in files: the environment of a process that runs cannot be changed."""
        return {
            "TRANSLOAD_CONNECTION_SOURCE_URL": "http://source.test/app",
            "TRANSLOAD_CONNECTION_SOURCE_KEY_FILE": str(self.folder / SOURCE_KEY),
            "TRANSLOAD_CONNECTION_TARGET_URL": "http://target.test",
            "TRANSLOAD_CONNECTION_TARGET_KEY_FILE": str(self.folder / TARGET_KEY),
        }

    def key(self, name: str) -> str:
        """Answer the key that stands in a connection's file."""
        return (self.folder / name).read_text("ascii")

    def write_key(self, name: str, key: str) -> None:
        """Let the operator write another key into a connection's file."""
        (self.folder / name).write_text(key, "ascii")

    def _make_source(self) -> tuple[StelOrder, Control]:
        clock = _SourceClock()
        size = self.size
        plan = Plan(self.draw.getrandbits(31), size.clients, is_clean=size.is_clean, documents=size.documents, lines=size.lines, files=size.files)
        account = generate(StelStore(), plan)
        if self.size.is_small:
            thin_out(account.store)
        app = StelOrder(account, StelOptions(key=SOURCE_KEY), clock, CallQuota(clock, per_minute=0, per_day=0))
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
            reset_zone=self.size.reset_zone,
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
            "TRANSLOAD_ALLOW_OPEN": "1",
            "TRANSLOAD_STAGING_URL": "memory:///",
            "TRANSLOAD_QUOTA_PROBE_SECONDS": str(self.size.probe_seconds),
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
            "TRANSLOAD_ALLOW_OPEN": "1",  # the network of the simulation ends at its own process
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

    def truth(self) -> dict[str, Any]:
        """Answer everything the source holds."""
        answer = self.source.control.answer(Request("GET", "/_sandbox/truth"))
        truth: dict[str, Any] = orjson.loads(answer.body)
        return truth

    def change_source(self, seed: int) -> list[dict[str, Any]]:
        """Change the source as a day of work does."""
        answer = self.source.control.answer(Request("POST", "/_sandbox/mutate", body=orjson.dumps({"seed": seed})))
        changes: list[dict[str, Any]] = orjson.loads(answer.body)["changes"]
        self.source_changes.append(changes)
        self.trace.note(f"the source changes: {[(change['kind'], change['collection'], change['id']) for change in changes]}", "people")
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
    """Answer the file of the key every simulated ledger signs with."""
    key = Ed25519PrivateKey.from_private_bytes(SIGNING_KEY)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def prepare() -> None:
    """Make what simulations share, before the first one; it is then out of the garbage collector's sight."""
    if not _PREPARED:
        _empty_ledger()
        gc.collect()
        gc.freeze()
        _PREPARED.append(True)
