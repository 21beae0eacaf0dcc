"""A loader against the Pipedrive simulator in this process: no sockets, time by hand, a ledger in memory."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from sandbox.common.asgi import ConnectionCutError, Request
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options
from services.common.canonical import canonical_json, digest
from services.common.connections import Connections
from services.common.errors import NotFoundError, PausedError
from services.common.keys import RecordKey
from services.common.phases import TARGET_PHASES
from services.loader.codec import manifest_from_json
from services.loader.pipedrive.client import CallContext
from services.loader.pipedrive.http import NoAnswerError, NotSentError, Reply
from services.loader.quota.arbiter import Arbiter
from services.loader.quota.client import LocalSource
from services.loader.quota.leases import Priority
from services.loader.quota.settings import QuotaSettings
from services.loader.targets import Targets
from services.loader.upsert import Upsert
from services.loader.work import Link
from services.loader.worker import LoadWorker
from tests.fakes.clock import FakeClock
from transload.v1 import ledger_service_pb2 as pb
from transload.v1.records_pb2 import MappedBatch, MappedRecord, Reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from datetime import datetime

    from services.loader.work import Manifest

CONNECTION = "crm"
TOKEN = "token-of-the-test"
ACCOUNT = "acme"
LOADED = {pb.OUTCOME_RESULT_CREATED, pb.OUTCOME_RESULT_UPDATED, pb.OUTCOME_RESULT_MATCHED, pb.OUTCOME_RESULT_UNCHANGED}


class SimulatorTransport(httpx.AsyncBaseTransport):
    """Hands requests to the simulator; a cut connection is a broken read."""

    def __init__(self, app: PipedriveApp) -> None:
        self._app = app
        self.before: Callable[[httpx.Request], None] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.before is not None:
            self.before(request)
        body = b"".join([chunk async for chunk in request.stream])  # type: ignore[union-attr]
        headers = {name.lower(): value for name, value in request.headers.raw}
        path, _, query = request.url.raw_path.partition(b"?")
        try:
            response = await self._app.handle(Request(request.method, path.decode(), query, headers, body))
        except ConnectionCutError as error:
            raise httpx.ReadError("cut") from error
        return httpx.Response(response.status, headers=[(b"content-type", response.content_type), *response.headers], content=response.body)

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> Reply:
        try:
            response = await self.handle_async_request(httpx.Request(method, url, headers=dict(headers), content=content))
            return Reply(response.status_code, response.headers, await response.aread())
        except httpx.ConnectError as error:
            raise NotSentError(type(error).__name__) from error
        except httpx.HTTPError as error:
            raise NoAnswerError(type(error).__name__) from error


@dataclass(slots=True)
class Entry:
    """What the ledger in memory knows of a record."""

    state: str = "new"
    target_id: str = ""
    parent: str = ""
    digest: str = ""
    image: bytes = b""
    pre_image: bytes = b""
    is_preexisting: bool = False
    intent_time: datetime | None = None
    asked: bytes = b""
    declined: bytes = b""
    load_time: datetime | None = None
    match_policy: str = ""
    planned: bytes = b""
    outcome: pb.RecordOutcome | None = None
    calls: list[pb.TargetCall] = field(default_factory=list)


class MemoryLedger:
    """Claims and outcomes as the real ledger keeps them, without its history."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.entries: dict[str, Entry] = {}
        self.manifest_json: dict[str, Any] = {"source_account": ACCOUNT, "bindings": {}, "target": {}}
        self.reports: list[tuple[str, datetime | None]] = []
        self.shared_calls: list[pb.TargetCall] = []
        self.claim_seconds = 60.0
        self.clock_difference = timedelta()
        self.conflict_policy = ""
        self.run_kind = "load"
        self.deletes_edited = False
        self.look_age: float | None = None
        self.lines: dict[str, bytes] = {}
        self.held: set[str] = set()
        self.moves: list[tuple[str, str, str]] = []
        self.field_policies: dict[str, str] = {}
        self.resolutions: dict[str, str] = {}
        self.lose_settles = 0
        self.begin_count = 0
        self.matches: dict[str, tuple[str, str]] = {}

    def entry(self, key: str) -> Entry:
        return self.entries.setdefault(key, Entry())

    async def begin(self, batch: MappedBatch) -> pb.BeginBatchResponse:
        if self._is_paused():
            raise PausedError("paused", metadata={"reason": self.reports[-1][0], "connection": CONNECTION})
        self.begin_count += 1
        response = pb.BeginBatchResponse(connection=CONNECTION, run_kind=self.run_kind, field_policies=self.field_policies)
        response.claim_expire_time.FromDatetime(self._clock.now() + timedelta(seconds=self.claim_seconds) + self.clock_difference)
        response.claim_duration.FromTimedelta(timedelta(seconds=self.claim_seconds))
        response.deletes_edited = self.deletes_edited or self.run_kind == "delta"
        if self.look_age is not None:
            response.look_age.FromTimedelta(timedelta(seconds=self.look_age))
        for record in batch.records:
            response.decisions.append(self._decide(record, is_undo=batch.is_undo))
            for reference in record.references:
                entry = self.entry(reference.key)
                if entry.target_id and self.run_kind == "delta":
                    referred = response.referred[reference.key]
                    referred.target_entity, referred.target_id = reference.key.partition(":")[0], entry.target_id
                    if entry.load_time is not None:
                        referred.load_time.FromDatetime(entry.load_time)
                if self.entry(reference.key).target_id:
                    response.reference_ids[reference.key] = self.entry(reference.key).target_id
        return response

    def _is_paused(self) -> bool:
        reason, resume_time = self.reports[-1] if self.reports else ("", None)
        return reason in {"TARGET_UNAUTHORIZED", "CONFIGURATION"} or (resume_time is not None and resume_time > self._clock.now())

    def resume(self) -> None:
        """A person says that it goes on."""
        self.reports.append(("", None))

    def _decide(self, record: MappedRecord, *, is_undo: bool) -> pb.RecordDecision:
        entry = self.entry(record.key)
        decision = pb.RecordDecision(
            key=record.key,
            target_id=entry.target_id,
            parent_target_id=entry.parent,
            last_image_json=entry.image,
            pre_image_json=entry.pre_image,
            conflict_policy=self.conflict_policy,
            asked_json=entry.asked,
            asked_policy=self.resolutions.get(record.key, ""),
            declined_json=entry.declined,
            guards_edits=self.run_kind == "delta" and is_undo,
            lines_json=self.lines.get(record.key, b"{}"),
        )
        if entry.load_time is not None:
            decision.load_time.FromDatetime(entry.load_time)
        if record.key in self.held:
            decision.action = pb.RECORD_ACTION_HELD
        elif is_undo:
            decision.action = self._undo_action(entry)
            decision.last_image_json = canonical_json({**orjson.loads(entry.image or b"{}"), **orjson.loads(entry.planned or b"{}")})
            others = [one for one in self.entries.values() if one is not entry and one.target_id == entry.target_id and one.pre_image]
            decision.same_target.extend(pb.SameTarget(last_image_json=one.image, pre_image_json=one.pre_image) for one in others)
        elif record.key in self.matches and entry.load_time is None:
            entry.target_id, entry.match_policy = self.matches[record.key]
            entry.is_preexisting = True
            decision.action, decision.target_id, decision.match_policy = pb.RECORD_ACTION_MATCH, entry.target_id, entry.match_policy
        elif entry.target_id:
            decision.match_policy = entry.match_policy
            decision.action = pb.RECORD_ACTION_DONE if entry.digest == record.payload_digest else pb.RECORD_ACTION_UPDATE
        elif entry.intent_time is not None:
            decision.action = pb.RECORD_ACTION_IN_DOUBT
        else:
            entry.intent_time = self._clock.now()
            decision.action = pb.RECORD_ACTION_CREATE
        if entry.intent_time is not None:
            decision.intent_time.FromDatetime(entry.intent_time)
        return decision

    @staticmethod
    def _undo_action(entry: Entry) -> pb.RecordAction.ValueType:
        if entry.state == "undone":
            return pb.RECORD_ACTION_DONE
        if not entry.target_id:
            return pb.RECORD_ACTION_IN_DOUBT if entry.intent_time is not None else pb.RECORD_ACTION_DONE
        if not entry.is_preexisting:
            return pb.RECORD_ACTION_DELETE
        return pb.RECORD_ACTION_RESTORE if entry.pre_image else pb.RECORD_ACTION_DONE

    async def settle(
        self,
        batch: MappedBatch,
        outcomes: Sequence[pb.RecordOutcome],
        shared_calls: Sequence[pb.TargetCall],
        *,
        request_id: str,
        moves: Sequence[pb.TargetMove] = (),
    ) -> bool:
        del request_id, batch
        if self.lose_settles:
            self.lose_settles -= 1
            raise SettleLostError
        self.shared_calls.extend(shared_calls)
        self._follow(moves)
        for outcome in outcomes:
            entry = self.entry(outcome.key)
            entry.outcome = outcome
            entry.calls.extend(outcome.calls)
            if outcome.result in LOADED:
                was_there = bool(entry.target_id)
                entry.is_preexisting = entry.is_preexisting if was_there else outcome.result == pb.OUTCOME_RESULT_MATCHED
                entry.state, entry.intent_time = "loaded", None
                entry.target_id, entry.parent = outcome.target_id, outcome.parent_target_id
                entry.digest, entry.image = outcome.payload_digest, outcome.image_json
                entry.asked, entry.declined, entry.load_time, entry.planned = b"", outcome.declined_json, self._clock.now(), b""
                if outcome.pre_image_json:
                    entry.pre_image = canonical_json({**orjson.loads(outcome.pre_image_json), **orjson.loads(entry.pre_image or b"{}")})
            elif outcome.result in {pb.OUTCOME_RESULT_DELETED, pb.OUTCOME_RESULT_RESTORED, pb.OUTCOME_RESULT_KEPT}:
                entry.state = "undone"
            elif outcome.result == pb.OUTCOME_RESULT_NOTED:
                entry.image, entry.declined, entry.planned = outcome.image_json or entry.image, outcome.declined_json, outcome.planned_json
                entry.pre_image = canonical_json({**orjson.loads(outcome.pre_image_json), **orjson.loads(entry.pre_image or b"{}")})
                entry.digest, entry.load_time = "", self._clock.now()
            elif outcome.result == pb.OUTCOME_RESULT_GONE:
                self.matches.pop(outcome.key, None)
                entry.target_id, entry.digest, entry.image, entry.asked = "", "", b"", b""
            elif outcome.result == pb.OUTCOME_RESULT_WAITING and entry.target_id:
                entry.asked, entry.declined = outcome.asked_json, outcome.declined_json
                entry.image = outcome.image_json or entry.image
                if outcome.is_partly_done:
                    entry.digest = ""
            elif outcome.result in {pb.OUTCOME_RESULT_REJECTED, pb.OUTCOME_RESULT_NOT_TRIED, pb.OUTCOME_RESULT_WAITING}:
                entry.intent_time = None
        return True

    def _follow(self, moves: Sequence[pb.TargetMove]) -> None:
        self.moves.extend((move.from_target_id, move.to_target_id, move.evidence) for move in moves)
        for move in moves:
            for key, entry in self.entries.items():
                if key.startswith(f"{move.target_entity}:") and entry.target_id == move.from_target_id:
                    entry.target_id = move.to_target_id

    async def links_to(self, migration_id: str, target_entity: str, target_ids: Sequence[str]) -> Sequence[Link]:
        del migration_id
        field = {"organization": "org_id", "person": "person_id", "deal": "deal_id"}[target_entity]
        found = []
        for key, entry in self.entries.items():
            end = str(orjson.loads(entry.image or b"{}").get(field, ""))
            if entry.target_id and end in target_ids:
                found.append(Link(end, key.partition(":")[0], entry.target_id, field))
        return found

    async def known_targets(self, migration_id: str, target_entity: str, target_ids: Sequence[str]) -> Mapping[str, str]:
        del migration_id
        return {entry.target_id: key for key, entry in self.entries.items() if entry.target_id in target_ids and key.startswith(f"{target_entity}:")}

    async def manifest(self, manifest_digest: str) -> Manifest:
        del manifest_digest
        return manifest_from_json(orjson.dumps(self.manifest_json))

    async def report_target(
        self, connection: str, *, reason: str = "", message: str = "", resume_time: datetime | None = None, is_quota_found: bool = False
    ) -> None:
        del connection, message
        self.reports.append((reason, resume_time))


