"""Metrics of the calls to one Pipedrive company."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.trace import set_span_in_context

from services.common import instruments

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from services.loader.pipedrive.costs import Operation

REPEATS: Final = ("not_sent", "no_answer", "refused")
"""Why a call is made again: it never left, its effect is not known but harmless to repeat, or Pipedrive answered 429."""


class CallMeters:
    """Counts and times calls."""

    def __init__(self, connection: str) -> None:
        """Begins. What happens seldom is there as 0 from the start, so that an alert on it has something to look at."""
        self._name = {instruments.CONNECTION: connection}
        self._tokens = instruments.counter(instruments.TARGET_TOKENS)
        self._calls = instruments.counter(instruments.TARGET_CALLS)
        self._throttled = instruments.counter(instruments.TARGET_THROTTLED)
        self._retries = instruments.counter(instruments.TARGET_RETRIES)
        self._seconds = instruments.histogram(instruments.HTTP_SECONDS)
        self._throttled.add(0, self._name)
        for reason in REPEATS:
            self._retries.add(0, {**self._name, instruments.REASON: reason})

    def called(self, op: Operation, status: int, tokens: int, seconds: float, span: Span) -> None:
        """Notes one call that ended; `status` 0: without an answer. `span` is what an exemplar of it leads to."""
        labels = {**self._name, instruments.OPERATION: op.name}
        self._tokens.add(tokens, labels)
        self._calls.add(1, {**labels, instruments.STATUS: status})
        outcome: dict[str, str | int] = {instruments.STATUS: status} if status else {"error.type": "no_answer"}
        timed = {"http.request.method": op.method, "url.template": op.path, **outcome}
        self._seconds.record(seconds, timed, set_span_in_context(span) if span.is_recording() else None)

    def throttled(self) -> None:
        """Notes a 429."""
        self._throttled.add(1, self._name)

    def repeated(self, reason: str) -> None:
        """Notes that a call is made again."""
        self._retries.add(1, {**self._name, instruments.REASON: reason})
