"""The guard before every handler: who calls, whether it may, and whose name stands on the trail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc import aio

from services.common import contract
from services.common.access.refusals import Refusal, Refusals
from services.common.access.roles import OPEN
from services.common.errors import AccessDeniedError, TransloadError, UnauthenticatedError
from services.common.rpc_errors import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from services.common.access.callers import Caller
    from services.common.access.guard import Guard

    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Any]]
    Context = aio.ServicerContext[Any, Any]


class AccessInterceptor(aio.ServerInterceptor):  # type: ignore[type-arg]
    """Stands inside the one that tells errors. What a stranger sends is not even parsed."""

    def __init__(self, guard: Guard, refusals: Refusals) -> None:
        self._guard = guard
        self._refusals = refusals

    async def intercept_service(self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Wraps the handler of one call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method in OPEN:
            return handler
        if handler.request_streaming:
            # Of all we serve only reflection is one; another would have to be thought about first.
            return self._both_streaming(method, handler) if handler.response_streaming else None
        parse = handler.request_deserializer
        serializer = handler.response_serializer
        if handler.response_streaming:

            async def answer_stream(raw: bytes, context: Context) -> AsyncIterator[Any]:
                generation = self._guard.generation
                request = await self._admit(method, raw, parse, context)
                async for response in handler.unary_stream(request, context):
                    if generation != self._guard.generation:
                        generation = self._guard.generation
                        await self._caller(method, raw, parse, context)
                    yield response

            return grpc.unary_stream_rpc_method_handler(answer_stream, response_serializer=serializer)

        async def answer(raw: bytes, context: Context) -> Any:
            return await handler.unary_unary(await self._admit(method, raw, parse, context), context)

        return grpc.unary_unary_rpc_method_handler(answer, response_serializer=serializer)

    def _both_streaming(self, method: str, handler: Any) -> Any:
        async def answer(requests: Any, context: Context) -> AsyncIterator[Any]:
            try:
                await self._caller(method, b"", None, context)
            except TransloadError as error:
                await context.abort(*status_of(error))
            async for response in handler.stream_stream(requests, context):
                yield response

        return grpc.stream_stream_rpc_method_handler(
            answer, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )

    async def _admit(self, method: str, raw: bytes, parse: Callable[[bytes], Any], context: Context) -> Any:
        """Answers the request of a caller who may call, with the name it goes by here in place of the one it claims."""
        caller = await self._caller(method, raw, parse, context)
        request = contract.read(parse, raw)
        if "actor" in request.DESCRIPTOR.fields_by_name:
            request.actor = caller.actor
        return request

    async def _caller(self, method: str, raw: bytes, parse: Callable[[bytes], Any] | None, context: Context) -> Caller:
        try:
            caller = self._guard.identify(context.invocation_metadata() or (), context.auth_context())
        except UnauthenticatedError as error:
            self._refusals.unknown(method, error)
            raise
        try:
            self._guard.check(caller, method)
        except AccessDeniedError as error:
            migration_id = getattr(contract.read(parse, raw), "migration_id", "") if parse is not None else ""
            await self._refusals.known(Refusal(caller.actor, migration_id, error.reason, error.metadata), method)
            raise
        return caller
