"""What was asked of Pipedrive and of the source, judged by their own journals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sandbox.pipedrive.control.check_journal import violations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulation.world import World

TOO_MANY: Final = 429
OTHERS_SECONDS: Final = 90.0
"""So long after others have spent tokens a call may still find none that had seemed to be there: until the next headers."""
PROBE: Final = "GET /v1/users/me"
"""The call that looks whether a used-up budget was renewed."""
FILES: Final = "/files/"
"""Where the source's files lie; fetching them costs no call of its budget."""


def asked_of_target(world: World) -> list[str]:
    """Say which requests went over a window or a budget: by a checker that shares no code with the simulator's limits, and by refusals."""
    app = world.pipedrive
    journal = app.journal
    rows = journal.rows(0, journal.total)
    kept = {"kept": len(rows), "total": journal.total, "is_whole": journal.is_whole}
    problems = violations({"entries": rows, **kept, "account": app._control._terms(), "days": app.limits.budget.days()})
    refused = [entry for entry in journal.entries if entry.status == TOO_MANY and not entry.fault]
    made = [entry for entry in refused if not _is_of_others(world, entry) and not _is_a_look(world, entry, refused)]
    problems += [f"{entry.method} {entry.path} at {entry.time:.3f} was refused with 429" for entry in made[:5]]
    return [f"quota: {problem}" for problem in problems]


def asked_of_source(world: World, counted: int) -> list[str]:
    """Say whether something was written to the source (X-06), or asked without being counted. `counted` calls stand in the ledger."""
    journal = world.stel.journal
    problems = [f"source: {journal.write_attempts} attempts to write"] if journal.write_attempts else []
    asked = sum(not call.path.startswith(FILES) for call in journal.calls)
    if asked > counted:
        problems.append(f"source: {asked} calls were made, {counted} were counted")
    return problems


def _is_a_look(world: World, entry: Any, refused: Sequence[Any]) -> bool:
    """Say whether a call asked whether a used-up budget was back, as one may so often: reading back does it with the call it waits to make."""
    before = [other.time for other in refused if other.time < entry.time and other.window]
    return bool(entry.window and before) and entry.time - before[-1] >= world.size.probe_seconds


def _is_of_others(world: World, entry: Any) -> bool:
    """Say whether a refusal is the work of others: a window they shared, or tokens they spent that no header had told of yet."""
    purse = world.purse
    if not entry.window:
        return any(entry.time - 2.0 <= moment <= entry.time for moment in purse.shared)
    if not purse.changes:
        return False
    is_told = world.size.has_daily_headers
    return entry.operation == PROBE or any(
        moment <= entry.time and (not is_told or entry.time - moment <= OTHERS_SECONDS) for moment, _ in purse.changes
    )
