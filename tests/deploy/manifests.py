"""The manifests as kubectl's kustomize builds them, and short ways to what stands in them."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "k8s"
OVERLAYS = sorted(path.parent.name for path in (KUBERNETES / "overlays").glob("*/kustomization.yaml"))
SERVICES = ("extractor", "transformer", "loader", "ledger")


@dataclass(frozen=True)
class Workload:
    """Something that makes pods."""

    kind: str
    name: str
    manifest: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.manifest["spec"]["template"]["metadata"].get("labels", {}))

    @property
    def pod(self) -> dict[str, Any]:
        return dict(self.manifest["spec"]["template"]["spec"])

    @property
    def containers(self) -> list[dict[str, Any]]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for container in self.pod["containers"] for port in container.get("ports", [])}


class Build:
    """One overlay, built."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.documents: list[dict[str, Any]] = list(yaml.safe_load_all(text))

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.documents if one["kind"] == kind]

    def named(self, kind: str) -> dict[str, dict[str, Any]]:
        return {one["metadata"]["name"]: one for one in self.all(kind)}

    @cached_property
    def workloads(self) -> list[Workload]:
        return [Workload(kind, one["metadata"]["name"], one) for kind in ("Deployment", "StatefulSet", "Job") for one in self.all(kind)]

    def workload(self, name: str) -> Workload:
        return next(one for one in self.workloads if one.name == name)

    def services(self) -> Iterator[tuple[str, Workload, dict[str, Any]]]:
        """Each of our services with its workload and the container it runs in."""
        for name in SERVICES:
            workload = self.workload(f"transload-{name}")
            yield name, workload, workload.pod["containers"][0]

    def environ(self, container: Mapping[str, Any]) -> dict[str, str]:
        """The environment of a container; what a secret holds is `secret:<name>/<key>`, what the cluster fills in `field:<path>`."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            found |= self.named("ConfigMap")[source["configMapRef"]["name"]]["data"]
        for variable in container.get("env", []):
            value_from = variable.get("valueFrom", {})
            if "secretKeyRef" in value_from:
                found[variable["name"]] = f"secret:{value_from['secretKeyRef']['name']}/{value_from['secretKeyRef']['key']}"
            elif "fieldRef" in value_from:
                found[variable["name"]] = f"field:{value_from['fieldRef']['fieldPath']}"
            else:
                found[variable["name"]] = variable["value"]
        return found


@cache
def build(overlay: str) -> Build:
    """Builds an overlay with the kubectl of the development dependencies."""
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    done = subprocess.run(
        [str(kubectl), "kustomize", str(KUBERNETES / "overlays" / overlay)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower(), done.stderr
    return Build(overlay, done.stdout)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        is_in = labels.get(rule["key"]) in rule["values"]
        if is_in != (rule["operator"] == "In"):
            return False
    return True
