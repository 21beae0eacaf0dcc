"""Rows a second of a bundle's extraction on one core, and the memory it takes, against the least that reading the same file can take.

An export of orders (8 columns: id, reference to one of 50,000 customers, text, money, date, date and time, list, text) is written as CSV and read by
the extractor's own code: found, checked (every byte and row once), read into typed records, frozen as pages in staging on disk. A stand-in for the
ledger answers at once. Each size runs in a process of its own; rows a second are rows by processor seconds of that process, all threads together,
because other work on the machine must not count. The baseline is `csv.reader` over the same file.

`python -m bench bundle_extraction` reads 100,000 and a million rows of about 95 bytes. `python -m bench.bundle_extraction --megabytes 2000
--note-characters 300` reads an export of that size, and its first tenth, and says what was in memory in each tenth of the time. `--rows N` measures
one size; with `--profile` it prints where the time goes. With `--workbook` the orders are written as XLSX; its bytes are those of the unpacked sheet.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import csv
import json
import pstats
import resource
import sys
import tempfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.willing_ledger import WillingLedger
from sandbox.bundles import hostile
from services.common.clock import SystemClock
from services.common.connections import Connections
from services.common.staging import Staging
from services.extractor.budget import OutagePolicy
from services.extractor.connectors.bundle.connector import BundleConnector
from services.extractor.extraction import ExtractionSpec
from services.extractor.jobs import Extractions
from services.extractor.ports import PageRecord, PageRef

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

SMALL_ROWS: Final = 100_000
LARGE_ROWS: Final = 1_000_000
CUSTOMERS: Final = 50_000
SHARE: Final = 10
"""The part of a large export that is read for comparison is one of so many; so many are also the parts of the time."""
ROW_BYTES: Final = 95
"""About what a row without a note takes."""
SHEET_BYTES: Final = 300
"""About what the tags of a row take in a workbook's sheet."""
SAMPLE_SECONDS: Final = 0.25
_ORDER_COLUMNS: Final = {
    "order_id": {"heads": "Order ID", "type": "id"},
    "customer_id": {"heads": "Customer ID", "type": "id", "refers_to": "customer"},
    "title": {"heads": "Title"},
    "amount": {"heads": "Amount", "type": "money"},
    "ordered": {"heads": "Ordered", "type": "date"},
    "changed": {"heads": "Changed", "type": "datetime"},
    "status": {"heads": "Status"},
    "note": {"heads": "Note"},
}
LAYOUT: Final[dict[str, Any]] = {
    "source": "bench",
    "formats": {"time_zone": "America/New_York"},
    "entities": {
        "customer": {"source_name": "customers", "id": ["customer_id"], "columns": {"customer_id": {"heads": "Customer ID", "type": "id"}}},
        "order": {"source_name": "orders", "id": ["order_id"], "columns": _ORDER_COLUMNS},
    },
}


class Orders(BundleConnector, layout=LAYOUT):
    """Customers and orders."""

    name = "bench"


@dataclass
class ForgetfulLedger(WillingLedger):
    """Answers at once and keeps of a page only what must be told again."""

    pages_known: list[PageRef] = field(default_factory=list)
    row_count: int = 0

    async def record_page(self, migration_id: str, page: PageRecord) -> None:
        """Counts a page."""
        del migration_id
        self.row_count += len(page.source_ids)
        self.pages_known.append(PageRef(page.extraction_id, page.entity, page.digest, len(self.pages_known) + 1, len(page.source_ids)))

    async def pages(self, migration_id: str, *, after_sequence: int = 0) -> AsyncIterator[PageRef]:
        """Lists pages."""
        del migration_id
        for page in self.pages_known[after_sequence:]:
            yield page


async def run() -> dict[str, float]:
    """Measures both sizes, each in a process of its own."""
    return _compared(await _measure(SMALL_ROWS), await _measure(LARGE_ROWS))


