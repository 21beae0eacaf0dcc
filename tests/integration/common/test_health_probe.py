"""`transload-service health` says what the service says."""

from __future__ import annotations

import asyncio

import pytest

from services.common import health_probe
from services.common.grpc_server import serve


@pytest.mark.parametrize(
    ("listen", "address"),
    [("0.0.0.0:50051", "127.0.0.1:50051"), ("[::]:50051", "127.0.0.1:50051"), ("127.0.0.2:7", "127.0.0.2:7"), (":9", "127.0.0.1:9")],
)
def test_a_service_that_listens_everywhere_is_asked_on_this_machine(listen: str, address: str) -> None:
    assert health_probe.local_address({"TRANSLOAD_GRPC_LISTEN": listen}) == address


def test_where_probes_are_answered_goes_before_where_the_service_listens() -> None:
    environ = {"TRANSLOAD_GRPC_LISTEN": "0.0.0.0:50051", "TRANSLOAD_HEALTH_LISTEN": "0.0.0.0:50052"}
    assert health_probe.local_address(environ) == "127.0.0.1:50052"


async def ask(address: str, *arguments: str) -> int:
    environ = {"TRANSLOAD_GRPC_LISTEN": address}
    return await asyncio.to_thread(health_probe.main, arguments, environ)


async def test_the_exit_code_follows_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve("127.0.0.1:0", []) as server:
        assert await ask(server.address) == 1
        assert capsys.readouterr().out == f"{server.address} NOT_SERVING\n"
        assert await ask(server.address, "--service", "liveness") == 0
        await server.set_serving(True)
        assert await ask(server.address) == 0
        assert await ask("127.0.0.1:1", "--address", server.address) == 0
        assert await ask(server.address, "--service", "no-such-service") == 1
    assert await ask(server.address, "--timeout", "1") == 1
    assert "no answer" in capsys.readouterr().out
