"""Free ports of the loopback interface."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from transload.embedded.errors import StackError

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

HOST: Final = "127.0.0.1"
# Below the range from which systems take ports for outgoing connections, so that none of those lands on a port of ours between two starts.
_FIRST: Final = 20_000
_LAST: Final = 31_999
_ATTEMPTS_MAX: Final = 1_000


def is_free(port: int) -> bool:
    """Whether the port can be listened on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def choose(taken: Collection[int], rng: random.Random) -> int:
    """Answers a free port that is not in `taken`.

    Raises:
        StackError: none was found.
    """
    for _ in range(_ATTEMPTS_MAX):
        port = rng.randint(_FIRST, _LAST)
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port between {_FIRST} and {_LAST}")