async def run_large(megabytes: int, note_characters: int, *, is_workbook: bool) -> dict[str, float]:
    """Measures an export of about this size, and its first tenth."""
    rows = megabytes * 1_000_000 // (ROW_BYTES + note_characters + (SHEET_BYTES if is_workbook else 0))
    part, whole = [await _measure(count, note_characters, is_workbook=is_workbook) for count in (rows // SHARE, rows)]
    tenths = {f"peak memory, MiB in tenth {place} of the time": value for place, value in enumerate(whole["mebibytes_by_part"], start=1)}
    return {**_compared(part, whole), **tenths}


def _compared(small: dict[str, Any], large: dict[str, Any]) -> dict[str, float]:
    rows = large["rows"]
    return {
        "rows read": rows,
        "MB read": large["bytes"] / 1e6,
        "extraction with check, rows/s of one core (goal 20,000)": rows / large["cpu_seconds"],
        "extraction with check, rows/s by the clock": rows / large["seconds"],
        "bare csv.reader, rows/s of one core": rows / large["bare_cpu_seconds"],
        "ratio extraction / bare csv.reader": large["bare_cpu_seconds"] / large["cpu_seconds"],
        f"peak memory, MiB at {small['rows']:,.0f} rows": small["peak_mebibytes"],
        f"peak memory, MiB at {rows:,.0f} rows": large["peak_mebibytes"],
        "ratio of peak memory (goal 1.2)": large["peak_mebibytes"] / small["peak_mebibytes"],
    }


async def _measure(rows: int, note_characters: int = 0, *, is_workbook: bool = False) -> dict[str, Any]:
    size = ("--rows", str(rows), "--note-characters", str(note_characters), *(("--workbook",) if is_workbook else ()))
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, *size, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, f"the measurement of {rows} rows ended with {process.returncode}"
    figures: dict[str, Any] = json.loads(out.splitlines()[-1])
    return figures


class Watch:
    """Samples the resident set of this process while the block runs."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def by_part(self) -> list[float]:
        """Answer the highest of each tenth of the time, in MiB."""
        count = len(self._samples)
        parts = [self._samples[count * place // SHARE : count * (place + 1) // SHARE] for place in range(SHARE)]
        return [max(part) for part in parts if part]

    def _sample(self) -> None:
        process = psutil.Process()
        while not self._ended.wait(SAMPLE_SECONDS):
            self._samples.append(process.memory_info().rss / 2**20)


def _no_client(*_: object, **__: object) -> httpx.AsyncClient:
    raise AssertionError("a bundle needs no network")


async def _extract(folder: Path, place: Path) -> int:
    ledger = ForgetfulLedger()
    extractions = Extractions(
        connectors={Orders.name: Orders},
        connections=Connections.from_env({"TRANSLOAD_CONNECTION_BENCH_URL": str(place)}),
        ledger=ledger,
        store=Staging.open(f"file://{folder / 'staging'}"),
        clock=SystemClock(),
        http_client=_no_client,
        outage_policy=OutagePolicy(),
    )
    await extractions.start(ExtractionSpec("bench", "bench/read", Orders.name, "bench"), Orders)
    await ledger.ended.wait()
    assert not ledger.failure, ledger.failure
    return ledger.row_count


def _write(folder: Path, rows: int, note: str, *, is_workbook: bool) -> Path:
    place = folder / "bundle"
    place.mkdir()
    table = hostile.million_rows(folder / "orders.csv", rows, more=note)
    if is_workbook:
        with table.open(encoding="utf-8", newline="") as file:
            hostile.workbook_of(place / "orders.xlsx", csv.reader(file))
    else:
        table.rename(place / "orders.csv")
    customers = "".join(f"{number}\r\n" for number in range(CUSTOMERS))
    (place / "customers.csv").write_text(f"Customer ID\r\n{customers}", encoding="utf-8")
    return place


def main() -> None:
    """Measures; the figures of one size go to stdout as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.bundle_extraction", description="How fast bundles are read, and in how much memory.")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--rows", type=int, help="measure one export with so many rows")
    size.add_argument("--megabytes", type=int, help="measure an export of about this size, and its first tenth")
    parser.add_argument("--note-characters", type=int, default=0, help="text in each row beside its seven short cells")
    parser.add_argument("--workbook", action="store_true", help="the orders are an XLSX instead of a CSV")
    parser.add_argument("--profile", action="store_true", help="with --rows: say where the time goes")
    told = parser.parse_args()
    if told.megabytes is not None:
        for figure, value in asyncio.run(run_large(told.megabytes, told.note_characters, is_workbook=told.workbook)).items():
            print(f"  {figure:<58} {value:>14,.3f}")
        return
    with tempfile.TemporaryDirectory(prefix="transload-bench-") as name:
        folder = Path(name)
        note = ("Bearing worn and replaced; customer asks for a call. " * (told.note_characters // 50 + 1))[: told.note_characters]
        place = _write(folder, told.rows, note, is_workbook=told.workbook)
        if told.profile:
            # The reading runs in threads; a profile sees one thread, so they are made to run in this one.
            asyncio.to_thread = _at_once  # type: ignore[assignment]
            profile = cProfile.Profile()
            profile.runcall(asyncio.run, _extract(folder, place))
            pstats.Stats(profile).sort_stats("tottime").print_stats(14)
            return
        print(json.dumps(_figures(folder, place, told.rows)))


def _figures(folder: Path, place: Path, rows: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with Watch() as watch:
        cpu, clock = time.process_time(), time.perf_counter()
        figures["rows"] = asyncio.run(_extract(folder, place))
        figures |= {"cpu_seconds": time.process_time() - cpu, "seconds": time.perf_counter() - clock}
    figures |= {"peak_mebibytes": _peak_mebibytes(), "mebibytes_by_part": watch.by_part()}
    cpu = time.process_time()
    workbook = place / "orders.xlsx"
    with (folder / "orders.csv" if workbook.exists() else place / "orders.csv").open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == rows + 1
    figures["bytes"] = Path(file.name).stat().st_size
    if workbook.exists():
        with zipfile.ZipFile(workbook) as archive:
            figures["bytes"] = max(info.file_size for info in archive.infolist())
    return {**figures, "bare_cpu_seconds": time.process_time() - cpu}


def _peak_mebibytes() -> float:
    """Answer the highest resident set of this process. On Linux from its own status: what `getrusage` says counts the parent that forked it."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) / 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


async def _at_once(work: Any, *arguments: Any) -> Any:
    return work(*arguments)


if __name__ == "__main__":
    main()
