"""Bulk API 2.0 query jobs: made, worked on for some polls, read as CSV by locator, deleted."""

import csv
import io
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox.common.asgi import Request, Response, json_response
from sandbox.servicetracker.errors import Refusal, not_found
from sandbox.servicetracker.ids import make_id
from sandbox.servicetracker.soql import SoqlError, parse
from sandbox.servicetracker.store import Row, Store

_FORBIDDEN_TYPES = {"base64", "address", "location"}


@dataclass(slots=True)
class Job:
    """One query job."""

    body: dict[str, Any]
    fields: list[str]
    rows: list[Row]
    polls_left: int
    is_failing: bool = False
    error: str = ""


@dataclass(slots=True)
class Jobs:
    """The jobs of an org."""

    store: Store
    version: str
    polls: int = 1
    """Polls before a job is done."""
    is_enabled: bool = True
    fails: int = 0
    """How many of the next jobs fail."""
    jobs: dict[str, Job] = field(default_factory=dict)
    made_count: int = 0

    def answer(self, request: Request, parts: list[str]) -> Response:
        """Answer a call to `/jobs/query` or below it."""
        if not self.is_enabled:
            raise Refusal(403, "API_DISABLED_FOR_ORG", "Bulk API is not enabled for this Organization or Partner")
        if not parts:
            if request.method != "POST":
                raise Refusal(405, "METHOD_NOT_ALLOWED", "only POST is played here")
            return self._create(request)
        job = self.jobs.get(parts[0])
        if job is None:
            raise not_found("The requested job does not exist")
        if request.method == "DELETE" and len(parts) == 1:
            del self.jobs[parts[0]]
            return Response(204, b"")
        if request.method != "GET":
            raise Refusal(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed")
        if parts[1:] == ["results"]:
            return self._results(job, request)
        if len(parts) > 1:
            raise not_found()
        return json_response(200, self._poll(job))

    def _create(self, request: Request) -> Response:
        try:
            wanted = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise Refusal(400, "JSON_PARSER_ERROR", "Unexpected character") from error
        if not isinstance(wanted, dict) or wanted.get("operation") not in {"query", "queryAll"} or not isinstance(wanted.get("query"), str):
            raise Refusal(400, "INVALIDJOB", "operation and query are needed")
        if (wanted.get("contentType"), wanted.get("columnDelimiter", "COMMA"), wanted.get("lineEnding", "LF")) != ("CSV", "COMMA", "LF"):
            raise Refusal(400, "INVALIDJOB", "contentType must be CSV")
        try:
            query = parse(wanted["query"], self.store.objects)
        except SoqlError as error:
            raise Refusal(400, "API_ERROR", f"{error.code}: {error.message}") from error
        if query.is_count or any(query.sobject.fields[one].type in _FORBIDDEN_TYPES for one in query.fields) or query.sobject.needs_filter:
            raise Refusal(400, "API_ERROR", "this query is not supported in bulk")
        self.made_count += 1
        is_all = wanted["operation"] == "queryAll"
        rows = [row for row in self.store.rows(query.sobject.name) if is_all or not row["IsDeleted"]]
        job_id = make_id("750", self.made_count)
        body = {
            "id": job_id,
            "operation": wanted["operation"],
            "object": query.sobject.name,
            "createdById": "005Da0000000001AAA",
            "createdDate": "2026-01-05T10:00:00.000+0000",
            "state": "UploadComplete",
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
        }
        is_failing = self.fails > 0
        self.fails -= is_failing
        self.jobs[job_id] = Job(body, query.fields, query.run(rows), self.polls, is_failing)
        return json_response(200, body)

    @staticmethod
    def _poll(job: Job) -> dict[str, Any]:
        if job.polls_left:
            job.polls_left -= 1
            job.body["state"] = "InProgress"
            return job.body
        job.body["state"] = "Failed" if job.is_failing else "JobComplete"
        facts = {"numberRecordsProcessed": 0 if job.is_failing else len(job.rows), "retries": 0, "totalProcessingTime": 120}
        return job.body | facts | ({"errorMessage": "FEATURENOTENABLED: not today"} if job.is_failing else {})

    def _results(self, job: Job, request: Request) -> Response:
        if job.body["state"] != "JobComplete":
            raise Refusal(400, "INVALIDJOBSTATE", "The job has no results yet")
        query = request.query()
        if "csv" not in request.header(b"accept"):
            raise Refusal(406, "NOT_ACCEPTABLE", "results are text/csv")
        count_max = int(query.get("maxRecords", "50000"))
        start = int(b64decode(query["locator"])) if query.get("locator") else 0
        rows = job.rows[start : start + count_max]
        following = b64encode(str(start + count_max).encode()).decode() if start + count_max < len(job.rows) else "null"
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(job.fields)
        for row in rows:
            writer.writerow([_cell(row.get(name)) for name in job.fields])
        headers = [(b"sforce-locator", following.encode()), (b"sforce-numberofrecords", str(len(rows)).encode())]
        return Response(200, text.getvalue().encode(), b"text/csv; charset=UTF-8", headers)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    written = str(value)
    return written.replace("+0000", "Z") if written.endswith(".000+0000") else written
