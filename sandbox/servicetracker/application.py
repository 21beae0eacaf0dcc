"""The org as one ASGI handler: login, describe, limits, queries, bulk jobs, files; control below `/_sandbox`."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sandbox.common.asgi import ConnectionCutError, Request, Response, html_response, json_response
from sandbox.common.clock import Clock
from sandbox.common.faults import Faults
from sandbox.common.journal import Call, Journal
from sandbox.servicetracker.bulk import Jobs
from sandbox.servicetracker.errors import Refusal, not_found
from sandbox.servicetracker.faults import Rule
from sandbox.servicetracker.generator import Account
from sandbox.servicetracker.schema import SObject
from sandbox.servicetracker.sessions import Sessions
from sandbox.servicetracker.soql import SoqlError, parse
from sandbox.servicetracker.store import Row, stamp

_ADDRESS_BYTES_MAX = 16_384
_BIN_DAYS = 15
_BODIES = {"Attachment": "Body", "ContentVersion": "VersionData", "ContentNote": "Content"}
_ALLOWED_WRITES = re.compile(r"POST /services/oauth2/token|POST /services/data/v[\d.]+/jobs/query|DELETE /services/data/v[\d.]+/jobs/query/\w+")


@dataclass(slots=True)
class Options:
    """How the org is set up."""

    versions: tuple[str, ...] = ("59.0", "60.0", "61.0")
    daily_max: int = 115_000
    page_size: int = 2000
    """Most rows in a page of a query."""
    denied: set[str] = field(default_factory=set)
    """Objects this user does not see."""


@dataclass(slots=True)
class Cursor:
    """What is left of a query's answer."""

    fields: list[str]
    rows: list[Row]


