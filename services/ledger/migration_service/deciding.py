"""What the parts of `MigrationService` stand on: one transaction a decision, answered once, and what a run and a migration look like."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from services.common.errors import InvalidRequestError
from services.ledger import migration_codec as write
from services.ledger import migrations
from services.ledger.audit import sign_head
from services.ledger.keeping import OURS
from services.ledger.migrations import require_migration
from services.ledger.summary import Sources

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.protobuf.message import Message
    from grpc import aio

    from services.ledger.domain import Migration, RunKind
    from services.ledger.repository import Reader, Transaction
    from services.ledger.runs.context import RunContext
    from services.ledger.runs.driver import Tools
    from transload.audit.heads import AuditHead
    from transload.v1 import migration_service_pb2 as pb

    Context = aio.ServicerContext[Any, Any]


Response = TypeVar("Response", bound="Message")

PAGE_SIZES: Final = {"migrations": (50, 500), "records": (100, 1000), "diff": (100, 500)}
"""Default and maximum."""


class _NotMeantError(Exception):
    """Takes a transaction back that was only tried."""


class Deciding:
    """Decides in transactions of the ledger, with the ports of the other services."""

    def __init__(self, *, tools: Tools) -> None:
        self._tools = tools
        self._ledger = tools.ledger
        self._sources = Sources(tools.extractor)

    async def _is_answered(self, name: str, request_id: str) -> bool:
        async with self._ledger.read() as reader:
            return bool(request_id) and await reader.get_response(f"{name}/{request_id}") is not None

    async def _tried(self, act: Callable[[Transaction], Awaitable[Response]]) -> Response:
        """Answer what an act would answer; nothing of it stays."""
        answers: list[Response] = []
        with suppress(_NotMeantError):
            async with self._ledger.transaction() as transaction:
                answers.append(await act(transaction))
                raise _NotMeantError
        return answers[0]

    async def _sign_head(self, migration_id: str) -> AuditHead:
        """Sign how far a trail reaches, if that is not signed yet."""
        async with self._ledger.transaction() as transaction:
            await require_migration(transaction, migration_id)
            return await sign_head(transaction, self._tools.signer, migration_id, self._tools.clock.now())

    async def _view(self, reader: Reader, migration: Migration) -> pb.Migration:
        run = await reader.latest_run(migration.migration_id)
        progress = await reader.phase_progress(run.run_id, run.phase) if run is not None and run.phase else None
        open_count = await reader.count_open_review_items(migration.migration_id)
        results = await reader.list_run_results(run.run_id) if run is not None else ()
        kept_count = await reader.count_kept(migration.migration_id, OURS)
        return write.migration_to_proto(migration, run=run, progress=progress, results=results, open_review_count=open_count, kept_count=kept_count)

    async def _start(self, name: str, request: Any, kind: RunKind, response_type: type[Response], *, asked: RunContext | None = None) -> Response:
        """Start a run and answer it."""

        async def act(transaction: Transaction) -> Response:
            now = self._tools.clock.now()
            run = await migrations.start_run(transaction, request.migration_id, kind, actor=request.actor, now=now, asked=asked)
            return response_type(run=write.run_to_proto(run))

        return await self._once(name, request.request_id, response_type, act)

    async def _once(self, name: str, request_id: str, response_type: type[Response], act: Callable[[Transaction], Awaitable[Response]]) -> Response:
        """Decide in one transaction; the same request id again answers what was answered first."""
        identity = f"{name}/{request_id}"
        async with self._ledger.transaction() as transaction:
            if request_id and (known := await transaction.get_response(identity)) is not None:
                return response_type.FromString(known)
            response = await act(transaction)
            if request_id:
                await transaction.save_response(identity, response.SerializeToString(), self._tools.clock.now())
        return response


def page_size(asked: int, kind: str) -> int:
    """Answer the size of a page: what was asked for within what `PAGE_SIZES` allows.

    Raises:
        InvalidRequestError: It is negative.
    """
    default, most = PAGE_SIZES[kind]
    if asked < 0:
        raise InvalidRequestError("page_size: must not be negative")
    return min(asked or default, most)
