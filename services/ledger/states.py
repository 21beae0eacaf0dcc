"""The state machine of a migration: which step is allowed when, and where it leads. Pure; knows no storage and no network.

The order is CREATED -> AUDITED -> CONFIRMED -> PREPARED -> SAMPLED -> APPROVED -> LOADED -> COMPLETED. Three rules stand above the order:

* nothing moves before the mapping of today's digest is confirmed (L-02);
* the full load is locked until the diff of this very mapping is approved (L-09), and a changed mapping takes the approval back;
* a rollback (L-15) is possible from any state in which something of ours is in Pipedrive, also while a run is going.

Steps of people go through `check`, which raises with the reason; ends of runs go through `state_after_run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.common.errors import PreconditionError
from services.ledger.domain import MigrationState, RunKind, RunState, Scope


class Step(StrEnum):
    """What a person asks for; those that start a run have the name of the run's kind."""

    AUDIT = "audit"
    EDIT_MAPPING = "edit_mapping"
    CONFIRM_MAPPING = "confirm_mapping"
    SCHEMA = "schema"
    SAMPLE = "sample"
    APPROVE = "approve"
    LOAD = "load"
    DELTA = "delta"
    RECONCILE = "reconcile"
    ROLLBACK = "rollback"
    REPAIR = "repair"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"


_S = MigrationState

ALLOWED_FROM: dict[Step, frozenset[MigrationState]] = {
    Step.AUDIT: frozenset({_S.CREATED, _S.AUDITED, _S.CONFIRMED}),
    Step.EDIT_MAPPING: frozenset({_S.AUDITED, _S.CONFIRMED, _S.PREPARED, _S.SAMPLED, _S.APPROVED, _S.LOADED}),
    Step.CONFIRM_MAPPING: frozenset({_S.AUDITED}),
    Step.SCHEMA: frozenset({_S.CONFIRMED, _S.PREPARED}),
    Step.SAMPLE: frozenset({_S.PREPARED, _S.SAMPLED}),
    Step.APPROVE: frozenset({_S.SAMPLED}),
    Step.LOAD: frozenset({_S.APPROVED}),
    Step.DELTA: frozenset({_S.LOADED}),
    Step.RECONCILE: frozenset({_S.PREPARED, _S.SAMPLED, _S.APPROVED, _S.LOADED, _S.COMPLETED}),
    Step.ROLLBACK: frozenset(_S) - {_S.ROLLED_BACK},
    Step.REPAIR: frozenset({_S.LOADED, _S.COMPLETED}),
    Step.PAUSE: frozenset(_S),
    Step.RESUME: frozenset(_S),
    Step.COMPLETE: frozenset({_S.LOADED}),
}
"""States from which a step may be taken, apart from the conditions checked in `check`."""

