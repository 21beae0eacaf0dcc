"""The servers of the manifests, as they are configured there, make a cluster that keeps streams in three copies, and a single one for one node."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from services.common import jetstream
from services.common.bus_users import LOADER_USER, TRANSFORMER_USER
from services.common.settings import NatsSettings
from tests.deploy.manifests import build
from tests.fakes.certificates import Authority
from tools import nats_permissions
from transload import nats_keys
from transload.nkeys import NKey

SERVER = str(Path(sys.executable).with_name("nats-server"))
START_SECONDS = 60


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def configured(overlay: str) -> tuple[dict[str, str], int]:
    """The files the servers read, and how many servers there are."""
    workload = build(overlay).workload("nats")
    name = next(volume["configMap"]["name"] for volume in workload.pod["volumes"] if "configMap" in volume)
    return build(overlay).named("ConfigMap")[name]["data"], workload.manifest["spec"]["replicas"]


def mounted(overlay: str) -> str:
    """Where the servers' keys are, seen from the folder of their configuration; empty without keys."""
    mounts = {mount["name"]: mount["mountPath"] for mount in build(overlay).workload("nats").pod["containers"][0]["volumeMounts"]}
    return os.path.relpath(mounts["keys"], mounts["config"]) if "keys" in mounts else ""


@contextmanager
def servers(overlay: str, folder: Path) -> Iterator[list[str]]:
    """Starts every server with its files; only addresses and the folder of the store are put in for this machine."""
    files, count = configured(overlay)
    certificate(folder / "tls")
    clients, routes, monitors = free_ports(count), free_ports(count), free_ports(count)
    processes = []
    try:
        for number in range(count):
            home = folder / f"nats-{number}"
            home.mkdir()
            text = files["nats.conf"]
            text = text.replace('"0.0.0.0:4222"', f'"127.0.0.1:{clients[number]}"').replace('"0.0.0.0:6222"', f'"127.0.0.1:{routes[number]}"')
            text = text.replace('"0.0.0.0:8222"', f'"127.0.0.1:{monitors[number]}"').replace('"/data"', f'"{home}/data"').replace("/tmp/", f"{home}/")  # noqa: S108
            for peer in range(count):
                text = text.replace(f"nats-{peer}.nats-peers:6222", f"127.0.0.1:{routes[peer]}")
            assert not re.search(r"nats-peers|0\.0\.0\.0", text), "an address of the cluster was not put in"
            (home / "nats.conf").write_text(text)
            for name in set(files) - {"nats.conf"}:
                (home / name).write_text(files[name].replace("/etc/nats-tls", str(folder / "tls")))
            if beside := mounted(overlay):
                nats_keys.write(Path(os.path.normpath(home / beside)))
            with (home / "log").open("wb") as log:
                environ = {**os.environ, "POD_NAME": f"nats-{number}"}
                processes.append(subprocess.Popen([SERVER, "--config", str(home / "nats.conf")], env=environ, stdout=log, stderr=log))
        yield [f"nats://127.0.0.1:{port}" for port in clients]
    finally:
        for process in processes:
            process.terminate()
            process.wait(timeout=30)


@pytest.mark.parametrize("overlay", ["local", "production"])
async def test_the_configured_servers_carry_our_streams_in_as_many_copies_as_the_settings_say(overlay: str, tmp_path: Path) -> None:
    container = next(iter(build(overlay).services()))[2]
    replicas = int(build(overlay).environ(container)["TRANSLOAD_NATS_REPLICAS"])
    with servers(overlay, tmp_path) as urls:
        ca_file = tmp_path / "tls" / "ca.crt" if "TRANSLOAD_NATS_TLS_CA_FILE" in build(overlay).environ(container) else None
        settings = NatsSettings(url=",".join(urls), replicas=replicas, key=key_of("ledger", overlay, tmp_path), ca_file=ca_file)
        # Waits until streams can be declared.
        async with asyncio.timeout(START_SECONDS), jetstream.connect(settings) as bus:
            info = await bus._jetstream.stream_info("RAW")
            assert info.config.num_replicas == replicas
            assert info.cluster is None or len(info.cluster.replicas or []) == replicas - 1
            await bus.publish("raw.some-migration.client", b"{}", msg_id="1")
            if settings.key is not None:
                for user in (TRANSFORMER_USER, LOADER_USER):
                    own = replace(settings, key=key_of(user.name, overlay, tmp_path))
                    async with asyncio.timeout(START_SECONDS), jetstream.connect(own, user=user) as other:
                        await other.ping()


def certificate(folder: Path) -> None:
    """What cert-manager would put into the secret, for this machine."""
    files = Authority(folder).issue("localhost")
    for path, name in zip(files.paths, ("ca.crt", "tls.crt", "tls.key"), strict=True):
        path.rename(folder / name)


def key_of(service: str, overlay: str, folder: Path) -> NKey | None:
    """A service's key, as `transload nats-keys` made it."""
    return NKey.from_seed((folder / "nats-keys" / f"{service}.seed").read_text()) if mounted(overlay) else None


@pytest.mark.parametrize("overlay", ["local", "production", "production-external-postgres"])
def test_what_was_answered_is_on_the_disk_and_the_servers_stop_within_their_time(overlay: str) -> None:
    files, _ = configured(overlay)
    assert re.search(r"^\s*sync_interval: always$", files["nats.conf"], re.MULTILINE)
    workload = build(overlay).workload("nats")
    lame_duck = re.search(r'^lame_duck_duration: "(\d+)s"$', files["nats.conf"], re.MULTILINE)
    assert lame_duck
    assert workload.pod["terminationGracePeriodSeconds"] > int(lame_duck[1]) + 20
    pid_file = re.search(r'^pid_file: "(.+)"$', files["nats.conf"], re.MULTILINE)
    assert pid_file
    stop = workload.pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert stop[1:] == ["--signal", f"ldm={pid_file[1]}"]
    store = re.search(r'store_dir: "(.+)"', files["nats.conf"])
    assert store
    assert store[1] in {mount["mountPath"] for mount in workload.pod["containers"][0]["volumeMounts"]}


def test_the_permissions_are_the_ones_the_code_needs() -> None:
    assert nats_permissions.main(["--check"]) == 0, "python -m tools.nats_permissions"


def test_servers_and_services_are_encrypted_by_certificates_that_name_the_servers() -> None:
    for overlay in ("production", "production-external-postgres"):
        built = build(overlay)
        files, count = configured(overlay)
        names = built.named("Certificate")["transload-nats"]["spec"]["dnsNames"]
        _, _, container = next(iter(built.services()))
        hosts = [one.removeprefix("nats://").removesuffix(":4222") for one in built.environ(container)["TRANSLOAD_NATS_URL"].split(",")]
        assert names == hosts
        assert len(hosts) == count
        assert "handshake_first: true" in files["tls.conf"]
        assert "verify: true" in files["routes-tls.conf"]
        mounts = {mount["mountPath"] for mount in built.workload("nats").pod["containers"][0]["volumeMounts"]}
        assert set(re.findall(r'"(/[^"]+)/[^/"]+"', files["tls.conf"] + files["routes-tls.conf"])) <= mounts
