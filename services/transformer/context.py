"""What a rule sees while it maps one record: the record, the snapshot, and where it leaves references and remarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from services.transformer.snapshot.envelope import Envelope
    from services.transformer.snapshot.lookup import Lookup
    from transload.v1.records_pb2 import Reference


class Remark(NamedTuple):
    """Something a person should look at although the record goes on."""

    reason: str
    message: str


class Lineage(NamedTuple):
    """Where one target field's value came from."""

    field: str
    label: str
    source_path: str
    source_value: Any
    mapped_value: Any
    rule: str


@dataclass(slots=True)
class Context:
    """One record on its way through the rules.

    Attributes:
        element: the current element of a target's `for_each` list, reachable by its alias.
        payload: target fields filled so far, custom fields left out.
        references: references made so far, by key.
        remarks: flags raised so far, each once.
        trace: collects lineage when it is a list.
        memo: where links led, shared by all contexts of one record.
        is_released: a person said that the mapped record is to move without the references that are not found.
    """

    envelope: Envelope
    lookup: Lookup
    element: Any = None
    payload: dict[str, Any] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)
    remarks: dict[Remark, None] = field(default_factory=dict)
    trace: list[Lineage] | None = None
    memo: dict[tuple[str, str, str], Any] = field(default_factory=dict)
    is_released: bool = False

    def remark(self, reason: str, message: str) -> None:
        """Raise a flag; the same one twice is one."""
        self.remarks[Remark(reason, message)] = None


REFERENCE_MISSING: Final = "REFERENCE_MISSING"


class RecordProblem(Exception):  # noqa: N818 - not a failure of the program but what becomes of a record
    """The record cannot be mapped.

    Attributes:
        is_final: True: rejected for good; False: it waits for a person.
        reason: `ErrorReason` name without prefix.
        message: what is wrong with which field and what to do.
    """

    def __init__(self, reason: str, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.is_final = is_final


class LeaveOut(Exception):  # noqa: N818 - a decision of the mapping
    """This mapped record is left out, with a remark."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
