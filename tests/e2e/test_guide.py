"""The page on adding a source, followed to the letter: two sources are made of its code blocks, installed, put through the suite, and moved."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.checker import Target
from tests.e2e.harness import Rehearsal, installation
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "adding-a-source.md"
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
SIZE = 60
SOURCES = ("brook", "brook_export")
PROMISE = re.compile(r"at most (\d+) lines")


@dataclass
class Followed:
    """What came of following the page."""

    place: Path
    """Where the packages are installed."""
    line_counts: dict[str, int]


@dataclass
class Moved:
    """A migration that went the whole way."""

    rehearsal: Rehearsal
    exports: dict[str, bytes]
    summaries: dict[str, pb.Summary]
    mismatches: dict[str, pb.ListMismatchesResponse]

    def target(self, stop: str) -> Target:
        """Return what Pipedrive held then."""
        return Target.parse(self.exports[stop])

    def one(self, stop: str, kind: str, entity: str, source_id: object) -> Any:
        """Return the record that came from a source record."""
        return self.target(stop).one(kind, f"{self.rehearsal.migration_id}-source/{entity}/{source_id}")


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """Write every code block under its name and install what that makes, as the page says."""
    folder = tmp_path_factory.mktemp("guide")
    written = folder / "written"
    counts: dict[str, int] = {}
    for name, content in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        path = written / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        counts[name.partition("/")[0]] = counts.get(name.partition("/")[0], 0) + content.count("\n")
    place = folder / "site"
    # As `pip install` does, but without the network, and beside the environment instead of in it.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(place)]
    subprocess.run([*command, *(str(written / name) for name in counts)], check=True, cwd=folder)
    return Followed(place, counts)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def moved(followed: Followed, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Moved]]:
    """Move both sources in one installation, which finds them by their entry points alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(followed.place)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(followed.place), *filter(None, [os.environ.get("PYTHONPATH")])]))
        invalidate_caches()
        found: dict[str, Moved] = {}
        async with installation(tmp_path_factory.mktemp("moved")) as installed:
            for source in followed.line_counts:
                async with installed.rehearsal(connector=source, size=SIZE) as rehearsal:
                    found[source] = await travel(rehearsal)
            yield found


async def travel(rehearsal: Rehearsal) -> Moved:
    """Take the whole way, with a delta."""
    moved = Moved(rehearsal, {}, {}, {})
    await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
    await look(moved, "load")
    await rehearsal.source.change(1)
    await rehearsal.step("delta")
    await look(moved, "delta")
    return moved


async def look(moved: Moved, stop: str) -> None:
    """Note what stands where."""
    moved.exports[stop] = await moved.rehearsal.pipedrive.export()
    moved.summaries[stop] = await moved.rehearsal.summary()
    await moved.rehearsal.step("reconcile")
    moved.mismatches[stop] = await anext(aiter(moved.rehearsal.client.iterate_mismatches(moved.rehearsal.migration_id)))


