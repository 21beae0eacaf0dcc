"""Keeps the index files of the migrations in work up to date with the pages."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from services.common.contract import check_migration_id
from services.transformer.snapshot.database import delete_file, open_file, take_in
from services.transformer.snapshot.view import SnapshotView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from transload.v1 import records_pb2


class PageSource(Protocol):
    """Where the index learns which pages there are (the ledger)."""

    def list_pages(self, migration_id: str, *, after_sequence: int, until_sequence: int) -> AsyncIterator[records_pb2.Page]:
        """Go through pages by sequence."""


class PageStore(Protocol):
    """Where the content of pages is (staging)."""

    async def get_page(self, digest: str) -> bytes:
        """Answer the uncompressed content of a page."""


@dataclass(slots=True)
class _Migration:
    path: Path
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sequence: int = 0
    is_open: bool = False
    views: OrderedDict[int, SnapshotView] = field(default_factory=OrderedDict)


class SnapshotIndex:
    """Keeps the index files of the migrations in work, one SQLite file each; the longest unused file goes when there are too many.

    Args:
        folder: where the files are; created when missing.
        pages: lists the pages (the ledger).
        store: holds their content (staging).
        migrations_max: files kept, at least 1.
        views_max: snapshots of one migration kept open, at least 1.
    """

    def __init__(self, folder: Path, *, pages: PageSource, store: PageStore, migrations_max: int = 16, views_max: int = 4) -> None:
        self._folder = folder
        self._pages = pages
        self._store = store
        self._migrations_max = migrations_max
        self._views_max = views_max
        self._migrations: OrderedDict[str, _Migration] = OrderedDict()

    async def ensure(self, migration_id: str, sequence: int) -> SnapshotView:
        """Answer a view of the pages up to `sequence`, taking in those that are missing. 0 means all there are now.

        Raises:
            InvalidRequestError: no migration can have this id; it would name a file somewhere else.
            UnavailableError: the ledger or staging does not answer; what was taken in stays.
        """
        migration = self._migration(check_migration_id(migration_id))
        async with migration.lock:
            if not migration.is_open:
                migration.sequence = await asyncio.to_thread(open_file, migration.path)
                migration.is_open = True
            if sequence == 0 or migration.sequence < sequence:
                async for page in self._pages.list_pages(migration_id, after_sequence=migration.sequence, until_sequence=sequence):
                    content = await self._store.get_page(page.digest)
                    await asyncio.to_thread(take_in, migration.path, page.sequence, page.page_id, page.entity, content)
                    migration.sequence = page.sequence
            return self._view(migration, migration_id, sequence or migration.sequence)

    def close(self) -> None:
        """Close every view; files stay."""
        for migration in self._migrations.values():
            _close_views(migration)
        self._migrations.clear()

    def _migration(self, migration_id: str) -> _Migration:
        migration = self._migrations.get(migration_id)
        if migration is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            migration = self._migrations[migration_id] = _Migration(path=self._folder / f"{migration_id}.db")
        self._migrations.move_to_end(migration_id)
        idle = [name for name, other in self._migrations.items() if name != migration_id and not other.lock.locked()]
        for name in idle[: max(0, len(self._migrations) - self._migrations_max)]:
            self._drop(self._migrations.pop(name))
        return migration

    def _view(self, migration: _Migration, migration_id: str, sequence: int) -> SnapshotView:
        view = migration.views.get(sequence)
        if view is None:
            view = migration.views[sequence] = SnapshotView(migration.path, migration_id=migration_id, sequence=sequence)
            if len(migration.views) > self._views_max:
                # Only forgotten, not closed: another task may be reading it. The handle goes with the last reference.
                migration.views.popitem(last=False)
        migration.views.move_to_end(sequence)
        return view

    @staticmethod
    def _drop(migration: _Migration) -> None:
        _close_views(migration)
        delete_file(migration.path)
        migration.is_open = False


def _close_views(migration: _Migration) -> None:
    for view in migration.views.values():
        view.close()
    migration.views.clear()