class ServiceTracker:
    """Answers the calls of the interface."""

    def __init__(self, account: Account, options: Options, sessions: Sessions, clock: Clock) -> None:
        self.account = account
        self.store = account.store
        self.options = options
        self.sessions = sessions
        self.clock = clock
        self.jobs = Jobs(account.store, options.versions[-1])
        self.faults = Faults(Rule)
        self.journal = Journal()
        self.cursors: dict[str, Cursor] = {}
        self.used = 0
        self.is_concurrent_full = False
        self.repeats_first_page = False
        """Gives the first page for every cursor, as a broken server might."""

    async def __call__(self, request: Request) -> Response:
        """Answer one call, with the fault that a rule wants."""
        full_path = request.path + (f"?{request.query_string.decode('latin-1')}" if request.query_string else "")
        rule = self.faults.pick(request.method, full_path)
        if rule is not None:
            if rule.seconds:
                await asyncio.sleep(rule.seconds)
            if rule.kind == "cut":
                self._note(request, 0, "", is_counted=False)
                raise ConnectionCutError
            if rule.kind == "status":
                self._note(request, rule.status, "", is_counted=False)
                if isinstance(rule.body, str):
                    return html_response(rule.status, rule.body)
                return json_response(rule.status, rule.body if rule.body is not None else [{"message": "fault", "errorCode": "UNKNOWN_EXCEPTION"}])
            if rule.kind == "expire":
                self.sessions.expire()
            if rule.kind == "lost_locator":
                self.cursors.clear()
            if rule.kind == "fail_job":
                self.jobs.fails += 1
        response = self._answer(request)
        if rule is not None and rule.kind == "broken_json":
            response.body = response.body[: len(response.body) // 2]
        return response

    def _answer(self, request: Request) -> Response:
        is_counted = False
        try:
            if (
                len(request.path) + len(request.query_string) + sum(len(name) + len(value) for name, value in request.headers.items())
                > _ADDRESS_BYTES_MAX
            ):
                self._note(request, 414, "", is_counted=False)
                return html_response(414, "<html><body>URI Too Long</body></html>")
            if request.path == "/services/oauth2/token":
                response = self.sessions.login(request, f"http://{request.header(b'host')}")
            elif request.path == "/services/data" and request.method == "GET":
                response = json_response(200, [_version(one) for one in self.options.versions])
            else:
                if not self.sessions.is_open(request):
                    raise Refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")
                self._take()
                is_counted = True
                response = self._interface(request)
        except Refusal as refusal:
            self._note(request, refusal.status, refusal.code, is_counted=is_counted)
            response = refusal.response()
        else:
            self._note(request, response.status, "", is_counted=is_counted)
        if is_counted:
            response.headers.append((b"sforce-limit-info", f"api-usage={self.used}/{self.options.daily_max}".encode()))
        return response

    def _take(self) -> None:
        if self.is_concurrent_full:
            raise Refusal(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
        if self.used >= self.options.daily_max:
            raise Refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
        self.used += 1

    def _interface(self, request: Request) -> Response:
        match = re.fullmatch(r"/services/data/v(\d+\.\d)(?:/(.*))?", request.path)
        if match is None or match[1] not in self.options.versions:
            raise not_found()
        version, parts = match[1], [part for part in (match[2] or "").split("/") if part]
        if parts[:2] == ["jobs", "query"]:
            return self.jobs.answer(request, parts[2:])
        if request.method != "GET":
            raise Refusal(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed. Allowed are GET")
        match parts:
            case ["limits"]:
                return json_response(200, self._limits())
            case ["limits", "recordCount"]:
                names = request.query().get("sObjects", "").split(",")
                counts = [{"count": len(list(self.store.live(name))), "name": name} for name in names if self._sees(name)]
                return json_response(200, {"sObjects": counts})
            case ["sobjects"]:
                visible = [one.summary(version) for one in self.store.objects.values() if self._sees(one.name)]
                return json_response(200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": visible})
            case ["sobjects", name, *rest]:
                return self._sobject(request, self._object(name), rest, version)
            case ["query" | "queryAll" as kind]:
                return self._query(request, version, is_all=kind == "queryAll")
            case ["query" | "queryAll", locator]:
                return self._more(locator, version)
            case _:
                raise not_found()

    def _sees(self, name: str) -> bool:
        return name in self.store.objects and name not in self.options.denied

    def _object(self, name: str) -> SObject:
        if not self._sees(name):
            raise not_found()
        return self.store.objects[name]

    def _sobject(self, request: Request, sobject: SObject, rest: list[str], version: str) -> Response:
        match rest:
            case ["describe"]:
                fields = [self._described(one) for one in sobject.fields.values()]
                record_types = [
                    {"name": row["Name"], "developerName": row["DeveloperName"]}
                    for row in self.store.rows("RecordType")
                    if row["SobjectType"] == sobject.name
                ]
                return json_response(200, sobject.summary(version) | {"fields": fields, "recordTypeInfos": record_types, "childRelationships": []})
            case ["deleted" | "updated" as kind]:
                return self._changed(request, sobject, kind)
            case [row_id, "Body" | "VersionData" | "Content" as name] if _BODIES.get(sobject.name) == name:
                body = self.store.bodies.get(row_id)
                if body is None:
                    raise not_found()
                return Response(200, bytes(body) if isinstance(body, int) else body, b"application/octet-stream")
            case _:
                raise not_found()

    def _described(self, field_: Any) -> dict[str, Any]:
        found: dict[str, Any] = field_.describe()
        if found["referenceTo"] == ["*"]:
            found["referenceTo"] = [name for name, one in self.store.objects.items() if "Name" in one.fields]
            found["polymorphicForeignKey"] = True
        return found

    def _changed(self, request: Request, sobject: SObject, kind: str) -> Response:
        if not sobject.is_replicateable:
            raise Refusal(400, "INVALID_TYPE_FOR_OPERATION", f"entity type {sobject.name} is not replicateable")
        query = request.query()
        try:
            start, end = (datetime.fromisoformat(query[name].replace(" ", "+")) for name in ("start", "end"))
        except (KeyError, ValueError) as error:
            raise Refusal(400, "INVALID_REPLICATION_DATE", "start and end must be dates with times") from error
        now = self.clock.now()
        if start < now - timedelta(days=30) or end - start < timedelta(minutes=1):
            raise Refusal(400, "INVALID_REPLICATION_DATE", "startDate before org replication enabled date, or less than a minute before endDate")
        changed = [row for row in self.store.rows(sobject.name) if start <= datetime.fromisoformat(row["SystemModstamp"]) <= end]
        if kind == "updated":
            return json_response(200, {"ids": [row["Id"] for row in changed if not row["IsDeleted"]], "latestDateCovered": stamp(end)})
        gone = [{"id": row["Id"], "deletedDate": row["SystemModstamp"]} for row in changed if row["IsDeleted"]]
        gone += [
            {"id": one, "deletedDate": stamp(when)} for name, one, when in self.store.hard_deleted if name == sobject.name and start <= when <= end
        ]
        body = {"deletedRecords": gone, "earliestDateAvailable": stamp(now - timedelta(days=_BIN_DAYS)), "latestDateCovered": stamp(end)}
        return json_response(200, body)

    def _query(self, request: Request, version: str, *, is_all: bool) -> Response:
        text = request.query().get("q", "")
        try:
            query = parse(text, {name: one for name, one in self.store.objects.items() if self._sees(name)})
        except SoqlError as error:
            raise Refusal(400, error.code, error.message) from error
        if query.sobject.needs_filter and not query.filtered & set(query.sobject.needs_filter):
            raise Refusal(
                400,
                "MALFORMED_QUERY",
                f"Implementation restriction: {query.sobject.name} requires a filter by a single Id on {' or '.join(query.sobject.needs_filter)}",
            )
        rows = [row for row in self.store.rows(query.sobject.name) if is_all or (not row["IsDeleted"] and not row.get("IsArchived"))]
        found = query.run(rows)
        if query.is_count:
            return json_response(200, {"totalSize": len(found), "done": True, "records": []})
        locator = "01gDa" + sha256(text.encode()).hexdigest()[:13]
        if len(found) > self._page_size(request):
            self.cursors[locator] = Cursor(query.fields, found)
        return self._page(Cursor(query.fields, found), locator, 0, self._page_size(request), version)

    def _page_size(self, request: Request) -> int:
        wanted = re.search(r"batchSize=(\d+)", request.header(b"sforce-query-options"))
        return min(self.options.page_size, int(wanted[1]) if wanted else 2000)

    def _more(self, locator: str, version: str) -> Response:
        name, _, start = locator.rpartition("-")
        cursor = self.cursors.get(name)
        if cursor is None or not start.isdecimal():
            raise Refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(cursor, name, 0 if self.repeats_first_page else int(start), self.options.page_size, version)

    def _page(self, cursor: Cursor, locator: str, start: int, size: int, version: str) -> Response:
        rows = cursor.rows[start : start + size]
        following = start + size
        body: dict[str, Any] = {"totalSize": len(cursor.rows), "done": following >= len(cursor.rows)}
        if not body["done"]:
            body["nextRecordsUrl"] = f"/services/data/v{version}/query/{locator}-{following}"
        body["records"] = [self._shown(row, cursor.fields, version) for row in rows]
        return json_response(200, body)

    def _shown(self, row: Row, fields: list[str], version: str) -> Row:
        sobject = next(one for one in self.store.objects.values() if one.prefix == row["Id"][:3])
        base = f"/services/data/v{version}/sobjects/{sobject.name}/{row['Id']}"
        shown: Row = {"attributes": {"type": sobject.name, "url": base}}
        for name in fields:
            field_ = sobject.fields[name]
            if field_.type == "base64":
                shown[name] = f"{base}/{name}"
            elif field_.type == "address":
                prefix = name.removesuffix("Address")
                shown[name] = {part[0].lower() + part[1:]: row.get(prefix + part) for part in ("Street", "City", "State", "PostalCode", "Country")}
            else:
                shown[name] = row.get(name)
        return shown

    def _limits(self) -> dict[str, Any]:
        daily = self.options.daily_max
        return {
            "DailyApiRequests": {"Max": daily, "Remaining": daily - self.used},
            "DailyBulkV2QueryJobs": {"Max": 10_000, "Remaining": 10_000 - self.jobs.made_count},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
        }

    def _note(self, request: Request, status: int, code: str, *, is_counted: bool) -> None:
        is_write = request.method != "GET" and not _ALLOWED_WRITES.fullmatch(f"{request.method} {request.path}")
        self.journal.add(Call(request.method, request.path, request.query(), status, code, is_counted, is_write))


def _version(number: str) -> dict[str, str]:
    return {"label": f"Release {number}", "url": f"/services/data/v{number}", "version": number}
