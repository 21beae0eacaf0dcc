"""Migrations as such: create, show, list, watch, pause, resume, complete."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from services.ledger import migration_codec as write
from services.ledger import migrations
from services.ledger.domain import Migration
from services.ledger.migration_service.deciding import Deciding, page_size
from services.ledger.migrations import require_migration
from services.ledger.watch import Watch
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from grpc import aio

    from services.ledger.repository import Transaction

    Context = aio.ServicerContext[Any, Any]


class Lifecycle(Deciding):
    """Migrations as such: create, show, list, watch, pause, resume, complete."""

    async def CreateMigration(self, request: pb.CreateMigrationRequest, context: Context) -> pb.CreateMigrationResponse:  # noqa: N802, ARG002
        """Create a migration."""
        migration_id = request.migration_id or f"{request.source_connection[:40].strip('-') or 'migration'}-{uuid.uuid4().hex[:8]}"
        migration = Migration(
            migration_id=migration_id,
            display_name=request.display_name or migration_id,
            connector=request.connector,
            source_connection=request.source_connection,
            target_connection=request.target_connection,
            create_time=self._tools.clock.now(),
            options=write.options_from_proto(request.options),
        )

        async def act(transaction: Transaction) -> pb.CreateMigrationResponse:
            created = await migrations.create(transaction, migration, request.actor)
            return pb.CreateMigrationResponse(migration=await self._view(transaction, created))

        return await self._once("CreateMigration", request.request_id, pb.CreateMigrationResponse, act)

    async def GetMigration(self, request: pb.GetMigrationRequest, context: Context) -> pb.GetMigrationResponse:  # noqa: N802, ARG002
        """Answer one migration."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            return pb.GetMigrationResponse(migration=await self._view(reader, migration))

    async def ListMigrations(self, request: pb.ListMigrationsRequest, context: Context) -> pb.ListMigrationsResponse:  # noqa: N802, ARG002
        """List migrations, newest first."""
        size = page_size(request.page_size, "migrations")
        async with self._ledger.read() as reader:
            found = await reader.list_migrations(after=request.page_token, limit=size)
            views = [await self._view(reader, migration) for migration in found]
        token = found[-1].migration_id if len(found) == size else ""
        return pb.ListMigrationsResponse(migrations=views, next_page_token=token)

    async def WatchMigration(self, request: pb.WatchMigrationRequest, context: Context) -> AsyncIterator[pb.WatchMigrationResponse]:  # noqa: N802, ARG002
        """Stream progress and events."""
        watch = Watch(tools=self._tools, sources=self._sources, view=self._view)
        async for message in watch.messages(request):
            yield message

    async def PauseMigration(self, request: pb.PauseMigrationRequest, context: Context) -> pb.PauseMigrationResponse:  # noqa: N802, ARG002
        """Take no more work."""

        async def act(transaction: Transaction) -> pb.PauseMigrationResponse:
            paused = await migrations.pause(transaction, request.migration_id, actor=request.actor)
            return pb.PauseMigrationResponse(migration=await self._view(transaction, paused))

        return await self._once("PauseMigration", request.request_id, pb.PauseMigrationResponse, act)

    async def ResumeMigration(self, request: pb.ResumeMigrationRequest, context: Context) -> pb.ResumeMigrationResponse:  # noqa: N802, ARG002
        """Go on."""

        async def act(transaction: Transaction) -> pb.ResumeMigrationResponse:
            resumed = await migrations.resume(transaction, request.migration_id, actor=request.actor)
            return pb.ResumeMigrationResponse(migration=await self._view(transaction, resumed))

        return await self._once("ResumeMigration", request.request_id, pb.ResumeMigrationResponse, act)

    async def CompleteMigration(self, request: pb.CompleteMigrationRequest, context: Context) -> pb.CompleteMigrationResponse:  # noqa: N802, ARG002
        """Close a migration."""

        async def act(transaction: Transaction) -> pb.CompleteMigrationResponse:
            completed = await migrations.complete(transaction, request.migration_id, actor=request.actor)
            return pb.CompleteMigrationResponse(migration=await self._view(transaction, completed))

        return await self._once("CompleteMigration", request.request_id, pb.CompleteMigrationResponse, act)
