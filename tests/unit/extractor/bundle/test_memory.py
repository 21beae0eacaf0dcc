"""What is in memory at once does not grow with the bundle, in the check, in a first reading and in a delta."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from sandbox.bundles import hostile
from services.extractor.connectors.bundle import check, text
from services.extractor.connectors.bundle.bundle import Bundle
from services.extractor.connectors.bundle.check import check_bundle
from services.extractor.connectors.bundle.index import LastVersions, Occurrences
from services.extractor.connectors.bundle.options import read_options
from services.extractor.connectors.bundle.reading import TableReader

SMALL, LARGE = 4_000, 16_000
AT_ONCE = 500
"""Rows of a page and of a batch of the check: fewer than usual, like the bytes of a chunk, so that few rows show what grows."""
LAYOUT: dict[str, Any] = {
    "source": "orders",
    "formats": {"time_zone": "Europe/Madrid"},
    "entities": {
        "order": {
            "source_name": "orders",
            "id": ["order_id"],
            "columns": {
                "order_id": {"heads": "Order ID", "type": "id"},
                "customer_id": {"heads": "Customer ID", "type": "id", "refers_to": "order"},
                "amount": {"heads": "Amount", "type": "money"},
                "changed": {"heads": "Changed", "type": "datetime"},
                "note": {"heads": "Note"},
            },
        }
    },
}


def peak_bytes(folder: Path, rows: int) -> int:
    folder.mkdir()
    hostile.million_rows(folder / "orders.csv", rows, more="a note of some length " * 4)
    bundle = Bundle.open(str(folder), LAYOUT, read_options({"page_rows": AT_ONCE}))
    tracemalloc.start()
    try:
        facts = check_bundle(bundle, folder).tables["order"]
        assert sum(len(page.records) for page in TableReader(bundle, facts).pages()) == rows
        with Occurrences(folder / "ids.db") as occurrences, LastVersions(folder / "last.db") as last:
            reader = TableReader(bundle, facts, occurrences=occurrences, last=last)
            for sequence, page in enumerate(reader.pages()):
                last.add(sequence, [{"id": one.source_id, "is_deleted": False, "is_archived": False, "data": one.data} for one in page.records])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        bundle.close()


@pytest.mark.slow
@pytest.mark.requirement("L-06")
def test_four_times_the_rows_take_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "BATCH_ROWS", AT_ONCE)
    monkeypatch.setattr(text, "CHUNK_BYTES", 65_536)
    small, large = peak_bytes(tmp_path / "small", SMALL), peak_bytes(tmp_path / "large", LARGE)
    assert large < 1.2 * small
    assert large < 8 * 1024 * 1024
