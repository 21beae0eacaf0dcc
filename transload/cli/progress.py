"""Progress of a run: a live bar on a terminal, one line per change elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from transload.cli import output

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from transload.v1 import migration_service_pb2 as pb


class RunProgress:
    """Shows what `WatchMigration` says. Use as a context manager and pass `update` to `Client.wait`."""

    def __init__(self) -> None:
        self._is_live = output.stderr.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=output.stderr,
            disable=not self._is_live,
        )
        self._task = self._progress.add_task("starting", total=None, note="")
        self._last_line = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._progress.stop()

    def update(self, response: pb.WatchMigrationResponse) -> None:
        """Shows one message of the stream."""
        run = response.migration.latest_run
        description = describe(response.migration)
        note = f"{response.summary.token_count:,} tokens" if response.summary.token_count else ""
        if self._is_live:
            self._progress.update(self._task, description=description, completed=run.done_count, total=run.total_count or None, note=note)
            return
        if description != self._last_line:
            self._last_line = description
            counts = f" {run.done_count:,}/{run.total_count:,}" if run.total_count else ""
            output.stderr.print(f"  {description}{counts} {note}".rstrip(), markup=False)

    def show_pause(self, words: str) -> bool:
        """Shows on the live bar why nothing moves; answers whether there is one."""
        if self._is_live:
            self._progress.update(self._task, description=words)
        return self._is_live


def describe(migration: pb.Migration) -> str:
    """One line on what a migration does now: run, phase, and why it waits if it does."""
    run = migration.latest_run
    words = [output.enum_word(run, "kind")]
    phase = output.enum_word(run, "phase")
    if phase:
        words.append(phase.replace("_", " "))
    if run.activity:
        words.append(run.activity)
    pause = output.enum_word(migration, "pause_kind")
    if pause:
        until = f" until {migration.resume_time.ToDatetime():%Y-%m-%d %H:%M} UTC" if migration.HasField("resume_time") else ""
        words.append(f"waiting ({pause.replace('_', ' ')}){until}: {migration.pause_message}")
    return " · ".join(word for word in words if word)
