"""What connectors of HTTP interfaces have in common, so that a new one says only what is its own: its entities and how one page is read.

Every call passes the gate, is repeated where repeating helps, and is checked against the shape the interface promises.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, tzinfo
from typing import Any, ClassVar, Final, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
from pydantic import BaseModel, ValidationError

from services.common import telemetry
from services.common.connections import Connection, ConnectionParts
from services.common.errors import InvalidRequestError, UnauthorizedError
from services.extractor.calls import MALFORMED_TRIES, Outages, send, whole_text
from services.extractor.connector import (
    END,
    START,
    CallGate,
    CallLimits,
    ConnectorContext,
    Cursor,
    EntityForbiddenError,
    EntityMalformedError,
    FileLink,
    RawRecord,
    ReadScope,
    Refusal,
    SourceEntity,
    SourceFile,
    SourcePage,
)
from services.extractor.http_files import open_url

_RETRIED: Final = frozenset({408, 425})
_log = telemetry.get_logger(__name__)
Shape = TypeVar("Shape", bound=BaseModel)


class ApiClient:
    """GETs JSON. `refusal` says whether a failing answer means that a call limit is passed; by default a 429 means the minute's."""

    def __init__(self, http: httpx.AsyncClient, gate: CallGate, *, base_url: str) -> None:
        self.http = http
        self._gate = gate
        self._base_url = base_url

    def refusal(self, status: int, content: bytes) -> Refusal | None:
        """Say which call limit an answer says is passed, if any."""
        del content
        return Refusal.MINUTE if status == httpx.codes.TOO_MANY_REQUESTS else None

    async def get(self, path: str, shape: type[Shape], params: Mapping[str, str] | None = None) -> Shape:
        """Answer what is at a path that begins with a slash.

        Raises:
            EntityForbiddenError: The key has no right to it, or it does not exist.
            EntityMalformedError: The answer is not of that shape, three times in a row; or the source calls the request wrong.
            UnauthorizedError: The key was refused.
        """
        problem = ""
        for _ in range(MALFORMED_TRIES):
            content = await self._get(path, params or {})
            try:
                return shape.model_validate(whole_text(json.loads(content)))
            except ValidationError as error:
                problem = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['type']}" for one in error.errors(include_url=False)[:3])
            except (ValueError, RecursionError):
                problem = "no JSON"
            _log.warning("source.answer_malformed", path=path, problem=problem)
        raise EntityMalformedError(f"{path} answered what it must not ({problem}), {MALFORMED_TRIES} times in a row; ask the source's support")

    async def _get(self, path: str, params: Mapping[str, str]) -> bytes:
        outages = Outages(self._gate, path=path)
        while True:
            await self._gate.enter()
            answer = await self._send(path, params)
            if isinstance(answer, bytes):
                return answer
            if isinstance(answer, Refusal):
                await self._gate.refused(answer)
                continue
            await outages.wait(answer)

    async def _send(self, path: str, params: Mapping[str, str]) -> bytes | Refusal | str:
        """Make one call. Answers the body, the limit that is passed, or in words what did not work this time."""
        response = await send(self.http, "GET", self._base_url + path, template=path, params=dict(params))
        if isinstance(response, str):
            return response
        if response.is_success:
            return response.content
        refusal = self.refusal(response.status_code, response.content)
        return refusal or self._failure(path, response.status_code)

    def _failure(self, path: str, status: int) -> str:
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _RETRIED:
            return f"HTTP {status}"
        if status == httpx.codes.UNAUTHORIZED:
            raise UnauthorizedError(
                "the source refused the key (HTTP 401): put the right key into the connection, then resume", reason="SOURCE_UNAUTHORIZED"
            )
        if status in {httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND}:
            raise EntityForbiddenError(f"{path} cannot be read with this key (HTTP {status}): grant the right to read it, or leave it out")
        raise EntityMalformedError(f"{path} answered a reading call with HTTP {status}")


