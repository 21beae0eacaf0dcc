"""Records a second from page to settled outcome, against a bare client loop that posts the same bodies; and tokens against the least possible.

The loop sends what the load sent (recorded by the simulator), to the same simulator, with the same concurrency and the same HTTP client
library, and does nothing else: no ledger, no claims, no quota, no mapping. It is the most that this machine can do.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import httpx
from httpx_aiohttp import AiohttpTransport

from bench.installation import MIGRATION_ID, installation

CLIENT_COUNT = 600
CONCURRENCY = 16


async def run() -> dict[str, float]:
    """Measures one load."""
    async with installation(client_count=CLIENT_COUNT) as bench:
        recording = bench.folder / "writes.jsonl"
        await bench.prepare()
        await bench.target.control("POST", "recording", {"file": str(recording)})
        before = await bench.client.get_summary(MIGRATION_ID)
        load = await bench.step(bench.client.start_load)
        after = await bench.client.get_summary(MIGRATION_ID)
        await bench.target.control("POST", "recording", {"file": ""})
        record_count = sum(target.loaded_count for target in after.targets) - sum(target.loaded_count for target in before.targets)
        seconds = (load.end_time.ToDatetime() - load.start_time.ToDatetime()).total_seconds()
        writes = [json.loads(line) for line in recording.read_text(encoding="utf-8").splitlines()]
        token = (bench.folder / "connections" / "target" / "key").read_text().strip()
        bare_seconds = await _replay(writes, bench.target.url, token)
        least = sum(write["tokens"] for write in writes if write["status"] < 400)  # noqa: PLR2004 - what was refused was not needed
    rate, bare_rate = record_count / seconds, record_count / bare_seconds
    return {
        "records loaded": record_count,
        "calls that wrote": len(writes),
        "load, records/s": rate,
        "bare loop, the same writes, records/s": bare_rate,
        "ratio load / bare loop (goal 0.5)": rate / bare_rate,
        "tokens spent": load.token_count,
        "tokens of the writes alone": least,
        "ratio spent / least (goal 1.05)": load.token_count / least,
    }


async def _replay(writes: list[dict[str, Any]], url: str, token: str) -> float:
    """Sends the recorded writes with a bare loop; answers the seconds it took."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for write in writes:
        queue.put_nowait(write)
    async with httpx.AsyncClient(transport=AiohttpTransport(), base_url=url, headers={"x-api-token": token}, timeout=60.0, trust_env=False) as client:

        async def work() -> None:
            while not queue.empty():
                write = queue.get_nowait()
                body = base64.b64decode(write["body"])
                response = await client.request(write["method"], write["path"], content=body, headers={"content-type": write["content_type"]})
                assert response.status_code == write["status"], response.text

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
        return time.perf_counter() - began
