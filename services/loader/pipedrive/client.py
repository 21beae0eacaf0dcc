"""The client: every call to Pipedrive goes through `call`, which waits for its lease first and reports what it cost afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

import orjson
from multidict import CIMultiDict
from opentelemetry.trace import SpanKind

from services.common import secrecy, telemetry
from services.common.backoff import Backoff
from services.common.errors import RateLimitedError, TransloadError, UnauthorizedError, UnavailableError
from services.loader.pipedrive import errors
from services.loader.pipedrive.costs import Operation, operation
from services.loader.pipedrive.http import NoAnswerError, NotSentError
from services.loader.quota.leases import Headers, Priority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime

    from services.common.clock import Clock
    from services.common.connections import Connection
    from services.loader.pipedrive.http import Http, Reply
    from services.loader.quota.client import Grant, QuotaClient

# Attempts at one call whose repetition is harmless, or that never left this machine.
ATTEMPTS_MAX: Final = 4
# 429s in a row for one call before it is handed back; the quota keeps a growing pause before each.
REFUSALS_MAX: Final = 6
UNAUTHORIZED_PAUSE_SECONDS: Final = 30.0
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
_OK: Final = 200
_ELSEWHERE: Final = 300
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_UNAUTHORIZED: Final = 401


@dataclass(slots=True)
class CallRecord:
    """One call as the ledger keeps it."""

    method: str
    path: str
    status: int
    token_count: int
    correlation_id: str
    send_time: datetime


class Look(Protocol):
    """What a call that takes something away was decided on: it grows old while the call waits."""

    def is_due(self, *, is_repeat: bool) -> bool:
        """Whether it is too old for the call to be sent, for the first time or again."""
        ...

    async def again(self) -> None:
        """Looks again. Raises NotWantedError when the call must not be sent any more."""
        ...


@dataclass(slots=True)
class CallContext:
    """On whose behalf calls are made.

    Attributes:
        priority: of the calls in the quota.
        claim_ends: monotonic time after which nothing may be sent; None: no claim needed (reads outside a batch).
        log: every call made, in order.
        record_key: key of the record the calls are for, an attribute of their spans; empty: several.
        look: taken again before anything is sent for which it is too old; None: the calls depend on none.
    """

    priority: Priority
    claim_ends: float | None = None
    log: list[CallRecord] = field(default_factory=list)
    record_key: str = ""
    look: Look | None = None

    def for_record(self, key: str) -> CallContext:
        """Answers a context with the same rights and a log of its own."""
        return CallContext(priority=self.priority, claim_ends=self.claim_ends, record_key=key)

    @property
    def token_count(self) -> int:
        """Tokens of all calls made."""
        return sum(call.token_count for call in self.log)


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: `data` and `additional_data` of the envelope; of a download its bytes, or `location`: where they are instead."""

    data: Any
    additional: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Body:
    """A body that is not JSON: a stream of known length with its content type."""

    content_type: str
    byte_count: int
    open: Callable[[], AsyncIterator[bytes]]


