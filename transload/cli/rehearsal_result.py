"""How a rehearsal ended: for people in a few lines, for programs as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from transload.cli import output, views
from transload.cli.pacing import Pace, duration

if TYPE_CHECKING:
    from pathlib import Path

    from transload.v1 import migration_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step: its name, how long it took, how much of that it was paused for quota, and the Pipedrive tokens it spent."""

    name: str
    seconds: float
    paused_seconds: float
    token_count: int


@dataclass(slots=True)
class RehearsalResult:
    """How a rehearsal ended."""

    migration: pb.Migration
    summary: pb.Summary
    steps: list[StepResult]
    field_count: int
    mismatch_count: int
    open_review_count: int
    journal: dict[str, Any]
    pace: Pace
    window_limit: int
    diff_page: Path
    target_url: str
    rollback_is_equal: bool | None = None
    rollback_tokens: int = 0
    rollback_planned_tokens: int = 0
    load_tokens: int = 0
    """Spent on what was taken back: schema, sample, load and delta."""
    problems: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Whether everything is as it should be."""
        return not self.problems

    def lines(self) -> list[str]:
        """What a person reads last."""
        lines = [
            views.tokens_line(self.summary),
            self._pace_line(),
            f"{self.mismatch_count:,} mismatches in {self.field_count:,} fields read back",
            f"{self.open_review_count:,} review items wait for a person or flag something",
            f"The sample's diff, as the person who signs sees it: {self.diff_page}",
        ]
        if self.rollback_is_equal is not None:
            lines.append("Taken back: the Pipedrive account is " + ("byte for byte as before." if self.rollback_is_equal else "NOT as before."))
            part = self.rollback_tokens / max(1, self.load_tokens)
            error = (self.rollback_tokens - self.rollback_planned_tokens) / max(1, self.rollback_planned_tokens)
            lines.append(
                f"That took {self.rollback_tokens:,} tokens, {part:.1%} of the {self.load_tokens:,} of schema, sample, load and delta;"
                f" {self.rollback_planned_tokens:,} were planned ({error:+.1%})"
            )
        lines.extend(f"PROBLEM: {problem}" for problem in self.problems)
        return lines

    def _pace_line(self) -> str:
        pace, paused = self.pace, sum(step.paused_seconds for step in self.steps)
        looks = f" and {pace.refused_for_budget:,} that found no tokens left, which costs nothing" if pace.refused_for_budget else ""
        return (
            f"At most {pace.fullest:,} of {self.window_limit:,} allowed calls in any 2 seconds;"
            f" {pace.refused_for_pace:,} refused for going too fast{looks}."
            f" Held back by that window for {duration(pace.full_seconds)}, paused for quota for {duration(paused)}"
        )

    def as_data(self) -> dict[str, Any]:
        """The result as plain data."""
        return {
            "is_ok": self.is_ok,
            "problems": self.problems,
            "migration": output.as_data(self.migration),
            "summary": output.as_data(self.summary),
            "steps": [
                {
                    "name": step.name,
                    "seconds": round(step.seconds, 3),
                    "paused_seconds": round(step.paused_seconds, 3),
                    "token_count": step.token_count,
                }
                for step in self.steps
            ],
            "pace": {"window_limit": self.window_limit, **asdict(self.pace)},
            "tokens": {
                "spent": self.summary.token_count,
                "spent_by_load": self.summary.load_token_count,
                "planned_for_load": self.summary.planned_token_count,
            },
            "mismatch_count": self.mismatch_count,
            "compared_field_count": self.field_count,
            "open_review_count": self.open_review_count,
            "pipedrive_journal": self.journal,
            "rollback_is_equal": self.rollback_is_equal,
            "rollback_tokens": self.rollback_tokens,
            "rollback_planned_tokens": self.rollback_planned_tokens,
            "rollback_part_of_load": round(self.rollback_tokens / self.load_tokens, 4) if self.load_tokens else None,
        }
