"""Random services of a whole installation with three loaders die every few seconds until the end, and Pipedrive and STEL Order have faults, too.

`TRANSLOAD_CHAOS_SECONDS` makes it go on with further seeds for so long, `TRANSLOAD_CHAOS_SEED` says which comes first; `make chaos`.
"""

import os
import random
import sys
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.checker import diff_of
from tests.e2e.harness import Installation, Rehearsal, installation
from tests.fault.chaos import Killer, go_to_approval, insist, killing, take_step
from tests.fault.conftest import IMPATIENT
from tests.fault.proof import assert_complete, assert_owned_once, assert_within_limits

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SECONDS = float(os.environ.get("TRANSLOAD_CHAOS_SECONDS", "0"))
SEED = int(os.environ.get("TRANSLOAD_CHAOS_SEED") or random.randrange(10**6))
SOURCE = ("--clients", "12")
TARGET = ("--plan", "growth", "--seats", "5", "--token-kind", "api")
"""40 calls in 2 seconds: slow enough for many deaths, and every limit counts."""
KILLS_MIN = 3
PATIENCE = IMPATIENT | {"TRANSLOAD_LEDGER_CLAIM_SECONDS": "8"}
"""What a dead loader had in hand goes to another one after so long, not after a minute."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("chaos"), PATIENCE, loaders=3) as running:
        yield running


def seeds() -> list[int]:
    """Seeds to begin with; more follow as long as there is time."""
    return [SEED + number for number in range(1000)]


async def add_faults(rehearsal: Rehearsal, rng: random.Random) -> None:
    """Let calls fail before and after their effect, and the source stumble."""
    kinds = ("cut_before", "cut_after", "error_before", "error_after", "empty_200")
    rules = [{"kind": kind, "method": "POST", "probability": 0.02, "seed": rng.randrange(10**6)} for kind in kinds]
    rules += [
        {"kind": kind, "method": method, "probability": 0.01, "seed": rng.randrange(10**6)}
        for method in ("GET", "PATCH", "DELETE")
        for kind in ("error_after", "cut_before", "cut_after")
    ]
    await rehearsal.pipedrive.faults(*rules)
    await rehearsal.stel.faults({"kind": "cut", "every": 17}, {"kind": "status", "status": 503, "every": 23})


@pytest.mark.requirement("L-10", "L-13", "L-14", "X-04", "G-03")
async def test_random_deaths_until_the_end_of_the_load_leave_everything_there_once(installed: Installation) -> None:
    began = time.monotonic()
    for seed in seeds():
        await load_in_chaos(installed, seed)
        if time.monotonic() - began >= SECONDS:
            return


async def load_in_chaos(installed: Installation, seed: int) -> None:
    sys.stderr.write(f"TRANSLOAD_CHAOS_SEED={seed}\n")
    rng = random.Random(seed)
    async with installed.rehearsal(source=(*SOURCE, "--seed", str(seed)), target=TARGET, sample_size=5) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await add_faults(rehearsal, rng)
        killer = Killer(installed, rehearsal, rng)
        async with killing(killer):
            await go_to_approval(rehearsal)
            await take_step(rehearsal, "load")
        assert killer.killed.total() >= KILLS_MIN, killer.killed
        await rehearsal.pipedrive.clear_faults()
        await rehearsal.stel.clear_faults()
        await take_step(rehearsal, "reconcile")
        found = await insist(lambda: anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id))))
        assert list(found.mismatches) == []
        await assert_complete(rehearsal)
        await assert_owned_once(rehearsal, before)
        await assert_within_limits(rehearsal)


@pytest.mark.requirement("L-15", "L-14", "G-03")
async def test_random_deaths_during_the_rollback_of_half_a_load_leave_the_account_as_it_was(installed: Installation) -> None:
    began = time.monotonic()
    for seed in seeds():
        await roll_back_in_chaos(installed, seed)
        if time.monotonic() - began >= SECONDS:
            return


async def roll_back_in_chaos(installed: Installation, seed: int) -> None:
    sys.stderr.write(f"TRANSLOAD_CHAOS_SEED={seed}\n")
    rng = random.Random(seed)
    async with installed.rehearsal(source=(*SOURCE, "--seed", str(seed)), target=TARGET, sample_size=5) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await go_to_approval(rehearsal)
        await add_faults(rehearsal, rng)
        await rehearsal.pipedrive.control("DELETE", "journal")
        await rehearsal.start("load")
        await rehearsal.until_requests(rng.randint(20, 120))
        killer = Killer(installed, rehearsal, rng)
        async with killing(killer):
            await take_step(rehearsal, "rollback")
        assert killer.killed.total() >= KILLS_MIN, killer.killed
        assert diff_of(before, await rehearsal.pipedrive.export()) == []
        verified = await insist(lambda: rehearsal.client.verify_audit(rehearsal.migration_id))
        assert verified.is_whole, verified.message
        await assert_within_limits(rehearsal)
