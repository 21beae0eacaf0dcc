"""What the loader must know of a kind of record in Pipedrive: fields and their spelling, and how to create, read, change, list and delete it."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from services.common.edits import CUSTOM_PREFIX
from services.common.errors import TargetRejectedError
from services.loader import canonical
from services.loader.pipedrive import lists
from services.loader.pipedrive.errors import GoneError, OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from datetime import datetime

    from services.loader.canonical import Image, Normalise
    from services.loader.pipedrive.client import CallContext, PipedriveClient
    from services.loader.pipedrive.lists import Raw

# Reading one by one costs 1 token each, a list of up to 100 costs 10 (API.md 2.2): from ten on the list is not dearer, and one request.
LIST_FROM: Final = 10


@dataclass(frozen=True, slots=True)
class Found:
    """A record in Pipedrive.

    Attributes:
        target_id: its id.
        image: canonical image, all fields.
        raw: as it was answered.
        parent_id: id of the record it hangs on, where the API needs it.
    """

    target_id: str
    image: Image
    raw: Raw
    parent_id: str = ""


@dataclass(frozen=True, slots=True)
class Entity:
    """A kind of record with an id of its own.

    Attributes:
        name: target entity.
        operations: prefix of its operations in the cost table.
        fields: writable fields and how each is normalised.
        create_only: fields Pipedrive takes on create only.
        cleared: what to send to clear a field, where it is not null.
        unclearable: fields that cannot be cleared.
        fingerprint: fields that together tell a record from others when there is no external id; empty: there is one.
        has_ids_filter: its listing takes `ids=`.
        companions: field → field that Pipedrive wants to be sent along with it.
        falls_with: field → field with whose change it loses what stood in it, although nobody sent it (assumed: a deal that is won has no time and
            reason of its loss any more).
    """

    name: str
    operations: str
    fields: Mapping[str, Normalise]
    create_only: frozenset[str] = frozenset()
    cleared: Mapping[str, Any] = field(default_factory=dict)
    unclearable: frozenset[str] = frozenset()
    fingerprint: tuple[str, ...] = ()
    has_ids_filter: bool = True
    companions: Mapping[str, str] = field(default_factory=dict)
    falls_with: Mapping[str, str] = field(default_factory=dict)

    update_time_fields: ClassVar[tuple[str, ...]] = ("update_time", "add_time")

    def image(self, raw: Mapping[str, Any]) -> Image:
        """Answers the canonical image of a body, a record or an image."""
        return canonical.image(raw, self.fields)

    def found(self, raw: Raw) -> Found:
        """Answers a record of an answer as `Found`."""
        return Found(target_id=str(raw["id"]), image=self.image(raw), raw=raw)

    def body(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Answers the request body of a create."""
        return {name: value for name, value in payload.items() if not name.startswith("$")}

    def patch_body(self, changes: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Answers the smallest body that makes `changes`.

        Args:
            changes: field of the image → new value in the API's shape, None to clear.
            wanted: all values the record shall have, for fields that only go together.
        """
        del wanted
        body: dict[str, Any] = {}
        for name, value in changes.items():
            if name.startswith(CUSTOM_PREFIX):
                body.setdefault(canonical.CUSTOM, {})[name.removeprefix(CUSTOM_PREFIX)] = value
            else:
                body[name] = self.cleared.get(name) if value is None else value
        return body

    def can_clear(self, name: str, wanted: Mapping[str, Any]) -> bool:
        """Answers whether a field can be emptied in a record that shall have the values `wanted`."""
        del wanted
        return name not in self.unclearable

    async def create(self, client: PipedriveClient, context: CallContext, payload: Mapping[str, Any]) -> Found:
        """Creates a record. Raises OutcomeUnknownError, TargetRejectedError, RateLimitedError."""
        answer = await client.call(f"{self.operations}.create", context, body=self.body(payload))
        return self.created(answer.data)

    async def update(self, client: PipedriveClient, context: CallContext, found: Found, body: Mapping[str, Any]) -> None:
        """Changes fields of a record."""
        await client.call(f"{self.operations}.update", context, ids={"id": found.target_id}, body=body)

    async def delete(self, client: PipedriveClient, context: CallContext, target_id: str, parent_id: str = "") -> None:
        """Deletes a record; one that is gone already is deleted."""
        del parent_id
        try:
            await client.call(f"{self.operations}.delete", context, ids={"id": target_id})
        except GoneError:
            return

    async def read(self, client: PipedriveClient, context: CallContext, target_ids: Sequence[str]) -> dict[str, Found]:
        """Reads records by id the cheapest way; those that are not there are left out."""
        if self.has_ids_filter and len(target_ids) >= LIST_FROM:
            found = {}
            async for page in lists.by_ids(client, f"{self.operations}.list", context, target_ids):
                found.update({str(raw["id"]): self.found(raw) for raw in page if self.is_live(raw)})
            return found
        one_by_one = {}
        for target_id in target_ids:
            if (record := await self.read_one(client, context, target_id)) is not None:
                one_by_one[target_id] = record
        return one_by_one

    async def read_one(self, client: PipedriveClient, context: CallContext, target_id: str) -> Found | None:
        """Reads one record; None when it is not there."""
        try:
            answer = await client.call(f"{self.operations}.get", context, ids={"id": target_id})
        except GoneError:
            return None
        return self.found(answer.data) if isinstance(answer.data, dict) and self.is_live(answer.data) else None

    async def scan(self, client: PipedriveClient, context: CallContext, *, since: datetime | None = None) -> AsyncGenerator[list[Found], None]:
        """Yields live records in pages: the newest first and only those changed at or after `since`, or all by rising id."""
        query: dict[str, str | int] = {"sort_by": "id", "sort_direction": "asc"}
        if since is not None:
            query = {"sort_by": "id", "sort_direction": "desc", "updated_since": stamp(since)}
        async with aclosing(lists.by_cursor(client, f"{self.operations}.list", context, query)) as pages:
            async for page in pages:
                yield [self.found(raw) for raw in page if self.is_live(raw)]

    async def scan_changed(self, client: PipedriveClient, context: CallContext, since: datetime) -> AsyncGenerator[list[Found], None]:
        """Yields live records changed at or after `since`."""
        query: dict[str, str | int] = {"sort_by": "id", "sort_direction": "asc", "updated_since": stamp(since)}
        async with aclosing(lists.by_cursor(client, f"{self.operations}.list", context, query)) as pages:
            async for page in pages:
                yield [self.found(raw) for raw in page if self.is_live(raw)]

    def is_live(self, raw: Raw) -> bool:
        """Whether a record answered is not in the trash."""
        return not raw.get("is_deleted") and raw.get("active_flag") not in {False, "false"}

    def created(self, data: Any) -> Found:
        """Reads the answer of a create, without its image: what counts is what was sent. Raises OutcomeUnknownError when it names no id."""
        if not isinstance(data, dict) or not data.get("id"):
            raise OutcomeUnknownError(f"Pipedrive's answer to {self.operations}.create names no id", is_answered=True)
        return Found(target_id=str(data["id"]), image={}, raw=data)


@dataclass(frozen=True, slots=True)
class OffsetEntity(Entity):
    """A kind of record only version 1 knows: offsets instead of cursors, no `ids=`."""

    page_size: int = lists.PAGE_MAX

    async def read(self, client: PipedriveClient, context: CallContext, target_ids: Sequence[str]) -> dict[str, Found]:
        """Reads records one by one: version 1 has no other way short of a scan."""
        found = {}
        for target_id in target_ids:
            if (record := await self.read_one(client, context, target_id)) is not None:
                found[target_id] = record
        return found

    async def scan(self, client: PipedriveClient, context: CallContext, *, since: datetime | None = None) -> AsyncGenerator[list[Found], None]:
        """Yields live records in pages; with `since` the newest first, ending with the first page that is all older."""
        query: dict[str, str | int] = {"sort": "id ASC" if since is None else "id DESC"}
        border = "" if since is None else stamp(since)
        async with aclosing(lists.by_offset(client, f"{self.operations}.list", context, query, page_size=self.page_size)) as pages:
            async for page in pages:
                yield [self.found(raw) for raw in page if self.is_live(raw)]
                if border and all(self._changed(raw) < border for raw in page):
                    return

    async def scan_changed(self, client: PipedriveClient, context: CallContext, since: datetime) -> AsyncGenerator[list[Found], None]:
        """Yields live records, the last changed first, up to those changed before `since`."""
        border, name = stamp(since), f"{self.operations}.list"
        async with aclosing(lists.by_offset(client, name, context, {"sort": "update_time DESC"}, page_size=self.page_size)) as pages:
            async for page in pages:
                times = [canonical.time(raw.get("update_time") or raw.get("add_time") or "9999") for raw in page]
                yield [self.found(raw) for raw, time in zip(page, times, strict=True) if time >= border and self.is_live(raw)]
                if times[-1] < border:
                    return

    def _changed(self, raw: Raw) -> str:
        return max((canonical.time(raw[name]) for name in self.update_time_fields if raw.get(name)), default="9999")


def stamp(moment: datetime) -> str:
    """Writes a time for `updated_since`: whole seconds only, a fraction is a 400 (API.md 3.2)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def required(payload: Mapping[str, Any], name: str) -> Any:
    """Answers a value the entity cannot do without. Raises TargetRejectedError."""
    value = payload.get(name)
    if value is None:
        raise TargetRejectedError(f"the record has no {name}", reason="VALUE_MISSING")
    return value
