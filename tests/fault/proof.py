"""What has to hold after every fault: everything there once, nothing pending, the trail whole."""

from tests.e2e.checker import Checker
from tests.e2e.harness import Rehearsal

SMALL = ("--clients", "12")
"""A source of about 250 records that still has every kind of record and every defect."""
UNLIMITED = ("--limits", "off")


async def assert_complete(rehearsal: Rehearsal) -> None:
    """Check the migration that was just loaded against both simulators."""
    truth, export = await rehearsal.truth(), await rehearsal.pipedrive.export()
    assert Checker(truth, export, f"{rehearsal.migration_id}-source").check() == []
    await assert_sums_agree(rehearsal)
    verified = await rehearsal.client.verify_audit(rehearsal.migration_id)
    assert verified.is_whole, verified.message


async def assert_sums_agree(rehearsal: Rehearsal) -> None:
    """Check X-04: extracted is the sum of all final states, and nothing is pending."""
    for entity in (await rehearsal.summary()).entities:
        final = entity.loaded_count + entity.matched_count + entity.skipped_count + entity.rejected_count + entity.waiting_count
        assert (entity.extracted_count, 0) == (final, entity.pending_count), entity
