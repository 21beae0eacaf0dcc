"""Drives the simulated account without a server."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sandbox.common.asgi import Request, Response
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options

TOKEN = "token-of-ada"
CONTROL_KEY = "control"


@dataclass(slots=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]

    @property
    def data(self) -> Any:
        assert self.status < 300, self.body
        return self.body["data"]

    @property
    def error(self) -> str:
        assert self.status >= 400, self.body
        return str(self.body["error"])


class Driver:
    """Sends requests to one account and keeps its clock."""

    def __init__(self, options: Options, clock: SandboxClock | None = None) -> None:
        self.account = Account(options, clock)
        self.app = PipedriveApp(self.account)

    async def send(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        all_headers = {} if token is None else {b"x-api-token": token.encode()}
        all_headers |= {name.encode(): value.encode() for name, value in (headers or {}).items()}
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = await self.app.handle(Request(method, path, urlencode(query).encode(), all_headers, content))
        return self._read(response)

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.send("GET", path, **query)

    async def post(self, path: str, body: Any, **query: Any) -> Answer:
        return await self.send("POST", path, body, **query)

    async def patch(self, path: str, body: Any) -> Answer:
        return await self.send("PATCH", path, body)

    async def put(self, path: str, body: Any) -> Answer:
        return await self.send("PUT", path, body)

    async def delete(self, path: str, body: Any = None, **query: Any) -> Answer:
        return await self.send("DELETE", path, body, **query)

    async def control(self, method: str, name: str, body: Any = None) -> Any:
        answer = await self.send(method, f"/_sandbox/{name}", body, token=None, headers={"x-sandbox-key": CONTROL_KEY})
        assert answer.status == 200, answer.body
        return answer.body

    @staticmethod
    def _read(response: Response) -> Answer:
        headers = {name.decode(): value.decode() for name, value in response.headers}
        is_json = response.content_type.startswith(b"application/json") and response.body
        return Answer(response.status, json.loads(response.body) if is_json else response.body, headers)


Start = Callable[..., Driver]
