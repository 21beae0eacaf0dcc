"""`transload-service health` asks a service on this machine for its health over gRPC: exit code 0 for SERVING, else 1 and a line that says why.

For containers, whose image holds no other client and where no shell is needed. Without arguments it asks where this container's service answers
probes (`TRANSLOAD_HEALTH_LISTEN`), else where it listens (`TRANSLOAD_GRPC_LISTEN`), which works without TLS only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final

from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common import grpc_client
from services.common.errors import TransloadError
from services.common.settings import EnvReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_SECONDS: Final = 3.0


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Asks once and answers the exit code."""
    parser = argparse.ArgumentParser(prog="transload-service health", description="Ask a service for its health over gRPC.")
    parser.add_argument("--address", default="", help="host:port; default: where the service of this environment answers probes")
    parser.add_argument("--service", default="", help="`liveness`: whether it answers at all; default: whether work is welcome")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds")
    given = parser.parse_args(arguments)
    address = given.address or local_address(environ)
    try:
        word = asyncio.run(_ask(address, given.service, given.timeout))
    except TransloadError as error:
        word = f"no answer: {error.message}"
    sys.stdout.write(f"{address} {word}\n")
    return 0 if word == "SERVING" else 1


def local_address(environ: Mapping[str, str]) -> str:
    """Answers where this environment's service is reached from its own machine: a wildcard address stands for the loopback one."""
    reader = EnvReader(environ)
    host, _, port = (reader.str("HEALTH_LISTEN", "") or reader.str("GRPC_LISTEN", "127.0.0.1:0")).rpartition(":")
    return f"{'127.0.0.1' if host in {'0.0.0.0', '', '[::]'} else host}:{port}"  # noqa: S104 - compared, not bound


async def _ask(address: str, service: str, timeout_seconds: float) -> str:
    async with grpc_client.channel(address) as channel:
        response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_seconds)
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
    return name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
