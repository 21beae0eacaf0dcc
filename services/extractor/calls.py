"""What calls over HTTP to any source have in common: the span, what counts as the network's fault, outages, and halves of characters."""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import httpx
from opentelemetry.trace import SpanKind

from services.common import telemetry
from services.extractor.connector import CallGate

MALFORMED_TRIES: Final = 3
"""Calls for one answer that is not what the interface promises; each costs quota."""
NETWORK_ERRORS: Final = (httpx.HTTPError, aiohttp.ClientError, OSError, TimeoutError)
_log = telemetry.get_logger(__name__)


async def send(
    http: httpx.AsyncClient, method: str, url: str, *, template: str, attributes: Mapping[str, str] | None = None, **arguments: Any
) -> httpx.Response | str:
    """Make one call. Answers what came, or the name of the network's error.

    Args:
        http: sends it.
        method: GET or another one.
        url: where to.
        template: the path for the span, without ids and names.
        attributes: others of the span.
        arguments: as `httpx.AsyncClient.request` takes them.
    """
    described = {"http.request.method": method, "url.template": template, **(attributes or {})}
    with telemetry.tracer().start_as_current_span("source.call", kind=SpanKind.CLIENT, attributes=described) as span:
        try:
            response = await http.request(method, url, **arguments)
        except NETWORK_ERRORS as error:
            span.set_attribute("error.type", type(error).__name__)
            return type(error).__name__
        span.set_attribute("http.response.status_code", response.status_code)
    return response


class Outages:
    """Failures of one call in a row, each of which is worth another try after a while."""

    def __init__(self, gate: CallGate, event: str = "source.outage", **named: Any) -> None:
        """Name the call.

        Args:
            gate: knows how long to wait and when to give up.
            event: what the log calls a failure.
            named: fields of the log that tell the call, without ids and names.
        """
        self._gate = gate
        self._event = event
        self._named = named
        self._count = 0

    async def wait(self, problem: str) -> None:
        """Wait until the call may be made again.

        Args:
            problem: what did not work this time, in words.

        Raises:
            TransloadError: The gate gives up.
        """
        self._count += 1
        _log.warning(self._event, attempt=self._count, problem=problem, **self._named)
        await self._gate.outage(self._count, problem)


def whole_text(value: Any) -> Any:
    """Put a mark for halves of characters: half surrogate pairs are legal JSON and no legal Unicode, and the rest is worth having all the same."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [whole_text(one) for one in value]
    return {whole_text(name): whole_text(one) for name, one in value.items()} if isinstance(value, dict) else value
