"""Every service can be started with what the manifests give it, and nothing in them is a setting nobody reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from services.common.bus_users import USERS
from services.common.instruments import INSTRUMENTS
from services.common.settings import EnvReader
from services.extractor.settings import ExtractorSettings
from services.ledger.settings import LedgerSettings
from services.loader.settings import LoaderSettings
from services.transformer.settings import TransformerSettings
from tests.deploy.manifests import KUBERNETES, OVERLAYS, ROOT, build, selects
from tests.fakes.certificates import Authority, environ_of
from transload.nkeys import NKey

READERS: dict[str, Callable[[Mapping[str, str]], object]] = {
    "extractor": ExtractorSettings.from_env,
    "transformer": TransformerSettings.from_env,
    "loader": LoaderSettings.from_env,
    "ledger": LedgerSettings.from_env,
}
# Read at each use, not as a setting.
AT_EACH_USE = {"TRANSLOAD_CONNECTIONS_DIR"}
OTHERS = re.compile(r"^(OTEL_|AWS_|PGSSL)[A-Z_]+$")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What secrets hold that are read at the start, here."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "uri").write_text("postgresql://transload:secret@transload-postgres-rw.transload:5432/transload", encoding="utf-8")
    (folder / "seed").write_text(NKey.generate().seed, encoding="utf-8")
    given = {"TRANSLOAD_LEDGER_DATABASE_URL_FILE": str(folder / "uri"), "TRANSLOAD_NATS_NKEY_SEED_FILE": str(folder / "seed")}
    return environ_of(Authority(folder).issue("transload-ledger")) | given


def read_names(monkeypatch: pytest.MonkeyPatch, overlay: str, files: dict[str, str]) -> dict[str, set[str]]:
    """Starts each service's reader on its environment and answers the names it asked for. Raises ConfigurationError as the service would."""
    asked: dict[str, set[str]] = {}
    refuse = EnvReader.refuse_unknown

    def remember(self: EnvReader, service: str = "") -> None:
        asked[service] = {f"TRANSLOAD_{name}" for name in self._read}
        refuse(self, service)

    monkeypatch.setattr(EnvReader, "refuse_unknown", remember)
    for name, _, container in build(overlay).services():
        READERS[name](with_values(build(overlay).environ(container), files))
    return asked


def with_values(environ: dict[str, str], files: dict[str, str]) -> dict[str, str]:
    """Puts a likely value where the cluster or a secret has one."""
    return environ | {name: value for name, value in files.items() if name in environ}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_takes_its_settings_and_every_setting_is_read(monkeypatch: pytest.MonkeyPatch, overlay: str, files: dict[str, str]) -> None:
    asked = read_names(monkeypatch, overlay, files)
    assert set(asked) == set(READERS)
    for name, _, container in build(overlay).services():
        environ = build(overlay).environ(container)
        own = {variable["name"] for variable in container.get("env", [])}
        assert {one for one in own if one.startswith("TRANSLOAD_")} <= asked[name], f"{name} does not read what only it is given"
        shared = {one for one in environ if one.startswith("TRANSLOAD_")}
        assert shared <= set().union(*asked.values()) | AT_EACH_USE
        assert [one for one in environ if not one.startswith("TRANSLOAD_") and not OTHERS.match(one)] == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_setting_nobody_knows_and_one_that_is_missing_are_found(overlay: str, files: dict[str, str]) -> None:
    for name, _, container in build(overlay).services():
        environ = with_values(build(overlay).environ(container), files)
        with pytest.raises(Exception, match="LODAER"):
            READERS[name](environ | {"TRANSLOAD_LODAER": "1"})
        missing = "TRANSLOAD_EXTRACTOR_ADDRESS" if name == "ledger" else "TRANSLOAD_LEDGER_ADDRESS"
        with pytest.raises(Exception, match=missing):
            READERS[name]({key: value for key, value in environ.items() if key != missing})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_replicas_streams_and_addresses_agree_with_the_workloads(overlay: str) -> None:
    built = build(overlay)
    _, _, container = next(iter(built.services()))
    environ = built.environ(container)
    nats = built.workload("nats")
    servers = environ["TRANSLOAD_NATS_URL"].split(",")
    assert servers == [f"nats://nats-{number}.{nats.manifest['spec']['serviceName']}:4222" for number in range(nats.manifest["spec"]["replicas"])]
    assert int(environ["TRANSLOAD_NATS_REPLICAS"]) == len(servers)
    config = built.named("ConfigMap")[next(one["configMap"]["name"] for one in nats.pod["volumes"] if "configMap" in one)]["data"]["nats.conf"]
    routes = re.findall(r'"nats://(nats-\d)\.nats-peers:6222"', config)
    assert len(routes) == (len(servers) if len(servers) > 1 else 0)
    loader = built.workload("transload-loader")
    scaled = built.named("ScaledObject").get("transload-loader")
    loaders = scaled["spec"]["minReplicaCount"] if scaled else loader.manifest["spec"]["replicas"]
    arbiters = [f"transload-loader-{number}.{loader.manifest['spec']['serviceName']}:50051" for number in range(min(2, loaders))]
    assert environ["TRANSLOAD_QUOTA_ADDRESS"].split(",") == arbiters
    port = int(environ["TRANSLOAD_GRPC_LISTEN"].rpartition(":")[2])
    for name, workload, _ in built.services():
        assert workload.ports()["grpc"] == port
        assert environ[f"TRANSLOAD_{name.upper()}_ADDRESS"] == f"transload-{name}:{port}"


