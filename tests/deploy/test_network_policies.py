"""Exactly the paths the services need are open, in both directions: worked out from the policies, and compared with what the settings name."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from services.extractor.settings import ExtractorSettings
from services.ledger.settings import LedgerSettings
from services.loader.settings import LoaderSettings
from services.transformer.settings import TransformerSettings
from tests.deploy.manifests import OVERLAYS, Build, build, selects

GRPC, NATS, DATABASE = 50051, 4222, 5432
SETTINGS: dict[str, type] = {
    "extractor": ExtractorSettings,
    "transformer": TransformerSettings,
    "loader": LoaderSettings,
    "ledger": LedgerSettings,
}
# Fields of settings that name another process.
PEERS = {
    "ledger_address": ("transload-ledger", GRPC),
    "extractor_address": ("transload-extractor", GRPC),
    "transformer_address": ("transload-transformer", GRPC),
    "loader_address": ("transload-loader", GRPC),
    "quota_address": ("transload-loader", GRPC),
    "nats": ("nats", NATS),
}
CLIENT = {"transload/client": "true"}
STRANGER = {"app.kubernetes.io/name": "something-else"}
# 9464 is closed to every pod of the namespace and open to Prometheus, see below.
CLOSED_PORTS = (22, 80, 443, 2379, 5432, 6222, 6443, 8080, 8222, 9464, 50052)


def pods(built: Build) -> dict[str, dict[str, str]]:
    found = {workload.name: workload.labels for workload in built.workloads}
    found |= {one["metadata"]["name"]: {"cnpg.io/cluster": one["metadata"]["name"]} for one in built.all("Cluster")}
    return found | {"client": CLIENT, "stranger": STRANGER}


def needed(built: Build) -> set[tuple[str, str, int]]:
    """Who must reach whom, from the settings of the services."""
    found = {("nats", "nats", 6222), ("client", "transload-ledger", GRPC)}
    for name, settings in SETTINGS.items():
        fields = {field.name for field in dataclasses.fields(settings)}
        found |= {(f"transload-{name}", peer, port) for one, (peer, port) in PEERS.items() if one in fields}
    for cluster in built.all("Cluster"):
        database = cluster["metadata"]["name"]
        found |= {("transload-ledger", database, DATABASE), ("transload-migration", database, DATABASE)}
        found |= {(database, database, DATABASE), (database, database, 8000)}
    return found


def is_open(built: Build, source: dict[str, str], target: dict[str, str], port: int) -> bool:
    """Whether a connection between two pods of the namespace passes both ends' policies."""
    return passes(built, source, target, port, "Egress") and passes(built, target, source, port, "Ingress")


def passes(built: Build, here: dict[str, str], there: dict[str, str], port: int, direction: str) -> bool:
    policies = [one for one in built.all("NetworkPolicy") if selects(one["spec"]["podSelector"], here) and direction in one["spec"]["policyTypes"]]
    if not policies:
        return True
    key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
    return any(
        allows(rule, peers, there) and any(one["port"] == port for one in rule["ports"])
        for policy in policies
        for rule in policy["spec"].get(key, [])
    )


def allows(rule: dict[str, Any], peers: str, labels: dict[str, str]) -> bool:
    return any("podSelector" in peer and "namespaceSelector" not in peer and selects(peer["podSelector"], labels) for peer in rule[peers])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_exactly_the_needed_paths_between_pods_are_open(overlay: str) -> None:
    built = build(overlay)
    everyone = pods(built)
    wanted = needed(built)
    ports = {port for _, _, port in wanted} | set(CLOSED_PORTS)
    found = {
        (source, target, port)
        for source, of_source in everyone.items()
        for target, of_target in everyone.items()
        for port in ports
        if target not in {"client", "stranger"} and is_open(built, of_source, of_target, port)
    }
    # Who calls from outside the policies' reach (a marked client) brings its own rule for the way out.
    found |= {("client", "transload-ledger", GRPC)} if passes(built, everyone["transload-ledger"], CLIENT, GRPC, "Ingress") else set()
    assert found == wanted


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_denied_first_and_only_some_reach_the_outside(overlay: str) -> None:
    built = build(overlay)
    deny = built.named("NetworkPolicy")["default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    outside: dict[str, set[int]] = {}
    for name, labels in pods(built).items():
        for policy in built.all("NetworkPolicy"):
            for rule in policy["spec"].get("egress", []) if selects(policy["spec"]["podSelector"], labels) else []:
                blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
                if blocks:
                    outside.setdefault(name, set()).update(one["port"] for one in rule["ports"])
                for block in blocks:
                    assert "169.254.0.0/16" in block["except"], "the cloud's metadata service gives out keys"
    has_cluster = bool(built.all("Cluster"))
    has_store = "s3://" in built.text
    expected = {"transload-extractor": {443}, "transload-loader": {443}}
    if has_store:
        expected |= {"transload-ledger": {443}, "transload-transformer": {443}}
    if has_cluster:
        expected["transload-postgres"] = {443, 6443}
    else:
        expected["transload-ledger"] = expected.get("transload-ledger", set()) | {5432}
        expected["transload-migration"] = {5432}
    assert outside == expected


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_who_comes_from_another_namespace_is_named_and_reaches_one_port(overlay: str) -> None:
    """Metrics and monitoring are plain text without a login: nobody but who reads them may come, not even from the namespace itself."""
    built = build(overlay)
    found: set[tuple[str, str, str, int]] = set()
    for name, labels in pods(built).items():
        for policy in built.all("NetworkPolicy"):
            for rule in policy["spec"].get("ingress", []) if selects(policy["spec"]["podSelector"], labels) else []:
                for peer in rule["from"]:
                    assert set(peer) <= {"podSelector", "namespaceSelector"}
                    if "namespaceSelector" in peer:
                        (space,), (caller,) = peer["namespaceSelector"]["matchLabels"].values(), peer["podSelector"]["matchLabels"].values()
                        found |= {(space, caller, name, one["port"]) for one in rule["ports"]}
    services = {workload.name for _, workload, _ in built.services()}
    expected = {("cnpg-system", "cloudnative-pg", one["metadata"]["name"], 8000) for one in built.all("Cluster")}
    if overlay != "local":
        expected |= {("monitoring", "prometheus", name, 9464) for name in services} | {("keda", "keda-operator", "nats", 8222)}
    assert found == expected


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_can_look_up_names(overlay: str) -> None:
    policy = build(overlay).named("NetworkPolicy")["names"]["spec"]
    assert policy["podSelector"] == {}
    (rule,) = policy["egress"]
    assert {(one["protocol"], one["port"]) for one in rule["ports"]} == {("UDP", 53), ("TCP", 53)}
