"""The seam between an extraction and a source system.

A connector reads one kind of source and keeps no state between calls: where it stands is in the cursor, what it may spend is behind the gate,
what it read before is in the frozen pages. Every connector passes the suite in `tests/contract/connectors`.

    SourceError
    ├── EntityForbiddenError   this entity cannot be read with this key; the others can
    ├── EntityMalformedError   this entity answers what it must not; the others go on
    └── SourceStoppedError     the source serves this account no more

    FileError
    ├── FileMissingError       this file cannot be had
    ├── FileBrokenOffError     not this time; another try may
    └── FileRefusedError       the source wants a pause first
"""

import enum
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any, ClassVar, NewType, Protocol, runtime_checkable

import httpx

from services.common.clock import Clock
from services.common.connections import Connection, ConnectionParts
from services.common.errors import PermanentError, PreconditionError

Cursor = NewType("Cursor", str)
"""An opaque position in an entity's listing; empty means the start, or after the last page the end."""

START = Cursor("")
END = Cursor("")


class EntityForbiddenError(PermanentError):
    """The key has no right to read this entity, or the source does not have it."""

    default_reason: ClassVar[str] = "SOURCE_FORBIDDEN"


class EntityMalformedError(PermanentError):
    """The source answered something its interface does not promise."""

    default_reason: ClassVar[str] = "SOURCE_MALFORMED"


class SourceStoppedError(PreconditionError):
    """The source serves this account no more (trial over); a person must see to it."""

    default_reason: ClassVar[str] = "SOURCE_FORBIDDEN"


class FileError(Exception):
    """A file could not be opened or read. Its message is logged: it holds nothing of the link."""


class FileMissingError(FileError):
    """The file cannot be had: it is gone, or this login may not read it."""


class FileBrokenOffError(FileError):
    """The file did not come to its end; another try may."""


class FileRefusedError(FileError):
    """The source refused the call for one of its limits."""

    def __init__(self, refusal: "Refusal") -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Refusal(enum.StrEnum):
    """Which of the source's limits a refused call had passed."""

    MINUTE = "minute"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class SourceEntity:
    """One kind of source object."""

    name: str
    source_name: str
    is_reference_data: bool = False
    has_files: bool = False
    is_unrepeated: bool = False
    """No row comes twice in one reading, so that nothing need be remembered of those that came."""


@dataclass(frozen=True, slots=True)
class FileLink:
    """Where a file's bytes are: an address only the connector that made it understands.

    It may be a bearer secret, so it is neither shown, logged nor kept.
    """

    url: str = field(repr=False)
    name: str
    """Name without extension where that is not known."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that is open for reading."""

    chunks: AsyncIterator[bytes]
    """Its bytes, once. Raises `FileError`."""
    name: str = ""
    """As the source calls it; empty: as the link says."""
    content_type: str = ""
    byte_count: int | None = None
    """As the source announces it; None: not said."""


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One object exactly as the source gave it."""

    source_id: str
    data: Mapping[str, Any]
    is_deleted: bool = False
    is_archived: bool = False
    link: FileLink | None = None
    """The file to download, for entities of files; None there means the source names no place."""
    references: tuple[str, ...] = ()
    """Fields that hold ids of other records, where their names do not tell (`-id`, `_id`, `Id` at the end do)."""


@dataclass(frozen=True, slots=True)
class SourcePage:
    """What one read returned, with the positions before and after it."""

    cursor: Cursor
    next_cursor: Cursor
    records: tuple[RawRecord, ...]


@dataclass(frozen=True, slots=True)
class ReadScope:
    """What of an entity is wanted."""

    changed_since: datetime | None = None
    """Only what changed at or after this time; None: everything."""
    includes_archived: bool = False
    """Only decides which files are fetched: archived records themselves are always read, and counted."""
    includes_deleted: bool = False
    """The same for deleted records."""


class FindingSeverity(enum.StrEnum):
    """How grave a finding is."""

    STOP = "STOP"
    """The entity, or without one everything, cannot be read until a person decides or mends it."""
    WARNING = "WARNING"
    INFO = "INFO"


@dataclass(frozen=True, slots=True)
class SourceFinding:
    """Something a person should know, or mend in the source, before anything moves."""

    code: str
    severity: FindingSeverity
    message: str
    entity: str = ""
    """Empty: the whole source."""
    path: str = ""
    column: str = ""
    count: int = 0
    samples: Sequence[str] = ()
    option: str = ""
    """The connector option that decides."""


@runtime_checkable
class ContentChecker(Protocol):
    """A connector that can look at everything before it is read."""

    async def check_content(self) -> Sequence[SourceFinding]:
        """Look at everything once; answers what a person should know."""
        ...


@dataclass(frozen=True, slots=True)
class FrozenPage:
    """A page this migration has in staging already."""

    sequence: int
    envelopes: Sequence[Mapping[str, Any]]
    """`{"id", "is_deleted", "is_archived", "data"}` and for files `"file"`."""


class FrozenPages(Protocol):
    """The pages read so far, for entities that are derived from others."""

    def read(self, entity: str, *, from_sequence: int = 0, of_all_extractions: bool = False) -> AsyncIterator[FrozenPage]:
        """Yield the pages of an entity in this extraction, or in all of the migration, by sequence, one in memory at a time."""
        ...


class CallGate(Protocol):
    """What stands between a connector and its source: every call passes it, every refusal and outage is waited out in it."""

    async def enter(self) -> None:
        """Take one call from the budget, waiting until there is one."""
        ...

    async def refused(self, refusal: Refusal) -> None:
        """Wait until the limit the source named allows calls again."""
        ...

    async def outage(self, attempt: int, problem: str) -> None:
        """Wait before repeating a call that got no usable answer; `attempt` counts from 1.

        Raises:
            UnavailableError: Where waiting is not wanted (a check of the connection).
        """
        ...


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What a source's plan allows."""

    plan: str
    calls_per_minute: int
    """0: no limit."""
    calls_per_day: int
    """0: no limit."""
    day_zone: tzinfo
    """The time zone in which the source's day turns over."""
    counts_files: bool = True
    """Whether a download counts as a call."""


