"""Whole migrations under faults, each from one seed; in processes of their own, because sets of texts need a fixed hash seed to be repeatable."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SEEDS = os.environ.get("TRANSLOAD_TEST_SEEDS", "100")
"""How many seeds, as far as they fit into `SECONDS`: always the first ones, so that a quick machine finds nothing a slow one does not.

`make simulate-many` runs others.
"""
SECONDS = os.environ.get("TRANSLOAD_TEST_SEED_SECONDS", "300")
WORKERS = os.environ.get("TRANSLOAD_TEST_WORKERS", "2")

BUGS = (
    *("acknowledge_before_settle", "lose_a_page", "debit_after_the_call", "rollback_takes_edits"),
    *("repair_overwrites", "delete_what_is_to_stay", "erase_the_digest"),
)
"""Some of those put in on purpose: those that few seeds find."""

pytestmark = pytest.mark.slow


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments], capture_output=True, text=True, check=False, env={**os.environ, "PYTHONHASHSEED": "0"}
    )


def test_no_seed_loses_or_repeats_anything(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("--count", SEEDS, "--seconds", SECONDS, "--workers", WORKERS)
    with capsys.disabled():
        sys.stdout.write(f"\nsimulation: {result.stdout.strip().rpartition(chr(10))[2]}\n")
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_seed_can_be_replayed_to_the_letter() -> None:
    first, second = ([line for line in run("--seed", "7").stdout.splitlines() if " s of a core" not in line] for _ in range(2))
    assert len(first) > 100
    assert first == second


@pytest.mark.parametrize("mutant", BUGS)
def test_a_bug_put_in_on_purpose_is_found(mutant: str) -> None:
    result = run("--mutants", mutant, "--count", "40", "--workers", "1")
    assert result.returncode == 0, result.stdout