class SettleLostError(Exception):
    """The process died between the calls and the settlement."""


class MemoryFiles:
    """Staged files in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def add(self, data: bytes) -> str:
        self.content[digest(data)] = data
        return digest(data)

    async def read_file(self, digest: str, *, first_byte: int = 0, byte_count: int | None = None) -> AsyncIterator[bytes]:
        if digest not in self.content:
            raise NotFoundError(f"files/{digest} is not in staging")
        data = self.content[digest] if byte_count is None else self.content[digest][first_byte : first_byte + byte_count]
        for begin in range(0, len(data), 7):
            yield data[begin : begin + 7]


class World:
    """Simulator, ledger, loader."""

    def __init__(self, *, limits: bool = False, **options: Any) -> None:
        self.clock = FakeClock(is_automatic=True)
        self.account = Account(
            Options(**{"token": TOKEN, "seed": 1, "limits": limits, **options}),
            clock=SandboxClock(lambda: self.clock.now().timestamp(), self.clock.monotonic),
        )
        self.app = PipedriveApp(self.account)
        self.transport = SimulatorTransport(self.app)
        self.ledger = MemoryLedger(self.clock)
        self.files = MemoryFiles()
        self.environ = {"TRANSLOAD_CONNECTION_CRM_URL": "http://pipedrive.test", "TRANSLOAD_CONNECTION_CRM_KEY": TOKEN}
        self.quota_settings = QuotaSettings(restart_wait_seconds=0.0)
        self._stack = contextlib.AsyncExitStack()
        self.restart()

    def restart(self) -> None:
        """Starts a new loader, as after a kill: nothing but ledger, staging and Pipedrive is left."""
        self.arbiter = Arbiter(settings=self.quota_settings, clock=self.clock)
        self.targets = Targets(
            http=self.transport, connections=Connections.from_env(self.environ), source=LocalSource(self.arbiter), clock=self.clock
        )
        upsert = Upsert(ledger=self.ledger, files=self.files, clock=self.clock, in_flight_max=8, grace_seconds=5.0, margin_seconds=120.0)
        self.worker = LoadWorker(ledger=self.ledger, targets=self.targets, upsert=upsert, clock=self.clock)

    @property
    def client(self) -> Any:
        return self.targets.client(CONNECTION)

    @property
    def context(self) -> CallContext:
        return CallContext(priority=Priority.VERIFY)

    def fault(self, kind: str, **rule: Any) -> None:
        self.app.faults.add([{"kind": kind, **rule}])

    def clear_faults(self) -> None:
        self.app.faults.rules.clear()

    def live(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.account.store[kind] if not record["is_deleted"] and record.get("active_flag", True)]

    async def load(self, target_entity: str, payloads: Mapping[str, Any], *, is_undo: bool = False) -> dict[str, pb.RecordOutcome | None]:
        """Loads one batch; answers the outcomes by key."""
        await self.worker.handle(batch_of(target_entity, payloads, is_undo=is_undo).SerializeToString())
        return {key: self.ledger.entry(key).outcome for key in payloads}

    async def undo(self, target_entity: str, keys: Sequence[str]) -> dict[str, pb.RecordOutcome | None]:
        """Takes records back."""
        return await self.load(target_entity, dict.fromkeys(keys), is_undo=True)


def batch_of(target_entity: str, payloads: Mapping[str, Any], *, is_undo: bool = False) -> MappedBatch:
    """Makes a batch of key → payload; None leaves the payload out."""
    records = []
    for text, payload in payloads.items():
        key = RecordKey.parse(text)
        data = b"" if payload is None else canonical_json(payload)
        record = MappedRecord(
            key=text,
            target_entity=target_entity,
            source_entity=key.source_entity,
            source_id=next(key.source_ids()),
            payload_json=data,
            payload_digest=digest(data),
        )
        record.references.extend(Reference(key=reference) for reference in sorted(set(_references(payload))))
        records.append(record)
    return MappedBatch(
        batch_id="b1",
        migration_id="m1",
        run_id="r1",
        phase=TARGET_PHASES[target_entity],
        target_entity=target_entity,
        manifest_digest="d1",
        records=records,
        is_undo=is_undo,
        attempt=1,
    )


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [value["$ref"]] if set(value) == {"$ref"} else [key for part in value.values() for key in _references(part)]
    return [key for part in value for key in _references(part)] if isinstance(value, list) else []
