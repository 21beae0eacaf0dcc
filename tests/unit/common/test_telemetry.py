from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

from services.common import telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_log_line_is_one_json_object_with_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.setup("loader", replica="loader-1", environ={})
    telemetry.get_logger("services.loader.upsert").info("batch.settled", migration_id="m", record_count=3)
    captured = capsys.readouterr()
    line = json.loads(captured.err)
    assert captured.out == ""
    assert (line["event"], line["migration_id"], line["record_count"], line["service"], line["replica"]) == (
        "batch.settled", "m", 3, "loader", "loader-1",
    )  # fmt: skip


def test_a_bug_is_logged_with_its_traceback_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.setup("loader", environ={})
    telemetry.get_logger("services.loader").exception("task.failed", ValueError("broken"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: broken" in json.loads(line)["traceback"]


def test_without_a_collector_no_sdk_is_loaded_and_nothing_is_recorded() -> None:
    script = (
        "import sys; from services.common import telemetry as t; t.setup('x', environ={});"
        "assert not t.tracer().start_span('s').is_recording(); assert t.inject({}) == {};"
        "assert not [m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_links_name_the_span_they_come_from() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    link = telemetry.link_from(parent)
    assert link is not None
    assert f"{link.context.span_id:016x}" == "b7ad6b7169203331"
    assert telemetry.link_from("") is None
    assert telemetry.link_from("rubbish") is None
    assert len(telemetry.links_from([parent, parent, ""])) == 1