class ApiConnector:
    """A connector of an HTTP interface. A source has `name`, `entities`, `plans`, and reads one page in `page`."""

    name: ClassVar[str]
    entities: ClassVar[tuple[SourceEntity, ...]]
    connection_parts: ClassVar[ConnectionParts] = ConnectionParts()
    plans: ClassVar[Mapping[str, tuple[int, int]]]
    """Calls a minute and a day by plan, 0 for no limit; the first is assumed where nobody says which."""
    client: ClassVar[type[ApiClient]] = ApiClient

    def __init__(self, context: ConnectorContext, api: ApiClient, files_http: httpx.AsyncClient) -> None:
        self.context = context
        self.api = api
        self._files_http = files_http

    async def page(self, entity: SourceEntity, cursor: Cursor, scope: ReadScope) -> tuple[Sequence[RawRecord], Cursor]:
        """Read the page at a cursor. Answers its records and the cursor after it, `END` after the last one."""
        raise NotImplementedError

    async def check(self) -> None:
        """Read the first page of the first entity. A key without the right to it is a right key."""
        try:
            await self.page(self.entities[0], START, ReadScope())
        except EntityForbiddenError:
            return

    @staticmethod
    def headers(connection: Connection) -> Mapping[str, str]:
        """Answer the headers of every call."""
        return {"Authorization": f"Bearer {connection.key}", "Accept": "application/json"}

    @classmethod
    def limits(cls, options: Mapping[str, Any]) -> CallLimits:
        """Answer the plan's limits. Options: `plan`, `calls_per_minute`, `calls_per_day`, `day_zone`, `counts_files`."""
        return plan_limits(cls.plans, options)

    @classmethod
    @asynccontextmanager
    async def connect(cls, context: ConnectorContext) -> AsyncIterator[Self]:
        """Open the connector. Downloads never carry the key: their addresses may be anywhere."""
        async with context.http_client(cls.headers(context.connection)) as http, context.http_client({}, follow_redirects=True) as files_http:
            yield cls(context, cls.client(http, context.gate, base_url=context.connection.url), files_http)

    async def list_entities(self) -> Sequence[SourceEntity]:
        """Answer the entities: the same in every account."""
        return self.entities

    async def read(self, entity: str, cursor: Cursor, scope: ReadScope) -> AsyncGenerator[SourcePage, None]:
        """Yield an entity's pages from the cursor on. A source that gives a page again where the next one is due would never end."""
        kind = next(one for one in self.entities if one.name == entity)
        seen: set[Cursor] = set()
        last_ids: list[str] = []
        while True:
            records, next_cursor = await self.page(kind, cursor, scope)
            ids = [one.source_id for one in records]
            seen.add(cursor)
            if next_cursor != END and (next_cursor in seen or (ids and ids == last_ids)):
                raise EntityMalformedError(f"{entity}: the source gives the same page for ever; ask its support")
            yield SourcePage(cursor, next_cursor, tuple(records))
            if next_cursor == END:
                return
            cursor, last_ids = next_cursor, ids

    def open_file(self, link: FileLink) -> AbstractAsyncContextManager[SourceFile]:
        """Open what is behind a link, without the key."""
        return open_url(self._files_http, link.url, refusal=self.api.refusal)

    async def count_files(self, entity: str, scope: ReadScope) -> int | None:
        """Answer that only reading shows how many files there are."""
        del entity, scope
        return None

    def version(self, entity: str, data: Mapping[str, Any]) -> str:
        """Answer nothing: a row that comes twice in one reading is kept twice, and the later one counts."""
        del entity, data
        return ""


def plan_limits(plans: Mapping[str, tuple[int, int]], options: Mapping[str, Any]) -> CallLimits:
    """Answer a plan's limits; `calls_per_minute` and `calls_per_day` override the plan's, 0 means none.

    Args:
        plans: calls a minute and a day by plan; the first is the default.
        options: those of the connector.

    Raises:
        InvalidRequestError: An option makes no sense.
    """
    plan = str(options.get("plan") or next(iter(plans))).lower()
    if plan not in plans:
        raise InvalidRequestError(f"connector option plan: {plan!r} is none of {', '.join(plans)}")
    minute, day = plans[plan]
    return CallLimits(
        plan=plan,
        calls_per_minute=_whole_number(options, "calls_per_minute", minute),
        calls_per_day=_whole_number(options, "calls_per_day", day),
        day_zone=_day_zone(options),
        counts_files=bool(options.get("counts_files", True)),
    )


def _day_zone(options: Mapping[str, Any]) -> tzinfo:
    zone = str(options.get("day_zone") or "UTC")
    try:
        return UTC if zone == "UTC" else ZoneInfo(zone)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise InvalidRequestError(f"connector option day_zone: {zone!r} is not a time zone (an example: Europe/Madrid)") from error


def _whole_number(options: Mapping[str, Any], name: str, default: int) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidRequestError(f"connector option {name}: {value!r} is not a whole number from 0")
    return value
