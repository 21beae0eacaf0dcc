"""Learns from a running installation what there is to be attacked: methods from the descriptors, values from the ledger's database and the API."""

from __future__ import annotations

import importlib
import json
import pkgutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import nats
from google.protobuf import message_factory
from grpc import aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sqlalchemy import inspect, text

import transload.v1
from services.common.streams import STREAMS
from services.ledger.sql.engine import opened
from tests.fuzz.requests import Known
from transload.v1 import records_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from google.protobuf.descriptor import Descriptor, MethodDescriptor
    from nats.aio.msg import Msg
    from sqlalchemy import Connection, TextClause

MESSAGES: Final = {"RAW": records_pb2.PageAnnouncement.DESCRIPTOR, "MAPPED": records_pb2.MappedBatch.DESCRIPTOR}
"""What travels on each stream."""
_VALUES_MAX: Final = 6
_PACKAGE: Final = "transload.v1."
_SYNONYMS: Final = {
    "digest": ("manifest_digest", "mapping_digest", "diff_digest", "base_digest", "selection_digest", "payload_digest", "manifest_digest"),
    "review_item_id": ("review_item_ids",),
    "source_connection": ("connection",),
    "target_connection": ("connection",),
    "key": ("keys", "fallback_key", "group"),
    "source_key": ("source_keys",),
    "source_id": ("source_ids",),
    "target_id": ("target_ids", "first_target_id", "from_target_id", "to_target_id", "parent_ids", "parent_target_id", "candidate"),
    "entity": ("entities", "source_entity", "target_entity"),
    "target_entity": ("entity",),
    "image": ("image_json", "pre_image_json", "planned_json", "asked_json", "payload_json"),
    "mapping_yaml": ("mapping_yaml", "overrides_yaml", "mapping_overrides_yaml"),
    "cursor": ("next_cursor", "page_token"),
}
_DOCUMENTS: Final = frozenset({"mapping_yaml", "options", "image", "image_json", "pre_image_json", "planned_json", "payload_json", "asked_json"})


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a service, and where it is served."""

    path: str
    address: str
    request: Descriptor
    response: Descriptor
    is_stream: bool


def described_services() -> dict[str, Any]:
    """Return every service of the contracts by its full name."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(transload.v1.__path__):
        if module.name.endswith("_pb2"):
            descriptor = importlib.import_module(f"transload.v1.{module.name}").DESCRIPTOR
            found |= {service.full_name: service for service in descriptor.services_by_name.values()}
    return found


async def served_methods(addresses: Mapping[str, str]) -> list[Method]:
    """Return every method the processes say they serve; health and reflection are the libraries' own."""
    services = described_services()
    found: list[Method] = []
    for address in addresses.values():
        found += [_method(one, address) for name in await _listed(address) if name.startswith(_PACKAGE) for one in services[name].methods]
    return sorted(found, key=lambda method: method.path)


def _method(method: MethodDescriptor, address: str) -> Method:
    path = f"/{method.containing_service.full_name}/{method.name}"
    return Method(path, address, method.input_type, method.output_type, method.server_streaming)


async def _listed(address: str) -> list[str]:
    async with aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10
        )
        async for answer in call:
            return [one.name for one in answer.list_services_response.service]
    return []


async def learn_values(known: Known, database_url: str, methods: list[Method], migration_id: str, connections: tuple[str, str]) -> None:
    """Learn what the ledger holds, by the name of the field it fits in."""
    known.add("migration_id", migration_id)
    known.add("connection", *connections)
    known.add("connector", "stel_order", "results")
    known.add("actor", "fuzz@example.com")
    known.add("request_id", "7b0d7d8e-7a52-4b4e-8f0e-1d3c7c8a9b10")
    known.add("day", "2026-11-22")
    known.add("holder", "loader-1/abc")
    known.add("reason", "CONFLICT", "OWNER_UNMATCHED", "TARGET_REJECTED")
    known.add("resolution", "retry", "skip", "accept", "keep_target")
    known.add("state", "loaded", "waiting")
    known.add("kind", "value", "missing")
    known.add("conflict_policy", "ask", "source", "target")
    for name in ("options_json", "connector_json"):
        known.documents[name] = [b'{"plan": "basic", "calls_per_minute": 0, "calls_per_day": 0, "time_zone": "Europe/Madrid"}']
    await _from_database(known, database_url)
    await _from_api(known, methods, migration_id, connections[1])


async def _from_database(known: Known, database_url: str) -> None:
    async with opened(database_url) as database, database.read() as run:
        columns = await run(lambda one: {table: [c["name"] for c in inspect(one).get_columns(table)] for table in inspect(one).get_table_names()})
        for table, names in columns.items():
            for name in names:
                query = text(f'SELECT DISTINCT "{name}" FROM {table} WHERE "{name}" IS NOT NULL LIMIT {_VALUES_MAX}')  # noqa: S608 - names of the schema
                for value in await run(partial(_column, query=query)):
                    _learn(known, name, value)


def _column(connection: Connection, *, query: TextClause) -> list[Any]:
    return [row[0] for row in connection.execute(query)]


def _learn(known: Known, name: str, value: Any) -> None:
    if not isinstance(value, str | bytes) or not value:
        return
    raw = value.encode() if isinstance(value, str) else value
    for field in (name, *_SYNONYMS.get(name, ())):
        if field in _DOCUMENTS:
            if raw.lstrip()[:1] in {b"{", b"["} or "yaml" in field:
                known.documents.setdefault(field, []).append(raw)
        else:
            known.add(field, raw)


@asynccontextmanager
async def overheard(nats_url: str, known: Known, most: int = 40) -> AsyncIterator[None]:
    """Learn the messages that go over the streams while the block runs."""
    client = await nats.connect(nats_url)

    async def learn(message: Msg) -> None:
        descriptor = MESSAGES[message.subject.partition(".")[0].upper()]
        found = known.messages.setdefault(descriptor.full_name, [])
        if len(found) < most and message.data not in found:
            found.append(message.data)

    try:
        for stream in STREAMS:
            await client.subscribe(stream.subjects, cb=learn)
        await client.flush()
        yield
    finally:
        await client.close()


async def _from_api(known: Known, methods: list[Method], migration_id: str, target: str) -> None:
    """Page tokens of every list, and the target as `InspectTarget` answers it."""
    for method in methods:
        fields = {one.name for one in method.request.fields}
        if "page_token" in fields and not method.is_stream:
            request = message_factory.GetMessageClass(method.request)()
            for name, value in (("migration_id", migration_id), ("page_size", 1)):
                if name in fields:
                    setattr(request, name, value)
            answer = await _ask(method, request)
            if answer is not None:
                known.add("page_token", getattr(answer, "next_page_token", ""))
        if method.path.endswith("/InspectTarget"):
            answer = await _ask(method, message_factory.GetMessageClass(method.request)(connection=target))
            if answer is not None:
                known.documents["target_json"] = [answer.target_json]
                assert json.loads(answer.target_json)


async def _ask(method: Method, request: Any) -> Any:
    async with aio.insecure_channel(method.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = channel.unary_unary(
            method.path,
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.response).FromString,
        )
        try:
            return await call(request, timeout=10)
        except aio.AioRpcError:
            return None
