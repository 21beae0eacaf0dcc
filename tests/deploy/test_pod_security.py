"""The pod security standard `restricted`, and what we ask for beyond it. Where no linter of the package indexes fits, the rules stand here."""

from __future__ import annotations

import re

import pytest

from tests.deploy.manifests import OVERLAYS, build

ALLOWED_VOLUMES = {"configMap", "emptyDir", "projected", "secret", "persistentVolumeClaim"}
SERVER_SECRETS = ("password", "secret", "token", "key")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_keeps_the_restricted_standard(overlay: str) -> None:
    for workload in build(overlay).workloads:
        pod = workload.pod
        assert not {"hostNetwork", "hostPID", "hostIPC", "ephemeralContainers"} & set(pod), workload.name
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "sysctls" not in pod["securityContext"]
        for volume in pod.get("volumes", []):
            (kind,) = set(volume) - {"name"}
            assert kind in ALLOWED_VOLUMES, (workload.name, volume)
        for container in workload.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert not {"privileged", "procMount", "runAsUser", "seccompProfile"} & set(context)
            assert all("hostPort" not in port for port in container.get("ports", []))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_closed_further_than_the_standard_asks(overlay: str) -> None:
    built = build(overlay)
    for workload in built.workloads:
        assert workload.pod["automountServiceAccountToken"] is False, workload.name
        assert workload.pod["enableServiceLinks"] is False
        assert workload.pod["serviceAccountName"] != "default"
        for container in workload.containers:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            name, _, tag = container["image"].partition(":")
            assert name == "transload", "everything runs from our image"
            assert tag not in {"", "latest"}
            for part in [*container.get("command", []), *container.get("args", [])]:
                assert not re.search(r"(^|/)(ba|da|a)?sh$", part), "the image is not asked for a shell"
    for account in built.all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    assert not [one for one in built.documents if one["kind"] in {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}]
    (namespace,) = built.all("Namespace")
    for mode in ("enforce", "audit", "warn"):
        assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"
    for manifest in built.documents:
        if manifest["kind"] not in {"Namespace", "PriorityClass"}:
            assert manifest["metadata"]["namespace"] == namespace["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_value_of_a_secret_stands_in_the_open(overlay: str) -> None:
    built = build(overlay)
    for workload in built.workloads:
        for container in workload.containers:
            for variable in container.get("env", []):
                is_secret = any(word in variable["name"].lower() for word in SERVER_SECRETS) and not variable["name"].endswith(("_FILE", "_DIR"))
                assert not (is_secret and "value" in variable), variable["name"]
                # What can be read from a file is mounted as one: variables are inherited and printed. The store's client knows variables only.
                assert "secretKeyRef" not in variable.get("valueFrom", {}) or variable["name"].startswith("AWS_"), variable["name"]
    for config in built.all("ConfigMap"):
        for name, value in config["data"].items():
            assert "@" not in value or not name.startswith("TRANSLOAD_"), f"{name}: an address with a password"
            assert "PRIVATE KEY" not in value


def test_only_the_overlay_to_try_things_out_is_open() -> None:
    for overlay in OVERLAYS:
        (settings,) = [one["data"] for one in build(overlay).all("ConfigMap") if one["metadata"]["name"].startswith("transload-settings")]
        is_open = settings.get("TRANSLOAD_ALLOW_OPEN") == "1"
        assert is_open == (overlay == "local")
        assert is_open != (settings.get("TRANSLOAD_TLS_CLIENT_CERTS") == "required")
