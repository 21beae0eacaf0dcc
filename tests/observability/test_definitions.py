"""Dashboards, alert rules and collector configuration, without a server: what they name exists."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.instruments import INSTRUMENTS
from tests.observability.queries import OBSERVABILITY, ROOT, RULES, alerts, of_dashboards, of_rules
from tools import dashboards

SERIES = {name: one for one in INSTRUMENTS for name in one.series}
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def test_dashboards_are_those_the_code_makes() -> None:
    assert {path.name: path.read_text() for path in (OBSERVABILITY / "grafana").glob("*.json")} == {
        path.name: text for path, text in dashboards.written().items()
    }
    assert len(dashboards.DASHBOARDS) == 4


@pytest.mark.parametrize("query", [*of_dashboards(), *of_rules()], ids=lambda query: query.where)
def test_every_metric_a_query_names_is_one_of_ours(query: Any) -> None:
    assert query.metrics
    assert query.metrics - {"up"} <= set(SERIES)


@pytest.mark.parametrize("query", [*of_dashboards(), *of_rules()], ids=lambda query: query.where)
def test_every_label_a_query_names_is_an_attribute_of_its_metric(query: Any) -> None:
    matched = set(re.findall(r"[{,]\s*([a-z_]+)\s*=", query.text))
    grouped = {label.strip() for labels in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query.text) for label in labels.split(",") if label.strip()}
    known = {re.sub(r"[^a-z0-9]+", "_", attribute) for name in query.metrics - {"up"} for attribute in SERIES[name].attributes}
    assert matched | grouped <= known | {"job", "instance", "le"}


def test_panels_do_not_overlap_and_have_what_grafana_needs() -> None:
    for path in (OBSERVABILITY / "grafana").glob("*.json"):
        content = json.loads(path.read_text())
        assert content["uid"].startswith("transload-")
        places: set[tuple[int, int]] = set()
        for panel in content["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & places, (path.name, panel["title"])
            assert at["x"] + at["w"] <= 24
            places |= cells
        assert len({panel["id"] for panel in content["panels"]}) == len(content["panels"])


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_every_alert_has_a_severity_and_a_section_of_the_guide(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert page.endswith("/docs/operations.md")
    headings = re.findall(r"^#+ (.+)$", OPERATIONS, re.MULTILINE)
    sections = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"): heading for heading in headings}
    assert anchor in sections
    assert sections[anchor] == f"Alert: {rule['alert']}"
    text = OPERATIONS.partition(f"### Alert: {rule['alert']}\n")[2].partition("\n#")[0]
    assert [word for word in ("**Means**", "**Look**", "**Do**") if word not in text] == []


def test_no_alert_of_the_guide_is_without_a_rule() -> None:
    assert set(re.findall(r"^### Alert: (\w+)$", OPERATIONS, re.MULTILINE)) == {rule["alert"] for rule in alerts()}


def test_every_part_of_the_collectors_pipelines_is_configured() -> None:
    content = yaml.safe_load((OBSERVABILITY / "collector" / "collector.yaml").read_text())
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in content["service"]["pipelines"].values():
        for kind, names in used.items():
            names |= set(pipeline[kind])
        assert pipeline["processors"][0] == "memory_limiter"
    assert {kind: set(content[kind]) for kind in used} == used
    assert set(content["service"]["extensions"]) == set(content["extensions"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is not installed")
def test_promtool_accepts_rules_and_configuration_and_every_alert_fires_when_it_should(tmp_path: Path) -> None:
    folder = RULES.parent
    # Debian builds Prometheus without the discovery of Kubernetes: the rest of the configuration is checked.
    config = yaml.safe_load((folder / "prometheus.yaml").read_text())
    assert [config["scrape_configs"][0].pop("kubernetes_sd_configs")] == [[{"role": "pod"}]]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config | {"rule_files": [str(RULES)]}))
    for arguments in (("check", "rules", "rules.yaml"), ("check", "config", str(tmp_path / "prometheus.yaml")), ("test", "rules", "rules.test.yaml")):
        done = subprocess.run(("promtool", *arguments), cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    tested = {case["alertname"] for test in yaml.safe_load((folder / "rules.test.yaml").read_text())["tests"] for case in test["alert_rule_test"]}
    assert tested == {rule["alert"] for rule in alerts()}
