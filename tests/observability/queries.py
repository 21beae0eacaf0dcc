"""The PromQL of dashboards and alert rules, and the metrics it names."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = OBSERVABILITY / "prometheus" / "rules.yaml"

_LABELS = re.compile(r"\{[^}]*\}|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_METRIC = re.compile(r"\b(?:transload|http|rpc|messaging)_[a-z0-9_]+\b|\bup\b")


@dataclass(frozen=True, slots=True)
class Query:
    """One query and where it stands."""

    where: str
    text: str

    @property
    def metrics(self) -> set[str]:
        """The time series it names."""
        return set(_METRIC.findall(_LABELS.sub("", self.text)))

    @property
    def concrete(self) -> str:
        """The query as Grafana asks it with everything chosen, over a minute."""
        return self.text.replace("$__rate_interval", "1m").replace("$migration", ".*").replace("$connection", ".*")


def alerts() -> list[dict[str, Any]]:
    """Answer the alert rules."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def of_rules() -> list[Query]:
    """Answer the queries of the alert rules."""
    return [Query(rule["alert"], rule["expr"]) for rule in alerts()]


def of_dashboards() -> list[Query]:
    """Answer the queries of every panel."""
    return list(_of_dashboards())


def _of_dashboards() -> Iterator[Query]:
    for path in sorted((OBSERVABILITY / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield Query(f"{path.stem}: {panel['title']}", target["expr"])
