"""What has to hold after every fault: everything there once, nothing pending, the trail whole."""

from sandbox.pipedrive.control.check_journal import violations
from tests.e2e.checker import Checker, ownership_problems
from tests.e2e.harness import Rehearsal

SMALL = ("--clients", "12")
"""A source of about 250 records that still has every kind of record and every defect."""
UNLIMITED = ("--limits", "off")


async def assert_complete(rehearsal: Rehearsal) -> None:
    """Check the migration that was just loaded against both simulators."""
    truth, export = await rehearsal.truth(), await rehearsal.pipedrive.export()
    problems = Checker(truth, export, f"{rehearsal.migration_id}-source").check()
    assert not problems, "\n".join(problems)
    await assert_sums_agree(rehearsal)
    verified = await rehearsal.client.verify_audit(rehearsal.migration_id)
    assert verified.is_whole, verified.message


async def assert_sums_agree(rehearsal: Rehearsal) -> None:
    """Check X-04: extracted is the sum of all final states, and nothing is pending."""
    for entity in (await rehearsal.summary()).entities:
        final = entity.loaded_count + entity.matched_count + entity.skipped_count + entity.rejected_count + entity.waiting_count
        assert (entity.extracted_count, 0) == (final, entity.pending_count), entity


async def assert_owned_once(rehearsal: Rehearsal, before: bytes) -> None:
    """Check that each object made in Pipedrive belongs to exactly one record of the ledger, equal ones included."""
    owned: dict[str, list[str]] = {}
    for record in await rehearsal.records(state="loaded"):
        owned.setdefault(record.target_entity, []).append(record.target_id)
    problems = ownership_problems(before, await rehearsal.pipedrive.export(), owned)
    assert not problems, "\n".join(problems)


async def assert_within_limits(rehearsal: Rehearsal) -> None:
    """Check Pipedrive's own journal: no window and no day overrun, and nothing refused for it."""
    journal = await rehearsal.pipedrive.control("GET", "journal", limit=1_000_000)
    assert violations(journal) == []
    assert [entry for entry in journal["entries"] if entry["status"] == 429 and not entry["fault"]] == []
