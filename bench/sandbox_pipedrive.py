"""Measures how many records a second the Pipedrive simulator creates: `python bench/sandbox_pipedrive.py [--db] [COUNT]`.

Prints creates a second as seen by the client, and creates for each second of CPU time the simulator used. The second number
is what one core can do; the first shares the machine with the client.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

CONCURRENCY = 32
COUNT_DEFAULT = 10_000
_START_SECONDS = 15


def _body(number: int) -> dict[str, object]:
    return {
        "name": f"Person {number}",
        "emails": [{"value": f"person{number}@example.com", "primary": True, "label": "work"}],
        "phones": [{"value": f"+34 600 {number:06d}"}],
        "label_ids": [],
        "add_time": "2024-01-02T03:04:05Z",
    }


async def _create(url: str, count: int) -> float:
    numbers = iter(range(count))

    async with aiohttp.ClientSession(headers={"x-api-token": "bench"}) as session:

        async def worker() -> None:
            for number in numbers:
                async with session.post(f"{url}/api/v2/persons", json=_body(number)) as answer:
                    assert answer.ok, await answer.text()
                    await answer.read()

        start = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
        return time.perf_counter() - start


def measure(count: int, *, durable: bool) -> tuple[float, float]:
    """Create `count` persons in a fresh simulator and return creates a second of wall time and of the simulator's CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        address_file = Path(folder) / "address"
        command = [
            sys.executable,
            "-m",
            "sandbox.pipedrive",
            "--port",
            "0",
            "--address-file",
            str(address_file),
            "--token",
            "bench",
            "--limits",
            "off",
        ]
        if durable:
            command += ["--db", str(Path(folder) / "account.db")]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - our own module
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not address_file.exists():
                assert time.monotonic() < deadline, "the simulator did not start"
                time.sleep(0.05)
            used = psutil.Process(process.pid)
            before = sum(used.cpu_times()[:2])
            elapsed = asyncio.run(_create(address_file.read_text(encoding="utf-8").strip(), count))
            return count / elapsed, count / (sum(used.cpu_times()[:2]) - before)
        finally:
            process.terminate()
            process.wait()


def main() -> None:
    """Print the figures."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--db"]
    count = int(arguments[0]) if arguments else COUNT_DEFAULT
    for durable in [True] if "--db" in sys.argv else [False, True]:
        wall, core = measure(count, durable=durable)
        print(f"sandbox.pipedrive {'SQLite file' if durable else 'in memory  '}: {wall:7.0f} creates/s as seen, {core:7.0f} creates per CPU second")


if __name__ == "__main__":
    main()
