"""The staging store refuses writes: the disk is full, or the folder cannot be written."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Rehearsal, installation
from tests.fault.proof import SMALL, UNLIMITED, assert_complete
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.slow]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Put a small disk of its own under `folder` where this may be done; yields None where it may not."""
    folder.mkdir(parents=True)
    may_mount = os.geteuid() == 0
    if not (may_mount and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", str(folder)], check=False).returncode == 0):
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def full(disk: Path | None, folder: Path) -> Iterator[None]:
    """Make writes below `folder` fail while the block runs: fill its disk, or without one put a file in the folder's place."""
    if disk is not None:
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield
        filler.unlink()
        return
    aside = folder.with_name(folder.name + ".aside")
    folder.rename(aside)
    folder.touch()
    yield
    folder.unlink()
    aside.rename(folder)


@pytest.mark.requirement("L-06", "X-04")
async def test_a_full_staging_disk_stops_with_a_message_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    staging = tmp_path / "stack" / "staging"
    with small_disk(staging) as disk:
        async with installation(tmp_path) as installed, installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
            await fill_and_empty(rehearsal, disk, staging)
            await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
            await assert_complete(rehearsal)


async def fill_and_empty(rehearsal: Rehearsal, disk: Path | None, staging: Path) -> None:
    """Let the audit meet a full disk, make room, and see the audit through."""
    with full(disk, staging):
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
