"""The plan of a load against the load itself, small; `python -m bench plan_against_truth` does it with accounts of three shapes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
MEASURE = """
import json
from bench.plan_against_truth import API, figures_of, measure
from tests.simulation.world import Size
print(json.dumps(figures_of(measure(Size(is_small=False, clients=8, loaders=1, plan="growth", token_kind=API, seats=1, top_up=-58_500)))))
"""


@pytest.mark.requirement("L-01", "G-03")
def test_a_load_of_several_days_spends_the_tokens_and_takes_the_days_it_was_planned_to() -> None:
    environ = {**os.environ, "PYTHONHASHSEED": "0"}
    result = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=False, env=environ)
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["days planned"] >= 2
    assert abs(figures["tokens off, %"]) <= 2
    assert abs(figures["worst step off, %"]) <= 2
    assert figures["days off, %"] == 0
    assert abs(figures["hours off, %"]) <= 5
