"""Cuts mapped records into batches: one phase and target entity each, at most 100 records and 512 KiB, groups together, ids that never change."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from services.common.phases import phase_name
from transload.v1 import ledger_service_pb2, records_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECORDS_MAX: Final = 100
BATCH_BYTES_MAX: Final = 512 * 1024
_FRAME_BYTES: Final = 2 * 1024
"""Room for the batch's own fields."""


def cut(announcement: records_pb2.PageAnnouncement, records: Iterable[records_pb2.MappedRecord]) -> list[records_pb2.MappedBatch]:
    """Make the batches that answer an announcement, in an order that depends on the records alone."""
    by_target: dict[str, list[records_pb2.MappedRecord]] = {}
    for record in records:
        by_target.setdefault(record.target_entity, []).append(record)
    batches = []
    for target_entity in sorted(by_target):
        for number, chunk in enumerate(_chunks(by_target[target_entity])):
            batch_id = f"{announcement.run_id}/{announcement.page.page_id}/{phase_name(announcement.phase)}/{target_entity}/{number}"
            batches.append(
                records_pb2.MappedBatch(
                    batch_id=batch_id,
                    migration_id=announcement.migration_id,
                    run_id=announcement.run_id,
                    phase=announcement.phase,
                    target_entity=target_entity,
                    manifest_digest=announcement.manifest_digest,
                    records=chunk,
                    attempt=announcement.attempt,
                )
            )
    return batches


def each_key_once(
    records: list[records_pb2.MappedRecord],
) -> tuple[list[records_pb2.MappedRecord], list[ledger_service_pb2.RecordIssue]]:
    """Answer the records without those whose key another one before them has, and an issue for each of those.

    Two source records can come to one key (part 2 of record 1, and record 1/2), and so can two parts of one record. The ledger holds one record
    under a key: the second would be lost there, unseen.
    """
    owners: dict[str, records_pb2.MappedRecord] = {}
    kept: list[records_pb2.MappedRecord] = []
    refused: list[ledger_service_pb2.RecordIssue] = []
    for record in records:
        owner = owners.setdefault(record.key, record)
        if owner is record:
            kept.append(record)
        else:
            refused.append(_refusal(record, owner))
    return kept, refused


def _refusal(record: records_pb2.MappedRecord, owner: records_pb2.MappedRecord) -> ledger_service_pb2.RecordIssue:
    source_key, owner_key = (f"{one.source_entity}/{one.source_id}" for one in (record, owner))
    if source_key == owner_key:
        message = f"two parts of this record have the key {record.key}, and only the first was moved: tell them apart by `part` in the mapping"
    else:
        message = f"{record.key} is the key of what {owner_key} becomes, so this record was not moved under it: give it another id in the source"
    return ledger_service_pb2.RecordIssue(kind=ledger_service_pb2.ISSUE_KIND_REJECTED, source_key=source_key, reason="DUPLICATE_KEY", message=message)


def _chunks(records: list[records_pb2.MappedRecord]) -> Iterator[list[records_pb2.MappedRecord]]:
    """Fill chunks with whole groups; a group that is too big for one chunk is cut where it must be. Records without a group stand alone."""
    chunk: list[records_pb2.MappedRecord] = []
    size = _FRAME_BYTES
    for group, members in groupby(enumerate(records), key=lambda pair: pair[1].group or pair[0]):
        of_group = [(record, _size(record)) for _, record in members]
        group_size = sum(needed for _, needed in of_group)
        if chunk and isinstance(group, str) and (len(chunk) + len(of_group) > RECORDS_MAX or size + group_size > BATCH_BYTES_MAX):
            yield chunk
            chunk, size = [], _FRAME_BYTES
        for record, needed in of_group:
            if chunk and (len(chunk) == RECORDS_MAX or size + needed > BATCH_BYTES_MAX):
                yield chunk
                chunk, size = [], _FRAME_BYTES
            chunk.append(record)
            size += needed
    if chunk:
        yield chunk


def _size(record: records_pb2.MappedRecord) -> int:
    return record.ByteSize() + 8