@pytest.mark.parametrize("overlay", ["production", "production-external-postgres"])
def test_exactly_the_services_that_nats_knows_have_a_key_each_its_own(overlay: str) -> None:
    built = build(overlay)
    found = {}
    for name, workload, container in built.services():
        volumes = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in workload.pod["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        if seed := built.environ(container).get("TRANSLOAD_NATS_NKEY_SEED_FILE"):
            found[name] = volumes[mounts[seed.rpartition("/")[0]]]
    assert found == {user.name: f"transload-nats-{user.name}" for user in USERS}


@pytest.mark.parametrize("overlay", ["production", "production-external-postgres"])
def test_prometheus_finds_the_port_that_the_services_serve_metrics_at(overlay: str) -> None:
    built = build(overlay)
    monitor = built.named("PodMonitor")["transload"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    watched = {one.name for one in built.workloads if selects(monitor["selector"], one.labels)}
    assert watched == {workload.name for _, workload, _ in built.services()}
    for _, workload, container in built.services():
        assert built.environ(container)["TRANSLOAD_METRICS_LISTEN"] == f"0.0.0.0:{workload.ports()[endpoint['port']]}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_may_take_longer_to_stop_than_its_service(overlay: str) -> None:
    for _, workload, container in build(overlay).services():
        drain = float(build(overlay).environ(container)["TRANSLOAD_DRAIN_SECONDS"])
        # Messages drain, then calls; NATS' client, traces and metrics have 5 s each.
        assert workload.pod["terminationGracePeriodSeconds"] >= 2 * drain + 15


def test_replicas_of_a_service_are_no_more_than_it_can_be() -> None:
    """Several extractors would read twice. Of several ledgers one is ready, so a rollout must not wait for the others, nor a drained node."""
    for overlay in OVERLAYS:
        built = build(overlay)
        for name, count in (("extractor", 1), ("ledger", 1 if overlay == "local" else 2)):
            manifest = built.workload(f"transload-{name}").manifest
            assert (manifest["spec"]["replicas"], manifest["spec"]["strategy"]) == (count, {"type": "Recreate"})
            assert built.named("PodDisruptionBudget")[f"transload-{name}"]["spec"]["maxUnavailable"] == count


def test_scaling_looks_at_streams_and_metrics_that_exist() -> None:
    streams = ast.parse((ROOT / "services" / "common" / "streams.py").read_text(encoding="utf-8"))
    constants = {node.value for node in ast.walk(streams) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    scaled = build("production").named("ScaledObject")
    (transformer,) = scaled["transload-transformer"]["spec"]["triggers"]
    assert transformer["metadata"]["stream"] in constants
    assert transformer["metadata"]["consumer"] in constants
    (loader,) = scaled["transload-loader"]["spec"]["triggers"]
    named = set(re.findall(r"[a-z]+_[a-z_]+", loader["metadata"]["query"]))
    assert named
    assert named <= {name for instrument in INSTRUMENTS for name in instrument.series}
    for one in scaled.values():
        target = one["spec"]["scaleTargetRef"]
        assert build("production").workload(target["name"]).kind == target["kind"]
        assert "replicas" not in build("production").workload(target["name"]).manifest["spec"]


def test_kinds_of_the_base_are_what_the_check_above_looks_at() -> None:
    """A new Settings class or service must not be forgotten here."""
    base = yaml.safe_load((KUBERNETES / "base" / "kustomization.yaml").read_text(encoding="utf-8"))
    assert {one for one in base["resources"] if not Path(one).suffix} == {"nats", *READERS}