def installed_module(followed: Followed, name: str) -> ModuleType:
    """Import a module of what was installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(followed.place)
        return import_module(name)


async def test_the_page_is_as_short_as_it_says(followed: Followed) -> None:
    promised = [int(found) for found in PROMISE.findall(GUIDE.read_text(encoding="utf-8"))]
    assert tuple(followed.line_counts) == SOURCES
    assert all(count <= most for count, most in zip(followed.line_counts.values(), promised, strict=True)), followed.line_counts


async def test_both_sources_pass_the_conformance_suite(followed: Followed, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(followed.place)])}
    command = [sys.executable, "-m", "pytest", "tests/contract/connectors", "-q", "-k", "brook", "-p", "no:cacheprovider", f"--basetemp={tmp_path}"]
    run = partial(subprocess.run, command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)
    done = await asyncio.to_thread(run)
    assert done.returncode == 0, done.stdout[-4_000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 30


@pytest.mark.parametrize("stop", ["load", "delta"])
@pytest.mark.parametrize("source", SOURCES)
async def test_sums_agree_and_nothing_differs(moved: dict[str, Moved], source: str, stop: str) -> None:
    one = moved[source]
    for row in one.summaries[stop].entities:
        assert row.loaded_count + row.matched_count + row.skipped_count + row.rejected_count + row.waiting_count == row.extracted_count, row
        assert (row.pending_count, row.rejected_count) == (0, 0), row
    assert list(one.mismatches[stop].mismatches) == []
    assert one.mismatches[stop].field_count > SIZE


async def test_customers_and_jobs_of_the_interface_arrive_value_by_value(moved: dict[str, Moved], followed: Followed) -> None:
    brook, account = moved["brook"], installed_module(followed, "brook.simulator").Account(1, SIZE)
    target = brook.target("load")
    users = {user["email"]: user["id"] for user in target.state["users"]}
    stages = {stage["id"]: stage["name"] for stage in target.state["stages"]}
    for customer in account.rows["customers"]:
        found = brook.one("load", "organizations", "customer", customer["id"])
        assert found["name"] == customer["name"]
        assert target.custom("organization", found)["Brook Phone"] == customer["phone"]
        assert found["address"]["value"] == "Girona"
    for job in account.rows["jobs"]:
        found = brook.one("load", "deals", "job", job["id"])
        if job["customer_id"] == 9_999:
            assert found is None
            continue
        organization = brook.one("load", "organizations", "customer", job["customer_id"])
        assert (found["title"], found["org_id"], found["value"], found["currency"]) == (job["title"], organization["id"], float(job["price"]), "EUR")
        assert found["owner_id"] == users[account.rows["employees"][job["employee_id"] - 1]["email"]]
        assert found["status"] == {"planned": "open", "done": "won", "cancelled": "lost"}[job["state"]]
        assert stages[found["stage_id"]] == ("Done" if job["state"] == "done" else "Planned")
        due = target.custom("deal", found).get("Brook Due")
        assert due == (None if job["due"].startswith("31") else job["due"])


async def test_photos_hang_on_their_deals(moved: dict[str, Moved], followed: Followed) -> None:
    brook, simulator = moved["brook"], installed_module(followed, "brook.simulator")
    files = {one["name"]: one for one in brook.target("load").state["files"]}
    for row in simulator.Account(1, SIZE).rows["photos"]:
        found = files[row["file_name"]]
        assert found["deal_id"] == brook.one("load", "deals", "job", row["job_id"])["id"]
        assert found["file_size"] == len(simulator.photo(str(row["id"])))


async def test_a_job_without_customer_waits_for_a_person(moved: dict[str, Moved]) -> None:
    items = await moved["brook"].rehearsal.review_items()
    assert [one.reason for one in items if one.source_key.endswith("job/40")] == ["REFERENCE_MISSING"]


async def test_a_delta_brings_what_changed(moved: dict[str, Moved]) -> None:
    brook, export = moved["brook"], moved["brook_export"]
    assert brook.one("delta", "organizations", "customer", 2)["name"] == "Renamed SL"
    assert brook.one("delta", "organizations", "customer", SIZE + 1)["name"] == "New SL"
    assert export.one("delta", "organizations", "customer", "C-1")["name"] == "Renamed GmbH"
    assert export.one("delta", "deals", "job", 1) is not None, "what is gone is flagged, not taken away"


async def test_customers_and_jobs_of_the_export_arrive_value_by_value(moved: dict[str, Moved], followed: Followed) -> None:
    export = moved["brook_export"]
    customers, jobs = installed_module(followed, "brook_export.generator").account(SIZE)
    target = export.target("load")
    for row in customers:
        found = export.one("load", "organizations", "customer", row["Customer No."])
        day, month, year = row["Customer Since"].split(".")
        assert found["name"] == row["Name"]
        assert target.custom("organization", found)["Brook Customer Since"] == f"{year}-{month}-{day}"
    for row in jobs:
        found = export.one("load", "deals", "job", row["Job No."])
        if row["State"] == "Deleted":
            assert found is None
            continue
        assert (found["title"], found["value"]) == (row["Title"], 1_000 + int(row["Job No."]) + 0.5)
        assert found["org_id"] == export.one("load", "organizations", "customer", row["Customer No."])["id"]
        assert found["status"] == {"Planned": "open", "Done": "won"}[row["State"]]
