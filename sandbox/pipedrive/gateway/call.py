"""What a request handler gets and gives: one authenticated call, and its result."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.schema import Problems, not_a, not_allowed
from sandbox.pipedrive.gateway.errors import ApiError, not_found
from sandbox.pipedrive.store.store import Record

DIGITS_MAX = 18


@dataclass(slots=True)
class Call:
    """One request that passed credential, limits and routing."""

    request: Request
    version: int
    user: Record
    params: tuple[str, ...] = ()
    query: dict[str, str] = field(default_factory=dict)

    def id(self, what: str, position: int = 0) -> int:
        """Return an id from the path.

        Raises:
            ApiError: 400 when it is not a positive integer in version 2, 404 in version 1 (assumed).
        """
        text = self.params[position]
        if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX and int(text) > 0:
            return int(text)
        if self.version == 2:
            problems = Problems()
            problems.add("id", not_a("integer"))
            problems.raise_if_any()
        raise not_found(what)

    def refuse_query(self) -> None:
        """Refuse any query parameter but the token.

        Raises:
            ApiError: 400 naming them.
        """
        problems = Problems()
        for name in self.query:
            if name != "api_token":
                problems.add(name, not_allowed(name))
        problems.raise_if_any()

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ApiError: 400 when it is not JSON (text assumed).
        """
        if not self.request.body:
            return {}
        try:
            return orjson.loads(self.request.body)
        except orjson.JSONDecodeError as error:
            raise ApiError(400, "Request body is not valid JSON", code="ERR_BAD_REQUEST" if self.version == 2 else None) from error


@dataclass(slots=True)
class Result:
    """A successful answer: the whole JSON body, and bytes instead of it for downloads."""

    body: Any
    status: int = 200
    content: bytes | None = None
    content_type: bytes = b"application/octet-stream"
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


def success(data: Any, status: int = 200, **extra: Any) -> Result:
    """Wrap data in the success envelope, which both versions share."""
    return Result({"success": True, "data": data, **extra}, status)
