"""Shows the ledger's sums as metrics.

A look costs one pass over the records of each migration that changed since the last one. It comes every ten seconds at most, and never takes more
than a twentieth of the time, however large the migrations are. Ages are those at the look.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Final

from services.common import instruments, telemetry
from services.common.errors import TransloadError
from services.common.gauges import Board
from services.ledger.load_plan import quota_of
from services.ledger.sums import points_of, signature_of, sums_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from typing import Any

    from services.common.gauges import Point
    from services.common.jetstream import Lag
    from services.ledger.domain import Migration
    from services.ledger.runs.driver import Tools
    from services.ledger.sums import Signature, Sums

_LOG = telemetry.get_logger(__name__)

SECONDS_MIN: Final = 10.0
"""Between two looks; as often as metrics are exported."""
REST_FACTOR: Final = 20.0
"""A look is followed by a rest of this many times its own length."""
MIGRATIONS_MAX: Final = 50
"""The newest are shown: the number of time series must not grow for ever."""
GAUGES: Final = tuple(one for one in instruments.INSTRUMENTS if one.kind is instruments.Kind.GAUGE and one.services == ("ledger",))


@cache
def _board() -> Board:
    """Answers the board of the process, which may become the active ledger several times."""
    return Board(GAUGES)


class Gauges:
    """Looks, rests, and shows."""

    def __init__(self, tools: Tools, lags: Callable[[], Awaitable[Sequence[Lag]]]) -> None:
        """Registers the gauges. `lags` tells what waits in front of the consumers."""
        self._tools = tools
        self._lags = lags
        self._board = _board()
        self._known: dict[str, tuple[Signature, Sums]] = {}

    async def run(self) -> None:
        """Shows until cancelled; then nothing, so that a ledger that stands by repeats no old sums."""
        try:
            await self._show()
        finally:
            self._board.clear()

    async def _show(self) -> None:
        clock = self._tools.clock
        while True:
            began = clock.monotonic()
            try:
                await self.look()
            except TransloadError as error:
                _LOG.warning("gauges.not_read", reason=error.reason, problem=error.message)
            took = clock.monotonic() - began
            self._board.show(instruments.LOOK_SECONDS, [({}, took)])
            await clock.sleep(max(SECONDS_MIN, REST_FACTOR * took))

    async def look(self) -> None:
        """Reads and shows once. Raises UnavailableError: the database does not answer; what was shown stays."""
        migrations = await self._tools.ledger.look(lambda reader: reader.list_migrations(limit=MIGRATIONS_MAX))
        self._known = {one.migration_id: self._known[one.migration_id] for one in migrations if one.migration_id in self._known}
        now = self._tools.clock.now()
        points: dict[str, list[Point]] = defaultdict(list)
        quotas: dict[str, Mapping[str, Any]] = {}
        for migration in migrations:
            sums = await self._sums(migration)
            if sums.running is not None and sums.plan and migration.target_connection not in quotas:
                quotas[migration.target_connection] = await quota_of(self._tools, migration, {})
            for name, found in points_of(sums, now, quotas.get(migration.target_connection)).items():
                points[name].extend(found)
        waiting = await self._tools.ledger.look(lambda reader: reader.count_outbox())
        points[instruments.OUTBOX.name].append(({}, waiting))
        await self._add_lags(points)
        for gauge in GAUGES:
            if gauge is not instruments.LOOK_SECONDS:
                self._board.show(gauge, points[gauge.name])

    async def _sums(self, migration: Migration) -> Sums:
        signature = await self._tools.ledger.look(lambda reader: signature_of(reader, migration))
        known = self._known.get(migration.migration_id)
        if known is None or known[0] != signature:
            sums = await self._tools.ledger.look(lambda reader: sums_of(reader, migration))
            # With the older signature: what changed in between is read again next time.
            known = self._known[migration.migration_id] = signature, sums
        return known[1]

    async def _add_lags(self, points: dict[str, list[Point]]) -> None:
        """Without NATS there are no points, which an alert can tell from an empty stream."""
        try:
            lags = await self._lags()
        except TransloadError as error:
            _LOG.debug("lags.not_read", reason=error.reason)
            return
        for lag in lags:
            labels = {instruments.STREAM: lag.consumer.stream.name, instruments.CONSUMER: lag.consumer.name}
            points[instruments.LAG.name].append((labels, lag.waiting))
            points[instruments.UNANSWERED.name].append((labels, lag.unanswered))
