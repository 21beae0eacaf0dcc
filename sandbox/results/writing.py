"""Writes an account as a bundle: tables, manifest, the tenant's layout, and files."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Final

import yaml

from sandbox.bundles.writer import RFC, BundleWriter, Dialect
from sandbox.results.build import EXPORTED
from sandbox.results.cells import written
from sandbox.results.fieldwork import SHARE, SHARE_FOLDER
from sandbox.results.schema import COLUMNS
from sandbox.stel_order.binaries import content

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.results.build import Account

TIME_ZONE: Final = "America/New_York"
_WINDOWS: Final = replace(RFC, encoding="cp1252")
_DIALECTS: Final[dict[str, Dialect]] = {
    "opportunities": _WINDOWS,
    "activities": _WINDOWS,
    "documents": _WINDOWS,
    "document_lines": _WINDOWS,
    "contacts": RFC,
    "payments": replace(RFC, delimiter="\t"),
}
"""Exports of different screens come in different encodings; UTF-8 without a mark where nothing is said."""
_OTHERWISE: Final = replace(RFC, encoding="utf-8")


def write_bundle(account: Account, writer: BundleWriter, *, days_later: int = 0) -> Path:
    """Write the bundle and answer where it is."""
    writer.manifest = {
        "tenant": "harbor",
        "product": "Results",
        "product_version": "12.4 Business Suite with QBI and FSM",
        "time_zone": TIME_ZONE,
        "currency": "USD",
        "exported_at": (EXPORTED + timedelta(days=days_later)).isoformat(),
    }
    for table, columns in COLUMNS.items():
        rows = [
            {head: _cell(table, head, kind, row[head], is_typed=writer.is_xlsx) for head, kind in columns.items()} for row in account.tables[table]
        ]
        writer.table(table, rows, heads=list(columns), dialect=_DIALECTS.get(table, _OTHERWISE))
    # What this tenant has otherwise: documents lay on a network share, from where they were copied into the bundle.
    writer.raw("layout.yaml", yaml.safe_dump({"shares": {SHARE: SHARE_FOLDER}}).encode())
    for inside, byte_count in account.files.items():
        _write_file(writer, inside, byte_count)
    return writer.finish()


def _cell(table: str, head: str, kind: str, value: Any, *, is_typed: bool) -> Any:
    """Return a cell's text, or for a workbook the value as a workbook holds it."""
    if not is_typed:
        return written(table, head, kind, value)
    if kind == "percent" and value is not None:
        return float(value) / 100 if (table, head) == ("opportunity_stages", "Probability") else float(value)
    return float(value) if isinstance(value, Decimal) else value


def _write_file(writer: BundleWriter, inside: str, byte_count: int | None) -> None:
    if byte_count is None:
        writer.raw(inside, content("/".join(inside.split("/")[-2:])))
        return
    writer.raw(inside, Random(inside).randbytes(byte_count))