# State after a run of this kind has succeeded; kinds not named leave the state as it is.
_STATE_AFTER: dict[RunKind, MigrationState] = {
    RunKind.AUDIT: _S.AUDITED,
    RunKind.SCHEMA: _S.PREPARED,
    RunKind.SAMPLE: _S.SAMPLED,
    RunKind.LOAD: _S.LOADED,
    RunKind.ROLLBACK: _S.ROLLED_BACK,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """All that decides which step is allowed. Digests are empty while the thing does not exist."""

    state: MigrationState = MigrationState.CREATED
    active_run: RunKind | None = None
    is_paused: bool = False
    mapping_digest: str = ""
    confirmed_digest: str = ""
    diff_digest: str = ""
    # Mapping the diff was made with.
    diff_mapping_digest: str = ""
    approved_diff_digest: str = ""
    approved_mapping_digest: str = ""
    # True when a record of ours is, or may be, in the target.
    has_loaded_records: bool = False
    # True when rollbacks kept records of ours because of people's edits.
    has_kept_records: bool = False
    requires_rehearsal: bool = False
    # Digest of the approved diff whose sample was taken back with a clean comparison.
    rehearsed_digest: str = ""

    @property
    def is_confirmed(self) -> bool:
        """True when the latest mapping is the confirmed one."""
        return bool(self.mapping_digest) and self.confirmed_digest == self.mapping_digest

    @property
    def is_approved(self) -> bool:
        """True when the present diff of the present, confirmed mapping was approved."""
        return (
            self.is_confirmed
            and bool(self.diff_digest)
            and self.approved_diff_digest == self.diff_digest
            and self.approved_mapping_digest == self.diff_mapping_digest == self.mapping_digest
        )

    @property
    def is_rehearsed(self) -> bool:
        """True when the approved sample was taken back and left nothing behind."""
        return bool(self.rehearsed_digest) and self.rehearsed_digest == self.approved_diff_digest


def check(step: Step, standing: Standing, *, digest: str = "", scope: Scope | None = None) -> None:
    """Lets a step through or says why not.

    Args:
        step: What is asked for.
        standing: How the migration stands.
        digest: For `confirm_mapping` the mapping's digest that was looked at, for `approve` the diff's.
        scope: For `rollback`, what is taken back; everything by default.

    Raises:
        PreconditionError: With reason WRONG_STATE, RUN_ACTIVE, MAPPING_NOT_CONFIRMED, NOT_APPROVED,
            NOT_REHEARSED or DIGEST_MISMATCH.
    """
    if step in (Step.PAUSE, Step.RESUME):
        _check_pausing(step, standing)
        return
    if step is Step.ROLLBACK:
        _check_rollback(standing, scope or Scope())
        return
    if standing.active_run is not None:
        raise PreconditionError(
            f"a run ({standing.active_run}) of this migration is still going; wait until it ends or take the migration back",
            reason="RUN_ACTIVE",
            metadata={"run_kind": standing.active_run},
        )
    if step is Step.LOAD and standing.state in (_S.PREPARED, _S.SAMPLED) and standing.is_confirmed:
        raise _not_approved()
    if step in (Step.SCHEMA, Step.SAMPLE, Step.LOAD) and standing.mapping_digest and not standing.is_confirmed:
        raise PreconditionError("the mapping is not confirmed: look at it and confirm it first", reason="MAPPING_NOT_CONFIRMED")
    if standing.state not in ALLOWED_FROM[step]:
        raise _wrong_state(step, standing)
    if step is Step.CONFIRM_MAPPING and digest != standing.mapping_digest:
        raise _mismatch("mapping", digest, standing.mapping_digest)
    if step is Step.APPROVE:
        _check_approve(standing, digest)
    if step is Step.LOAD and not standing.is_approved:
        raise _not_approved()
    if step is Step.LOAD and standing.requires_rehearsal and not standing.is_rehearsed:
        raise PreconditionError(
            "the full load is locked: this migration wants a rehearsal. Take the approved sample back (`transload rollback --sample`); when the"
            " account then is as it was before, the load is unlocked",
            reason="NOT_REHEARSED",
        )


def state_after_step(step: Step, standing: Standing) -> MigrationState:
    """Answers the state right after a step that starts no run; other steps leave the state as it is."""
    if step is Step.EDIT_MAPPING:
        return _S.AUDITED
    if step is Step.CONFIRM_MAPPING:
        return _S.CONFIRMED
    if step is Step.APPROVE:
        return _S.APPROVED
    if step is Step.COMPLETE:
        return _S.COMPLETED
    return standing.state


def state_after_run(kind: RunKind, end: RunState, state: MigrationState, *, is_whole: bool = True) -> MigrationState:
    """Answers the state after a run ended; a run that did not succeed changes nothing, nor does a rollback of a part (not `is_whole`)."""
    if end is not RunState.SUCCEEDED or (kind is RunKind.ROLLBACK and not is_whole):
        return state
    return _STATE_AFTER.get(kind, state)


def _check_pausing(step: Step, standing: Standing) -> None:
    if step is Step.PAUSE and standing.active_run is None:
        raise PreconditionError("nothing is running, so there is nothing to pause", reason="WRONG_STATE", metadata={"state": standing.state})
    if step is Step.RESUME and not standing.is_paused and standing.active_run is None:
        raise PreconditionError("the migration is not paused and nothing is running", reason="WRONG_STATE", metadata={"state": standing.state})


def _check_rollback(standing: Standing, scope: Scope) -> None:
    if standing.active_run is RunKind.ROLLBACK:
        raise PreconditionError("a rollback is already going", reason="RUN_ACTIVE", metadata={"run_kind": Step.ROLLBACK})
    if standing.active_run is not None and not scope.is_whole:
        raise PreconditionError(
            f"a run ({standing.active_run}) of this migration is still going; a part can be taken back when it has ended, everything at any time",
            reason="RUN_ACTIVE",
            metadata={"run_kind": standing.active_run},
        )
    if scope.is_sample and standing.state not in {_S.PREPARED, _S.SAMPLED, _S.APPROVED}:
        raise PreconditionError(
            f"there is no sample to take back in state {standing.state}: it has become part of the load, or was not loaded yet",
            reason="WRONG_STATE",
            metadata={"state": standing.state},
        )
    if standing.state is _S.ROLLED_BACK:
        if standing.has_kept_records and scope.is_whole and scope.deletes_edited:
            return
        if standing.has_kept_records:
            raise PreconditionError(
                "everything but what people edited was taken back: list it with `transload rollback --kept`; `--edited delete` takes it, too",
                reason="WRONG_STATE",
                metadata={"state": standing.state},
            )
        raise _wrong_state(Step.ROLLBACK, standing)
    if not standing.has_loaded_records and not (standing.has_kept_records and scope.deletes_edited):
        raise PreconditionError(
            "nothing of this migration is in Pipedrive, so there is nothing to take back",
            reason="WRONG_STATE",
            metadata={"state": standing.state},
        )


def _check_approve(standing: Standing, digest: str) -> None:
    if not standing.is_confirmed:
        raise PreconditionError("the mapping is not confirmed: look at it and confirm it first", reason="MAPPING_NOT_CONFIRMED")
    if standing.diff_mapping_digest != standing.mapping_digest:
        raise _mismatch("mapping of the diff", standing.diff_mapping_digest, standing.mapping_digest)
    if not digest or digest != standing.diff_digest:
        raise _mismatch("diff", digest, standing.diff_digest)


def _not_approved() -> PreconditionError:
    return PreconditionError("the full load is locked: run a sample with this mapping, look at its diff and approve it first", reason="NOT_APPROVED")


def _mismatch(what: str, given: str, in_force: str) -> PreconditionError:
    return PreconditionError(
        f"the {what} given is not the one in force; look at the present one and repeat",
        reason="DIGEST_MISMATCH",
        metadata={"given": given, "in_force": in_force},
    )


def _wrong_state(step: Step, standing: Standing) -> PreconditionError:
    allowed = ", ".join(state for state in MigrationState if state in ALLOWED_FROM[step])
    return PreconditionError(
        f"the step {step} is not possible in state {standing.state}, only in: {allowed}. {_NEXT[standing.state]}",
        reason="WRONG_STATE",
        metadata={"state": standing.state, "allowed": allowed},
    )


_NEXT: dict[MigrationState, str] = {
    _S.CREATED: "Next: start the audit",
    _S.AUDITED: "Next: look at the mapping and confirm it",
    _S.CONFIRMED: "Next: apply the schema",
    _S.PREPARED: "Next: run a sample",
    _S.SAMPLED: "Next: look at the diff and approve it",
    _S.APPROVED: "Next: start the full load",
    _S.LOADED: "Next: reconcile, run deltas, then complete the migration",
    _S.COMPLETED: "The migration is closed; only a rollback is possible",
    _S.ROLLED_BACK: "Everything was taken back; create a new migration to begin again",
}
"""What a person does in each state to come further."""
