"""Gauges: what stands now, written by the event loop and read by the threads that export.

A look replaces all points of a metric at once, so that what is gone (a review reason without items, an old migration) is gone in the next export
too, and no exporter's thread ever touches the state of a service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation

from services.common import telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import CallbackOptions

    from services.common.instruments import Instrument

    Point = tuple[Mapping[str, str], float]


class Board:
    """The points of some gauges."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        """Registers the gauges; they have no points yet. A process registers a gauge once: one board for each purpose, kept."""
        self._points: dict[str, Sequence[Observation]] = {}
        for instrument in instruments:
            self._points[instrument.name] = ()
            telemetry.meter().create_observable_gauge(
                instrument.name, callbacks=[self._reader(instrument.name)], unit=instrument.unit, description=instrument.description
            )

    def show(self, instrument: Instrument, points: Iterable[Point]) -> None:
        """Replaces the points of a gauge. Raises KeyError for one that is not on this board."""
        if instrument.name not in self._points:
            raise KeyError(instrument.name)
        self._points[instrument.name] = tuple(Observation(value, dict(attributes)) for attributes, value in points)

    def clear(self) -> None:
        """Shows nothing any more."""
        self._points = dict.fromkeys(self._points, ())

    def _reader(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def read(options: CallbackOptions) -> Iterable[Observation]:
            del options
            return self._points[name]

        return read
