"""How many events of an exported audit trail are verified in a second, against reading the same file line by line as JSON."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import orjson

from transload.audit import chain, files, merkle
from transload.audit.heads import Signer
from transload.audit.verifier import verify_file

EVENTS = 200_000
MIGRATION = "bench"
PAYLOAD = {"run_id": "run-1", "batch_id": "b" * 40, "calls": [{"operation": "POST /api/v2/persons", "status": 200, "tokens": 5}], "name": "x" * 120}


def write_trail(path: Path, signer: Signer) -> None:
    """Write a trail as the ledger exports it, with payloads of the size events of a load have."""
    previous, peaks = chain.FIRST_PREVIOUS_HASH, list[bytes]()
    payload = orjson.dumps(PAYLOAD, option=orjson.OPT_SORT_KEYS)
    with path.open("wb") as file:
        file.write(files.export_line(MIGRATION))
        for sequence in range(1, EVENTS + 1):
            salt = os.urandom(16)
            event: dict[str, str | int] = {
                "sequence": sequence,
                "event_time": "2026-01-01T12:30:15.123456Z",
                "kind": "record.created",
                "actor": "loader-1",
                "key": f"person:client/{sequence}",
                "source_key": f"client/{sequence}",
                "target_id": str(sequence),
                "result": "created",
                "payload_digest": chain.payload_digest(salt, payload),
                "previous_hash": previous,
            }
            previous = chain.event_hash({**event, "migration_id": MIGRATION})
            merkle.grow(peaks, sequence - 1, bytes.fromhex(previous))
            file.write(files.event_line({**event, "hash": previous, "payload_salt": salt.hex()}, payload))
        root = merkle.root_of_peaks(peaks).hex()
        file.write(files.head_line(signer.sign(MIGRATION, EVENTS, root, previous, "2026-01-01T12:30:15.123456Z")))


async def run() -> dict[str, float]:
    """Measure once each, in the same process."""
    signer = Signer.generate()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trail.jsonl"
        write_trail(path, signer)
        began = time.process_time()
        with path.open("rb") as file:
            for line in file:
                orjson.loads(line)
        reading = time.process_time() - began
        began = time.process_time()
        verdict = verify_file(path, signer.public_key)
        verifying = time.process_time() - began
    assert verdict.is_whole, verdict.message
    return {
        "events verified a second of CPU": EVENTS / verifying,
        "events read as JSON a second of CPU": EVENTS / reading,
        "ratio": reading / verifying,
    }
