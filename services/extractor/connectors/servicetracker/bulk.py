"""Bulk query jobs: for objects with many rows, a few calls in place of thousands.

A job is made, looked at until it is done, and its CSV read part by part. A cursor names the job, the part and the rows of it that are read. When
the job is gone it is made again and read from the start: rows may come twice, none is left out.
"""

import csv
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from services.common import telemetry
from services.common.clock import Clock
from services.extractor.connector import END, START, Cursor
from services.extractor.connectors.servicetracker.client import CallRefusedError, OrgClient
from services.extractor.connectors.servicetracker.describe import Objects
from services.extractor.connectors.servicetracker.ids import long_id
from services.extractor.connectors.servicetracker.reading import Row, RowPage
from services.extractor.connectors.servicetracker.soql import select

PAGE_ROWS: Final = 2_000
"""Rows in a page, as a query has."""
JOB_TRIES: Final = 2
"""Refusals of a job after which the object is read by query."""
_POLL_SECONDS: Final = 5.0
_POLL_SECONDS_MAX: Final = 60.0
_NUMBERS: Final = frozenset({"double", "currency", "percent"})
_log = telemetry.get_logger(__name__)
csv.field_size_limit(16 * 1024 * 1024)  # long texts of the platform go beyond the library's 128 KB


class BulkRefusedError(Exception):
    """The org does not do this job; a query may."""


@dataclass(frozen=True, slots=True)
class _Position:
    job_id: str = ""
    locator: str = ""
    row_count: int = 0
    """Rows of the part that are read."""

    def to_cursor(self) -> Cursor:
        return Cursor(orjson.dumps({"job": self.job_id, "locator": self.locator, "rows": self.row_count}).decode())


def is_bulk(cursor: Cursor) -> bool:
    """Say whether a cursor is one of a job."""
    return cursor != START and "job" in orjson.loads(cursor)


class BulkReader:
    """Reads an object by a job."""

    def __init__(self, client: OrgClient, described: Mapping[str, Any], *, clock: Clock, rows_at_once: int, conditions: tuple[str, ...] = ()) -> None:
        self._client = client
        self._clock = clock
        self._rows_at_once = rows_at_once
        self._types = {one["name"]: one["type"] for one in described["fields"]}
        self._query = select(Objects.columns(described), described["name"], conditions)
        self._name = described["name"]

    async def pages(self, cursor: Cursor) -> AsyncIterator[RowPage]:
        """Yield pages from a cursor on.

        Raises:
            BulkRefusedError: The job was refused, or failed, twice.
        """
        position = _Position()
        if cursor != START:
            found = orjson.loads(cursor)
            position = _Position(found["job"], found["locator"], found["rows"])
        while True:
            job_id, locator, rows, following = await self._part(position)
            start = position.row_count if job_id == position.job_id else 0
            while True:
                part = rows[start : start + PAGE_ROWS]
                start += len(part)
                is_last_page = start >= len(rows)
                if not is_last_page:
                    next_cursor = _Position(job_id, locator, start).to_cursor()
                else:
                    next_cursor = _Position(job_id, following).to_cursor() if following else END
                yield RowPage(cursor, next_cursor, part)
                cursor = next_cursor
                if is_last_page:
                    break
            if cursor == END:
                await self._forget(job_id)
                return
            position = _Position(job_id, following)

    async def _part(self, position: _Position) -> tuple[str, str, list[Row], str]:
        """Answer a part of the result: job, its locator, its rows, and the locator of the next one."""
        job_id, locator = position.job_id, position.locator
        if job_id:
            try:
                rows, following = await self._results(job_id, locator)
            except CallRefusedError as error:
                _log.info("source.job_lost", object=self._name, code=error.failure.code)
            else:
                return job_id, locator, rows, following
        job_id = await self._done_job()
        rows, following = await self._results(job_id, "")
        return job_id, "", rows, following

    async def _done_job(self) -> str:
        problem = ""
        for _ in range(JOB_TRIES):
            try:
                made = await self._client.post(
                    "/jobs/query",
                    {"operation": "queryAll", "query": self._query, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"},
                )
                job_id = str(made["id"])
                state = await self._finished(job_id)
            except CallRefusedError as error:
                problem = str(error)
                continue
            if state == "JobComplete":
                return job_id
            problem = f"state {state}"
            await self._forget(job_id)
        _log.warning("source.bulk_refused", object=self._name, problem=problem)
        raise BulkRefusedError(problem)

    async def _finished(self, job_id: str) -> str:
        pause = _POLL_SECONDS
        while True:
            state = str((await self._client.get(f"/jobs/query/{job_id}"))["state"])
            if state in {"JobComplete", "Failed", "Aborted"}:
                return state
            await self._clock.sleep(pause)
            pause = min(pause * 1.5, _POLL_SECONDS_MAX)

    async def _results(self, job_id: str, locator: str) -> tuple[list[Row], str]:
        params = {"maxRecords": str(self._rows_at_once), **({"locator": locator} if locator else {})}
        response = await self._client.get_text(f"/jobs/query/{job_id}/results", params, accept="text/csv")
        following = response.headers.get("Sforce-Locator", "")
        reader = csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"), newline=""))
        return [self._row(row) for row in reader], "" if following in {"", "null"} else following

    def _row(self, row: Mapping[str, str]) -> Row:
        """Give a row the values a query would have given."""
        return {name: _value(value, self._types.get(name, "string")) for name, value in row.items() if name is not None}

    async def _forget(self, job_id: str) -> None:
        """Delete a job whose result is read; the org forgets it by itself after a week."""
        try:
            await self._client.delete(f"/jobs/query/{job_id}")
        except CallRefusedError as error:
            _log.info("source.job_kept", code=error.failure.code)


def _value(written: str | None, kind: str) -> Any:
    if not written:
        return None
    try:
        if kind in {"id", "reference"}:
            return long_id(written)
        if kind == "boolean":
            return written.lower() == "true"
        if kind == "int":
            return int(written)
        if kind in _NUMBERS:
            return float(written)
    except ValueError:
        return written
    # The two ways of reading write UTC differently.
    return written.removesuffix("Z") + "+0000" if kind == "datetime" and written.endswith("Z") else written
