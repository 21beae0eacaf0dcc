"""Cuts mapped records into batches: one phase and target entity each, at most 100 records and 512 KiB, groups together, ids that never change."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from services.common.phases import phase_name
from transload.v1 import records_pb2

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