class PipedriveClient:
    """Calls one Pipedrive company with one token."""

    def __init__(self, *, http: Http, connection: Callable[[], Connection], quota: QuotaClient, clock: Clock, backoff: Backoff | None = None) -> None:
        self._http = http
        self._connection = connection
        self._quota = quota
        self._clock = clock
        self._backoff = backoff or Backoff(base_seconds=0.5, cap_seconds=10.0)
        # Headers of every call with a JSON body or none, for the key last used; aiohttp copies this kind without asking.
        self._headers_key = ""
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._refused_key = ""
        self._refused_until = 0.0
        meter = telemetry.meter()
        self._tokens = meter.create_counter("transload.pipedrive.tokens", unit="{token}", description="Tokens spent")
        self._calls = meter.create_counter("transload.pipedrive.calls", unit="{call}", description="Calls by operation and status")

    async def call(
        self,
        name: str,
        context: CallContext,
        *,
        ids: Mapping[str, str | int] | None = None,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
    ) -> Answer:
        """Makes one call: lease, send, log, headers to the quota. Repeats what is safe to repeat.

        Args:
            name: operation by the cost table.
            context: priority, claim and log.
            ids: values for the open places of the path.
            query: query parameters.
            body: JSON value, or a `Body`.

        Raises:
            OutcomeUnknownError: a POST whose effect is not known.
            ClaimExpiredError: the claim ended; nothing was sent.
            NotWantedError: the look behind the call was too old, and the new one speaks against it; nothing was sent since.
            TargetRejectedError: Pipedrive refused for good. GoneError: the record is not there.
            UnauthorizedError: the token was refused, or was moments ago.
            RateLimitedError: day's budget or breaker.
            UnavailableError: no answer after several attempts, and nothing took effect that must not be repeated.
        """
        op = operation(name)
        path = op.path.format(**{key: quote(str(value), safe="") for key, value in (ids or {}).items()}) if ids else op.path
        if query:
            path = f"{path}?{urlencode(query)}"
        failures = refusals = 0
        while True:
            connection = self._open_connection()
            grant = await self._lease(op, context, is_repeat=failures + refusals > 0)
            try:
                return await self._attempt(_Request(op, connection, path, body), grant, context)
            except _RefusedNowError as error:
                refusals += 1
                if refusals >= REFUSALS_MAX:
                    raise RateLimitedError(str(error), retry_after_seconds=30.0, reason="TARGET_QUOTA_EXHAUSTED") from error
            except NotSentError as error:
                failures += 1
                if failures >= ATTEMPTS_MAX:
                    raise _unreachable(op, error) from error
                await self._clock.sleep(self._backoff.delay_seconds(failures))
            except errors.OutcomeUnknownError as error:
                if not op.is_repeatable:
                    raise
                failures += 1
                if failures >= ATTEMPTS_MAX:
                    raise _unreachable(op, error) from error
                await self._clock.sleep(self._backoff.delay_seconds(failures))

    async def look(self, context: CallContext) -> None:
        """Finds out with one cheap call whether the target takes work: whether it answers, and whether there are tokens for a write.

        Raises:
            RateLimitedError: not yet, or nothing may be sent now; it then cost nothing or was not sent.
            UnavailableError, UnauthorizedError: see `call`.
        """
        await self.call("users.me", context)
        grant = await self._quota.acquire(tokens=operation("organizations.create").token_count, is_search=False, priority=context.priority)
        await self._quota.release(grant, is_sent=False, tokens_spent=0, headers=None)

    async def fetch(self, url: str) -> bytes:
        """Reads what Pipedrive keeps elsewhere and sent us to: no call to Pipedrive, so without token and without tokens.

        Raises:
            UnavailableError: it does not come; the address from Pipedrive may have run out.
        """
        try:
            reply = await self._http.send("GET", url, {}, None)
        except (NotSentError, NoAnswerError) as error:
            raise UnavailableError(f"the place where Pipedrive keeps a file does not answer ({error})", reason="TARGET_UNREACHABLE") from error
        if reply.status != _OK:
            raise UnavailableError(f"the place where Pipedrive keeps a file answered {reply.status}", reason="TARGET_UNREACHABLE")
        return reply.content

    def resume(self) -> None:
        """A person says that it goes on: what stopped us is tried again at once."""
        self._refused_key = ""
        self._quota.resume()

    def _open_connection(self) -> Connection:
        connection = self._connection()
        if connection.key == self._refused_key and self._clock.monotonic() < self._refused_until:
            raise UnauthorizedError("Pipedrive refused the API token (401): check the key of this connection", reason="TARGET_UNAUTHORIZED")
        return connection

    async def _lease(self, op: Operation, context: CallContext, *, is_repeat: bool) -> Grant:
        look = context.look
        while True:
            grant = await self._quota.acquire(tokens=op.token_count, is_search=op.is_search, priority=context.priority)
            now = self._clock.monotonic()
            is_claimed = context.claim_ends is None or now < context.claim_ends
            is_due = look is not None and look.is_due(is_repeat=is_repeat)
            if is_claimed and now < grant.expires and not is_due:
                return grant
            await self._quota.release(grant, is_sent=False, tokens_spent=0, headers=None)
            if not is_claimed:
                raise errors.ClaimExpiredError("the claim ended before the call could be sent")
            if look is not None and is_due:
                # Once for each time it is sent: where every lease takes longer than a look lasts, nothing would ever be sent.
                await look.again()
                look = None

    async def _attempt(self, request: _Request, grant: Grant, context: CallContext) -> Answer:
        op = request.op
        record = CallRecord(op.method, op.path, 0, op.token_count, "", self._clock.now())
        headers: Headers | None = Headers()
        is_sent, is_answered = True, False
        span = telemetry.tracer().start_span(op.name, kind=SpanKind.CLIENT)
        try:
            reply = await self._send(request)
            is_answered = True
            record.status, record.correlation_id = reply.status, _printable(reply.headers.get("X-Correlation-ID", ""))
            headers = _budget_headers(reply)
            if op.is_download and reply.status < _BAD_REQUEST:
                location = reply.headers.get("Location", "") if reply.status >= _ELSEWHERE else ""
                return Answer(reply.content, {"location": location})
            return self._read(op, request.connection, reply.status, reply.content, headers)
        except NotSentError:
            is_sent, headers, record.token_count = False, None, 0
            raise
        except _RefusedNowError:
            record.token_count = 0
            raise
        finally:
            await self._quota.release(grant, is_sent=is_sent, is_answered=is_answered, tokens_spent=record.token_count, headers=headers)
            context.log.append(record)
            self._tokens.add(record.token_count, {"operation": op.name})
            self._calls.add(1, {"operation": op.name, "status": record.status})
            if span.is_recording():
                span.set_attributes(
                    {
                        "http.request.method": op.method,
                        "url.template": op.path,
                        "http.response.status_code": record.status,
                        "transload.tokens": record.token_count,
                        "transload.record.key": context.record_key,
                    }
                )
            span.end()

    async def _send(self, request: _Request) -> Reply:
        op, body, connection = request.op, request.body, request.connection
        headers: Mapping[str, str] = self._headers
        content: bytes | AsyncIterator[bytes] | None = None
        if isinstance(body, Body):
            headers = {"x-api-token": connection.key, "content-type": body.content_type, "content-length": str(body.byte_count)}
            content = body.open()
        elif body is None:
            headers = {"x-api-token": connection.key}
        else:
            if self._headers_key != connection.key:
                headers = self._headers = CIMultiDict({"x-api-token": connection.key, "content-type": "application/json"})
                self._headers_key = connection.key
            content = orjson.dumps(body)
        try:
            return await self._http.send(op.method, connection.url + request.path, headers, content)
        except NoAnswerError as error:
            raise errors.OutcomeUnknownError(f"no answer to {op.name} ({error})", metadata={"operation": op.name}) from error

    def _read(self, op: Operation, connection: Connection, status: int, content: bytes, headers: Headers) -> Answer:
        if headers.is_html and status in {_FORBIDDEN, _TOO_MANY}:
            raise RateLimitedError(
                "Cloudflare in front of Pipedrive blocks our calls; they rest for some minutes", retry_after_seconds=300.0, reason="TARGET_BLOCKED"
            )
        if status == _TOO_MANY:
            raise _RefusedNowError(f"Pipedrive refused {op.name} with 429")
        if status >= _SERVER_ERROR:
            # 502 to 504 come from a gateway; what stands behind it may still be at work.
            facts = {"operation": op.name, "status": str(status)}
            raise errors.OutcomeUnknownError(f"Pipedrive answered {status} to {op.name}", is_answered=status == _SERVER_ERROR, metadata=facts)
        if status >= _BAD_REQUEST:
            if status == _UNAUTHORIZED:
                self._refused_key, self._refused_until = connection.key, self._clock.monotonic() + UNAUTHORIZED_PAUSE_SECONDS
            raise errors.refusal(status, secrecy.masked_bytes(content), op.name)
        try:
            envelope = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise errors.OutcomeUnknownError(
                f"Pipedrive answered {status} to {op.name} without readable JSON", is_answered=True, metadata={"operation": op.name}
            ) from error
        if not isinstance(envelope, dict) or envelope.get("success") is False:
            facts = {"operation": op.name}
            raise errors.OutcomeUnknownError(f"Pipedrive answered {status} to {op.name} without success", is_answered=True, metadata=facts)
        return Answer(envelope.get("data"), envelope.get("additional_data") or {})


