"""Writes bundles: CSV as the product's report writer does, or workbooks, with the attachments, in a folder or a ZIP."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import random
import shutil
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from openpyxl import Workbook

from sandbox.novo_work_order.account import ZONE, Account, Attached, Row

if TYPE_CHECKING:
    from pathlib import Path

_CHUNK: Final = 1024 * 1024
_ASKED_CHARACTERS: Final = 32_767
"""What a cell of a workbook takes."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a bundle is written."""

    encoding: str = "utf-8-sig"
    is_workbook: bool = False
    has_manifest: bool = True
    is_zipped: bool = False


def write_bundle(account: Account, folder: Path, form: Form = Form()) -> Path:
    """Write the account into `folder`; answers the path of the folder or ZIP."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, rows in account.tables.items():
        path = folder / (f"{name}.xlsx" if form.is_workbook else f"{name}.csv")
        content = _workbook(rows) if form.is_workbook else _csv(rows).encode(form.encoding)
        path.write_bytes(content)
        files.append({"name": path.name, "rows": len(rows), "sha256": hashlib.sha256(content).hexdigest()})
    for one in account.files:
        _write_file(folder / "attachments" / one.path, one)
    if form.has_manifest:
        (folder / "manifest.json").write_text(json.dumps(_manifest(account, form, files), ensure_ascii=False, indent=1), encoding="utf-8")
    return _zipped(folder) if form.is_zipped else folder


def _manifest(account: Account, form: Form, files: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "source": "novo-work-order",
        "tenant": account.tenant,
        "exported_at": f"{account.today.isoformat()}T17:00:00-05:00",
        "time_zone": ZONE,
        "date_format": "M/d/yyyy h:mm:ss tt",
        "encoding": form.encoding,
        "kind": "full",
        "since": None,
        "files": files,
    }


def _heads(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(head for row in rows for head in row))


def _csv(rows: list[Row]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    heads = _heads(rows)
    writer.writerow(heads)
    writer.writerows([cell(row.get(head), is_money=_is_money(head)) for head in heads] for row in rows)
    return written.getvalue()


def _is_money(head: str) -> bool:
    return head.endswith(" Cost") or head == "Hourly Rate"


def cell(value: Any, *, is_money: bool = False) -> str:
    """Write a value as the product does."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, datetime):
        hour = value.hour % 12 or 12
        return f"{value.month}/{value.day}/{value.year} {hour}:{value:%M:%S} {'PM' if value.hour >= 12 else 'AM'}"
    if isinstance(value, date):
        return f"{value.month}/{value.day}/{value.year}"
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, float) and is_money:
        return f"${value:,.2f}"
    return str(value)


def _workbook(rows: list[Row]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    heads = _heads(rows)
    sheet.append(heads)
    for row in rows:
        sheet.append([_typed(row.get(head)) for head in heads])
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, str):
        # A quotation mark in front is what people put there so that a cell stays text.
        return value[:_ASKED_CHARACTERS] if not value.startswith("=") else f"'{value}"
    return value


def _write_file(path: Path, one: Attached) -> None:
    """Write a file: text of its own, then nothing, so that a large one takes no place on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(random.Random(one.seed).randbytes(min(one.size, 4096)))
        file.truncate(one.size)


def _zipped(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    shutil.rmtree(folder)
    return target
