"""The table of metrics: names that Prometheus makes of it, and that nothing is measured beside it."""

import re
from pathlib import Path

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from services.common import gauges, instruments, telemetry
from services.common.instruments import INSTRUMENTS, Kind
from tools import metrics_table

SERVICES = Path(__file__).resolve().parents[3] / "services"


def test_every_metric_has_a_name_of_its_own_a_unit_and_words() -> None:
    assert len({one.name for one in INSTRUMENTS}) == len(INSTRUMENTS) > 40
    for one in INSTRUMENTS:
        assert re.fullmatch(r"(transload|http|rpc|messaging)(\.[a-z_]+)+", one.name)
        assert re.fullmatch(r"s|By|\{[a-z_]+\}", one.unit), one.name
        assert one.description
        assert one.services


def test_attributes_are_named_like_metrics_and_none_can_take_a_value_for_each_record() -> None:
    attributes = {attribute for one in INSTRUMENTS for attribute in one.attributes}
    assert all(re.fullmatch(r"(transload|http|rpc|messaging|url|error)(\.[a-z_]+)+", attribute) for attribute in attributes)
    assert not {attribute for attribute in attributes if attribute.endswith(("key", "record.id", "actor", "url.full", "trace_id"))}


def test_prometheus_sees_the_names_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry, scope_info_enabled=False, disable_target_info=True)
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(telemetry, "meter", lambda: provider.get_meter("test"))
    board = gauges.Board(one for one in INSTRUMENTS if one.kind is Kind.GAUGE)
    for one in INSTRUMENTS:
        labels = dict.fromkeys(one.attributes, "x")
        if one.kind is Kind.COUNTER:
            instruments.counter(one).add(1, labels)
        elif one.kind is Kind.HISTOGRAM:
            instruments.histogram(one).record(0.3, labels)
        else:
            board.show(one, [(labels, 1)])
    samples = {sample.name: sample for family in registry.collect() for sample in family.samples}
    provider.shutdown()
    assert set(samples) == {name for one in INSTRUMENTS for name in one.series}
    assert samples["transload_migration_records"].labels == {
        "transload_migration_id": "x",
        "transload_phase": "x",
        "transload_state": "x",
    }
    assert samples["http_client_request_duration_seconds_sum"].value == pytest.approx(0.3)


def test_what_a_gauge_shows_no_more_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = CollectorRegistry()
    provider = MeterProvider(metric_readers=[PrometheusMetricReader(registry=registry, scope_info_enabled=False, disable_target_info=True)])
    monkeypatch.setattr(telemetry, "meter", lambda: provider.get_meter("test"))
    board = gauges.Board([instruments.REVIEW_ITEMS])
    board.show(instruments.REVIEW_ITEMS, [({"transload.reason": "A"}, 2), ({"transload.reason": "B"}, 1)])
    assert registry.get_sample_value("transload_migration_review_items", {"transload_reason": "A"}) == 2
    board.show(instruments.REVIEW_ITEMS, [({"transload.reason": "B"}, 1)])
    assert registry.get_sample_value("transload_migration_review_items", {"transload_reason": "A"}) is None
    with pytest.raises(KeyError):
        board.show(instruments.IN_DOUBT, [])
    provider.shutdown()


def test_nothing_is_measured_beside_the_table() -> None:
    made = re.compile(r"\.create_(counter|histogram|gauge|observable_\w+|up_down_counter)\(")
    places = {path.relative_to(SERVICES).as_posix() for path in SERVICES.rglob("*.py") if made.search(path.read_text())}
    assert places == {"common/instruments.py", "common/gauges.py"}


def test_the_guide_has_the_table_as_the_code_has_it() -> None:
    assert all(f"| `{one.name}` |" in metrics_table.table() for one in INSTRUMENTS)
    assert metrics_table.PAGE.read_text(encoding="utf-8") == metrics_table.render(), "run `python tools/metrics_table.py`"