@dataclass(frozen=True, slots=True)
class _Request:
    op: Operation
    connection: Connection
    path: str
    body: Any


class _RefusedNowError(Exception):
    """429; the quota knows for how long."""


def _unreachable(op: Operation, error: Exception) -> TransloadError:
    status = {"status": error.metadata["status"]} if isinstance(error, TransloadError) and "status" in error.metadata else {}
    return UnavailableError(
        f"Pipedrive cannot be reached ({op.name}: {error})", reason="TARGET_UNREACHABLE", metadata={"operation": op.name} | status
    )


def _budget_headers(reply: Reply) -> Headers:
    get, status = reply.headers.get, reply.status
    is_refused = status in {_FORBIDDEN, _TOO_MANY}
    return Headers(
        status=status,
        daily_limit=_whole(get("X-Daily-RateLimit-Token-Limit")),
        daily_remaining=_whole(get("X-Daily-RateLimit-Token-Remaining")),
        window_limit=_whole(get("X-RateLimit-Limit")),
        window_remaining=_whole(get("X-RateLimit-Remaining")),
        retry_after_seconds=_seconds(get("Retry-After") or get("X-RateLimit-Reset")) if status == _TOO_MANY else None,
        is_html=is_refused and errors.is_html(get("Content-Type", ""), reply.content),
    )


def _printable(text: str) -> str:
    """Answers text the ledger can keep: bytes of a header that are not UTF-8 stand for themselves."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _whole(text: str | None) -> int | None:
    try:
        return None if text is None else max(0, int(text))
    except ValueError:
        return None


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
