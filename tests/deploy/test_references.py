"""Whatever a manifest names is there: selectors, ports, accounts, secrets that the page tells how to make, keys of configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.common.access.callers import Callers
from services.common.access.roles import Role
from tests.deploy.manifests import OVERLAYS, ROOT, Build, build, selects

PAGE = ROOT / "docs" / "deployment.md"
# Made by an operator, not by people.
OPERATORS_SECRETS = {("transload-postgres-app", "uri"), ("transload-postgres-ca", "ca.crt")}


def documented_secrets() -> set[tuple[str, str]]:
    """Rows of the page's table: secret, key."""
    rows = re.findall(r"^\| `(transload-[a-z-]+)` \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {(name, key) for name, keys in rows for key in re.findall(r"`([^`]+)`", keys)}


def secrets_of(built: Build) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for workload in built.workloads:
        for container in workload.containers:
            references = [one.get("valueFrom", {}).get("secretKeyRef") for one in container.get("env", [])]
            found |= {(one["name"], one["key"]) for one in references if one}
            assert not [one for one in container.get("envFrom", []) if "secretRef" in one], "a secret is named key by key"
        for volume in workload.pod.get("volumes", []):
            parts = [volume["secret"]] if "secret" in volume else []
            parts += [one["secret"] for one in volume.get("projected", {}).get("sources", []) if "secret" in one]
            for part in parts:
                name = part.get("secretName") or part["name"]
                assert part["items"], f"{name}: keys are named"
                found |= {(name, item["key"]) for item in part["items"]}
    for store in built.all("ObjectStore"):
        found |= {(one["name"], one["key"]) for one in store["spec"]["configuration"]["s3Credentials"].values()}
    return found


def test_every_secret_is_made_by_an_operator_or_by_the_page_and_none_is_in_the_manifests() -> None:
    used: set[tuple[str, str]] = set()
    for overlay in OVERLAYS:
        assert build(overlay).all("Secret") == []
        used |= secrets_of(build(overlay))
    certificates = {one["spec"]["secretName"] for overlay in OVERLAYS for one in build(overlay).all("Certificate")}
    used = {(name, key) for name, key in used if name not in certificates} - OPERATORS_SECRETS
    assert used == documented_secrets()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_selector_matches_a_pod(overlay: str) -> None:
    built = build(overlay)
    pods = [workload.labels for workload in built.workloads]
    for workload in built.workloads:
        if workload.kind != "Job":
            assert selects(workload.manifest["spec"]["selector"], workload.labels), workload.name
        for rule in workload.pod.get("topologySpreadConstraints", []):
            assert selects(rule["labelSelector"], workload.labels), workload.name
    for service in built.all("Service"):
        assert any(selects({"matchLabels": service["spec"]["selector"]}, labels) for labels in pods), service["metadata"]["name"]
    for budget in built.all("PodDisruptionBudget"):
        assert sum(selects(budget["spec"]["selector"], labels) for labels in pods) == 1, budget["metadata"]["name"]
    everything = [*pods, *({"cnpg.io/cluster": one["metadata"]["name"]} for one in built.all("Cluster"))]
    for policy in built.all("NetworkPolicy"):
        assert any(selects(policy["spec"]["podSelector"], labels) for labels in everything), policy["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_port_account_class_claim_and_key_is_there(overlay: str) -> None:
    built = build(overlay)
    for service in built.all("Service"):
        for workload in built.workloads:
            if selects({"matchLabels": service["spec"]["selector"]}, workload.labels):
                for port in service["spec"]["ports"]:
                    assert workload.ports()[port["targetPort"]] == port["port"], service["metadata"]["name"]
    for workload in built.workloads:
        assert workload.pod["serviceAccountName"] in built.named("ServiceAccount")
        assert workload.pod["priorityClassName"] in built.named("PriorityClass")
        if workload.kind == "StatefulSet":
            assert built.named("Service")[workload.manifest["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
        if workload.kind != "Job":
            assert sum(selects(one["spec"]["selector"], workload.labels) for one in built.all("PodDisruptionBudget")) == 1
        volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", [])}
        claims = {one["metadata"]["name"] for one in workload.manifest["spec"].get("volumeClaimTemplates", [])}
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in built.named("PersistentVolumeClaim")
            if "configMap" in volume:
                assert volume["configMap"]["name"] in built.named("ConfigMap")
        for container in workload.containers:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= {*volumes, *claims}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container.get(probe, {})
                port = asked.get("grpc", asked.get("httpGet", {})).get("port")
                assert port is None or port in {*workload.ports(), *workload.ports().values()}
            built.environ(container)  # raises KeyError for a ConfigMap that is not there


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_is_probed_and_asks_for_what_it_needs(overlay: str) -> None:
    for workload in build(overlay).workloads:
        for container in workload.containers:
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert {"cpu", "memory"} <= set(requests)
            assert "memory" in limits
            # A service that is held back for a while answers late everywhere at once; requests share the processor fairly enough.
            assert "cpu" not in limits
        if workload.kind != "Job":
            for container in workload.pod["containers"]:
                assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


def test_every_certificate_names_what_its_service_is_called_by() -> None:
    built = build("production")
    for name, workload, container in built.services():
        environ = built.environ(container)
        certificate = built.named("Certificate")[f"transload-{name}"]["spec"]
        called = {environ[f"TRANSLOAD_{name.upper()}_ADDRESS"]}
        called |= set(environ["TRANSLOAD_QUOTA_ADDRESS"].split(",")) if name == "loader" else set()
        assert {one.rpartition(":")[0] for one in called} <= set(certificate["dnsNames"])
        # gRPC takes a wildcard only above two more labels.
        assert not [one for one in certificate["dnsNames"] if "*" in one]
        mounted = {volume["secret"]["secretName"] for volume in workload.pod["volumes"] if "secret" in volume}
        assert certificate["secretName"] in mounted
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        for setting in ("TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CA_FILE"):
            assert environ[f"TRANSLOAD_{setting}"].rpartition("/")[0] == mounts["tls"]
        assert environ["TRANSLOAD_ACCESS_FILE"].rpartition("/")[0] == mounts["access"]


def test_the_callers_the_page_shows_are_the_services_by_their_certificates(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(callers:.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "access.yaml").write_text(block, encoding="utf-8")
    callers = Callers.read(tmp_path / "access.yaml")
    built = build("production")
    for name, _, _ in built.services():
        caller = callers.by_certificate([built.named("Certificate")[f"transload-{name}"]["spec"]["commonName"]])
        assert caller is not None
        assert (caller.role, caller.services) == (Role.SERVICE, frozenset({name}))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_files_that_settings_name_are_mounted(overlay: str) -> None:
    built = build(overlay)
    for workload in built.workloads:
        volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", [])}
        for container in workload.containers:
            files: dict[str, str] = {}
            for mount in container.get("volumeMounts", []):
                volume = volumes.get(mount["name"], {})
                parts = [volume.get("secret", {}), *(one["secret"] for one in volume.get("projected", {}).get("sources", []))]
                items = [item for part in parts for item in part.get("items", [])]
                files |= {f"{mount['mountPath']}/{item['path']}": item["key"] for item in items}
            named = {value for key, value in built.environ(container).items() if key.endswith(("_FILE", "ROOTCERT"))}
            assert named <= set(files), workload.name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_requests_and_limits_are_the_ones_the_page_gives_a_reason_for(overlay: str) -> None:
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| [\d.]+ \| (\w+), (\w+) \| (\w+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 5
    for name, _, most, cpu, memory, limit in rows:
        workload = build(overlay).workload("nats" if name == "NATS" else f"transload-{name}")
        resources = workload.pod["containers"][0]["resources"]
        assert (resources["requests"]["cpu"], resources["requests"]["memory"], resources["limits"]["memory"]) == (cpu, memory, limit)
        assert int(memory.removesuffix("Mi")) >= 1.5 * int(most), "a request below what was measured, with room"
