"""Calls to the org: one at a time, through the gate, repeated where repeating helps."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx
import orjson

from services.common import telemetry
from services.common.errors import UnauthorizedError
from services.extractor.calls import MALFORMED_TRIES, Outages, send
from services.extractor.connector import (
    CallGate,
    EntityForbiddenError,
    EntityMalformedError,
    FileMissingError,
    FileRefusedError,
    Refusal,
    SourceFile,
)
from services.extractor.connectors.servicetracker.errors import Failure, Reaction, failure_of, refusal_of
from services.extractor.connectors.servicetracker.session import Login, Session
from services.extractor.http_files import open_url

_SESSION_ENDED: Final = "HTTP 401"
_USAGE: Final = re.compile(r"api-usage=(\d+)/(\d+)")
_HANDLED: Final = frozenset({Reaction.CURSOR, Reaction.FIELD, Reaction.TOO_LONG, Reaction.TOO_LARGE, Reaction.RIGHT, Reaction.UNEXPECTED})
_log = telemetry.get_logger(__name__)


class CallRefusedError(Exception):
    """The org refused a call for a reason that the caller may have an answer to."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


class Usage:
    """What the org says of the daily allowance with every answer. Other programs draw from it too, so it is believed over our own count."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._used = 0
        self._max = 0

    def learn(self, headers: Mapping[str, str]) -> None:
        """Read the header of an answer."""
        if found := _USAGE.search(headers.get("Sforce-Limit-Info", "")):
            self._used, self._max = int(found[1]), int(found[2])

    def is_passed(self) -> bool:
        """Say once that the share is used up. After the wait that follows one call finds out how things stand."""
        is_passed = bool(self._max) and self._used >= self._max * self._share
        if is_passed:
            self._used = self._max = 0
        return is_passed


class OrgClient:
    """Calls below `/services/data/vNN.0`."""

    def __init__(self, http: httpx.AsyncClient, *, login: Login, gate: CallGate, version: str, share: float) -> None:
        self._http = http
        self._login = login
        self._gate = gate
        self._usage = Usage(share)
        self.base = f"/services/data/v{version}"

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Answer the JSON of a path that begins with a slash: below the version, or whole as the org gave it.

        Raises:
            CallRefusedError: The org refused it, for a reason other than session, limits and outages.
            EntityMalformedError: The answer is broken, three times in a row.
            UnauthorizedError: The login is refused.
        """
        for _ in range(MALFORMED_TRIES):
            response = await self._call("GET", path, params=params)
            try:
                return orjson.loads(response.content)
            except orjson.JSONDecodeError:
                _log.warning("source.answer_malformed", path=_template(path))
        raise EntityMalformedError(f"{_template(path)} answered what is no JSON, {MALFORMED_TRIES} times in a row; ask the org's support about it")

    async def get_text(self, path: str, params: Mapping[str, str], *, accept: str) -> httpx.Response:
        """Answer what is not JSON, with its headers. Raises as `get`."""
        return await self._call("GET", path, params=params, headers={"Accept": accept})

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Make a query job. Raises as `get`."""
        return orjson.loads((await self._call("POST", path, body=body)).content)

    async def delete(self, path: str) -> None:
        """Take a query job back. Raises as `get`."""
        await self._call("DELETE", path)

    @asynccontextmanager
    async def open_file(self, path: str) -> AsyncGenerator[SourceFile]:
        """Open the bytes behind a path. The caller has taken the call from the budget; a second one after a new login is taken here.

        Raises:
            FileError: It cannot be opened.
        """
        if self._usage.is_passed():
            raise FileRefusedError(Refusal.DAY)
        session = await self._login.session()
        async with AsyncExitStack() as stack:
            try:
                file = await stack.enter_async_context(self._open(session, path))
            except FileMissingError as error:
                if str(error) != _SESSION_ENDED:
                    raise
                session = await self._login.session(ended=session)
                await self._gate.enter()
                file = await stack.enter_async_context(self._open(session, path))
            yield file

    def _open(self, session: Session, path: str) -> AbstractAsyncContextManager[SourceFile]:
        return open_url(self._http, session.instance_url + path, refusal=refusal_of, headers=session.headers)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        outages, renewed_count = Outages(self._gate, path=_template(path)), 0
        while True:
            session = await self._login.session()
            while self._usage.is_passed():
                await self._gate.refused(Refusal.DAY)
            await self._gate.enter()
            answer = await self._send(session, method, path, params=params, body=body, headers=headers)
            failure = answer if isinstance(answer, Failure) else None
            if isinstance(answer, httpx.Response):
                return answer
            if failure is None or failure.reaction is Reaction.OUTAGE:
                await outages.wait(str(answer))
            elif failure.reaction is Reaction.SESSION:
                if renewed_count:
                    raise UnauthorizedError(
                        f"the org ends every session at once ({failure}): see that its user may use the interface, then resume",
                        reason="SOURCE_UNAUTHORIZED",
                    )
                renewed_count += 1
                await self._login.session(ended=session)
            elif failure.reaction in _HANDLED:
                raise CallRefusedError(failure)
            else:
                await self._gate.refused(Refusal.DAY if failure.reaction is Reaction.DAY else Refusal.MINUTE)

    async def _send(
        self,
        session: Session,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Response | Failure | str:
        """Make one call. Answers what came, or what failed: a `Failure`, or the name of the network's error."""
        url = session.instance_url + (path if path.startswith("/services/") else self.base + path)
        response = await send(
            self._http,
            method,
            url,
            template=_template(path),
            params=dict(params) if params else None,
            json=dict(body) if body else None,
            headers={**session.headers, **(headers or {})},
        )
        if isinstance(response, str):
            return response
        self._usage.learn(response.headers)
        return failure_of(response.status_code, response.content, may_be_html="*/*" in (headers or {}).values()) or response


def forbidden(what: str, failure: Failure) -> EntityForbiddenError:
    """Make the error that says the user may not read something."""
    return EntityForbiddenError(
        f"the org's user may not read {what} ({failure}): grant the right to read it, or leave it out", metadata={"object": what}
    )


def _template(path: str) -> str:
    """Write a path without ids, for logs and spans."""
    return re.sub(r"[A-Za-z0-9]{15,}(?:-\d+)?", "{id}", path)
