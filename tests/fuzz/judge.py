"""What an answer to a malformed request may be, and what it may not say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc
from google.rpc import error_details_pb2, status_pb2

from services.common.rpc_errors import CLASS_KEY, DETAILS_KEY, ERROR_DOMAIN

if TYPE_CHECKING:
    from collections.abc import Iterable

_ERRORS_PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "errors.md"
_BUGS: Final = frozenset({"INTERNAL", "ERROR_REASON_UNSPECIFIED"})

_LEAKS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"Traceback",
        r"\.py\b",
        r"\bline \d+, in ",
        r"<class |<function |<module | object at 0x",
        r"\b(?:[A-Z][a-z]+)+(?:Error|Exception|Warning)\b",
        r"sqlalchemy|asyncpg|psycopg|sqlite3?\b|pydantic|orjson|aiohttp|httpx|grpc\._|google\.protobuf|nats\.|obstore",
        r"\bSELECT\b|\bINSERT\b|\bUPDATE\b .*\bSET\b|\bDELETE FROM\b|\[SQL|\[parameters",
        r"input_type=|input_value=|\[type=",
        r"NoneType|'(?:str|int|dict|list|bytes|float)' object|unhashable|subscriptable",
        r"/site-packages/|/usr/|/home/|/root/|/tmp/|/work/",
    )
)


def documented_reasons() -> frozenset[str]:
    """Return the reasons listed in docs/errors.md."""
    return frozenset(re.findall(r"^\| `([A-Z_]+)` \|", _ERRORS_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)) - _BUGS


class Judge:
    """Looks at refusals.

    Args:
        secrets: what no answer may hold: keys, folders of the installation.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secrets)
        self._reasons = documented_reasons()

    def problem(self, error: grpc.aio.AioRpcError, request: bytes) -> str:
        """Return what is wrong with a refusal, empty when nothing is."""
        trailing: dict[str, str | bytes] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]  # pairs, whatever the stub says
        words = f"{error.details() or ''} { {name: value for name, value in trailing.items() if name != CLASS_KEY} }"
        leak = self._leak(words, request)
        if leak:
            return f"leaks {leak!r}: {error.details()}"
        if error.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED}:
            return f"{error.code().name}: {error.details()}"
        raw = trailing.get(DETAILS_KEY)
        reasons = _reasons(raw) if isinstance(raw, bytes) else []
        if not reasons:
            return f"{error.code().name} without a reason: {error.details()}"
        unknown = [reason for reason in reasons if reason.removeprefix("ERROR_REASON_") not in self._reasons]
        return f"{error.code().name} with reason {unknown[0]}, which is not documented: {error.details()}" if unknown else ""

    def _leak(self, words: str, request: bytes) -> str:
        """Return the first of our insides in an answer that was not in the request itself."""
        sent = request.decode("utf-8", "replace")
        for pattern in _LEAKS:
            for found in pattern.finditer(words):
                if found.group() not in sent:
                    return found.group()
        return next((secret for secret in self._secrets if secret in words and secret not in sent), "")


def _reasons(raw: bytes) -> list[str]:
    found = []
    for detail in status_pb2.Status.FromString(raw).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Is(info.DESCRIPTOR) and detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            found.append(info.reason)
    return found
