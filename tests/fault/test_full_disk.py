"""The staging store refuses writes: the disk is full, or the folder cannot be written."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import installation
from tests.fault.proof import SMALL, UNLIMITED, assert_complete
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.xdist_group("fault-disk"), pytest.mark.slow]


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Make writes below `folder` fail while the block runs: a disk of 4 KiB where that may be mounted, else a file in the folder's place."""
    mounted = os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(folder)], check=False).returncode == 0
    if mounted:
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    aside = folder.with_name(folder.name + ".aside")
    folder.rename(aside)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)


@pytest.mark.requirement("L-06", "X-04")
async def test_a_full_staging_disk_stops_with_a_message_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    async with installation(tmp_path) as installed, installed.rehearsal(source=SMALL, target=UNLIMITED) as rehearsal:
        with full_disk(installed.stack.data_dir / "staging"):
            await rehearsal.start("audit")

            async def says_so() -> bool:
                migration = await rehearsal.migration()
                return "staging" in f"{migration.pause_message} {migration.latest_run.message}".lower()

            await rehearsal.until(says_so, what="a message about staging", seconds_max=60)
        migration = await rehearsal.migration()
        if migration.latest_run.state == pb.RUN_STATE_FAILED:
            await rehearsal.start("audit")
        elif migration.pause_kind == pb.PAUSE_KIND_ERROR:
            await rehearsal.client.resume(rehearsal.migration_id)
        rehearsal.expect_success(await rehearsal.finish(), "audit")
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        await assert_complete(rehearsal)