class Connector(Protocol):
    """Reads one kind of source. Keeps no state between calls."""

    async def check(self) -> None:
        """Prove that the credentials can read, with at most two calls.

        Raises:
            UnauthorizedError: The source refused the key.
            UnavailableError: It does not answer.
        """
        ...

    def read(self, entity: str, cursor: Cursor, scope: ReadScope) -> AsyncGenerator[SourcePage, None]:
        """Yield pages from `cursor` on; a row may come twice, none is left out. The last page has the cursor `END` after it.

        Raises:
            EntityForbiddenError: The key may not read it.
            EntityMalformedError: It cannot be read from this position.
            UnauthorizedError: The source refused the key.
        """
        ...

    async def list_entities(self) -> Sequence[SourceEntity]:
        """Answer what this account has, in the order it is read: what others refer to comes first.

        Raises:
            UnauthorizedError: The source refused the key.
        """
        ...

    def open_file(self, link: FileLink) -> AbstractAsyncContextManager[SourceFile]:
        """Open a file for reading; it closes when the block ends.

        Raises:
            FileError: It cannot be opened.
        """
        ...

    async def count_files(self, entity: str, scope: ReadScope) -> int | None:
        """Count the files an entity will download, from what was read before and without a call; None if that cannot be known."""
        ...

    def version(self, entity: str, data: Mapping[str, Any]) -> str:
        """Say which version of a record this is, so that the same row read twice is kept once; empty if the source does not tell."""
        ...


class ClientFactory(Protocol):
    """Makes HTTP clients for sources."""

    def __call__(self, headers: Mapping[str, str], *, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:
        """Make a client that can do nothing but GET and the reading calls of `platform`, with these headers on every call."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What a connector is given to work with."""

    connection: Connection
    options: Mapping[str, Any]
    gate: CallGate
    frozen: FrozenPages
    clock: Clock
    http_client: ClientFactory


class ConnectorType(Protocol):
    """How a kind of source is known before it is connected to."""

    name: ClassVar[str]
    entities: ClassVar[tuple[SourceEntity, ...]]
    """What is known before connecting, in the order it is read; an account may have more or less (`Connector.list_entities`)."""
    connection_parts: ClassVar[ConnectionParts]
    """What a connection must hold beside the URL."""

    @staticmethod
    def limits(options: Mapping[str, Any]) -> CallLimits:
        """Answer the plan's limits. Raises InvalidRequestError for options that make no sense."""
        ...

    @staticmethod
    def connect(context: ConnectorContext) -> AbstractAsyncContextManager[Connector]:
        """Open the connector; its connections close when the block ends."""
        ...


WaitReport = Callable[[str, str, datetime], Awaitable[None]]
"""Tells people that reading waits: reason, message, and the time it goes on."""
