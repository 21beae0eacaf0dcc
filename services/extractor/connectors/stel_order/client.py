"""Calls to STEL Order: one GET at a time, through the gate, repeated where repeating helps."""

import json
from collections.abc import Mapping
from typing import Any, Final

import httpx
import orjson

from services.common import telemetry
from services.common.errors import UnauthorizedError
from services.extractor.calls import MALFORMED_TRIES, Outages, send, whole_text
from services.extractor.connector import CallGate, EntityForbiddenError, EntityMalformedError, Refusal, SourceStoppedError
from services.extractor.connectors.stel_order.errors import Failure, Reaction, failure_of

PAGE_SIZE: Final = 500
"""Records in a page: the most the interface gives (default 100)."""

_log = telemetry.get_logger(__name__)
_FILTER_REACTIONS: Final = (Reaction.FILTER, Reaction.UNEXPECTED)


class FilterRefusedError(Exception):
    """The collection takes no such filter or sort (E000003)."""


class StelClient:
    """Reads collections page by page."""

    def __init__(self, http: httpx.AsyncClient, *, base_url: str, gate: CallGate) -> None:
        self._http = http
        self._base_url = base_url
        self._gate = gate

    async def page(
        self, collection: str, *, start: int = 0, limit: int = PAGE_SIZE, filters: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Answer up to `limit` records from the offset `start`.

        Raises:
            FilterRefusedError: The collection does not take `filters`.
            EntityForbiddenError: The key has no right to it, or it does not exist.
            EntityMalformedError: The answer is broken, three times in a row.
            UnauthorizedError: The key was refused.
            SourceStoppedError: The account's trial is over.
        """
        params = {"limit": str(limit), **({"start": str(start)} if start else {}), **(filters or {})}
        problem = ""
        for _ in range(MALFORMED_TRIES):
            content = await self._get(collection, params)
            try:
                return _records(content)
            except ValueError as error:
                problem = str(error)
                _log.warning("source.answer_malformed", collection=collection, start=start, problem=problem)
        raise EntityMalformedError(
            f"collection {collection}, start {start}: {problem}, {MALFORMED_TRIES} times in a row; ask STEL Order's support about this page",
            metadata={"collection": collection, "start": str(start)},
        )

    async def _get(self, collection: str, params: Mapping[str, str]) -> bytes:
        outages = Outages(self._gate, collection=collection)
        while True:
            await self._gate.enter()
            answer = await self._send(collection, params)
            if isinstance(answer, bytes):
                return answer
            if isinstance(answer, Failure) and answer.reaction is not Reaction.OUTAGE:
                if answer.reaction in _FILTER_REACTIONS and params.keys() - {"limit", "start"}:
                    raise FilterRefusedError(collection)
                await self._react(collection, answer)
                continue
            await outages.wait(str(answer))

    async def _send(self, collection: str, params: Mapping[str, str]) -> bytes | Failure | str:
        """Make one call. Answers the body, or what failed: a `Failure`, or the name of the network's error."""
        path = f"/{collection}"
        attributes = {"transload.start": params.get("start", "0")}
        response = await send(self._http, "GET", self._base_url + path, template=path, attributes=attributes, params=dict(params))
        if isinstance(response, str):
            return response
        return failure_of(response.status_code, response.content) or response.content

    async def _react(self, collection: str, failure: Failure) -> None:
        match failure.reaction:
            case Reaction.MINUTE:
                await self._gate.refused(Refusal.MINUTE)
            case Reaction.DAY:
                await self._gate.refused(Refusal.DAY)
            case Reaction.KEY:
                raise UnauthorizedError(
                    f"STEL Order refused the key ({failure}): put the right key into the connection, then resume", reason="SOURCE_UNAUTHORIZED"
                )
            case Reaction.TRIAL:
                raise SourceStoppedError(f"the STEL Order account's trial time is over ({failure}): the customer has to renew it, then resume")
            case Reaction.RIGHT:
                raise EntityForbiddenError(f"the key has no right to read {collection} ({failure}): grant it in STEL Order, or leave it out")
            case Reaction.ABSENT:
                raise EntityForbiddenError(f"this account has no collection {collection} ({failure})")
            case _:
                raise EntityMalformedError(f"collection {collection} answered a reading call with {failure}", metadata={"collection": collection})


def _records(content: bytes) -> list[dict[str, Any]]:
    """Parse a page. Raises ValueError, saying what is wrong, when it is not a list of objects with ids."""
    body = _parse(content.removeprefix(b"\xef\xbb\xbf"))
    if not isinstance(body, list):
        raise ValueError(f"the body is not a list but {type(body).__name__}")  # noqa: TRY004 - the caller repeats on ValueError alone
    for position, record in enumerate(body):
        if not isinstance(record, dict) or isinstance(record.get("id"), bool) or not isinstance(record.get("id"), int | str):
            raise ValueError(f"record {position} of the page has no id")  # noqa: TRY004 - as above
    return body


def _parse(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        # A text cut in the middle of an emoji leaves half surrogate pairs.
        return whole_text(json.loads(content, parse_constant=_refuse_constant))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
