"""Writes an account as a bundle: tables, manifest, the tenant's layout, and files."""

import csv
import io
import json
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Final

import yaml

from sandbox.results.build import EXPORTED, Account
from sandbox.results.cells import written
from sandbox.results.fieldwork import SHARE, SHARE_FOLDER
from sandbox.results.schema import COLUMNS
from sandbox.stel_order.binaries import content

TENANT: Final = "harbor"
TIME_ZONE: Final = "America/New_York"
_ENCODINGS: Final = {"opportunities": "cp1252", "activities": "cp1252", "documents": "cp1252", "contacts": "utf-8-sig", "document_lines": "cp1252"}
"""Exports of different screens come in different encodings; UTF-8 without a mark where nothing is said."""
_DELIMITERS: Final = {"payments": "\t"}
_CHUNK_BYTES: Final = 1024 * 1024


def write_bundle(account: Account, folder: Path, *, is_zip: bool = False) -> Path:
    """Write the bundle and return its path: the folder, or a ZIP beside it."""
    root = folder
    root.mkdir(parents=True, exist_ok=True)
    files = []
    for table in COLUMNS:
        path = root / f"{table}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = table_bytes(account, table)
        path.write_bytes(data)
        files.append({"name": f"{table}.csv", "rows": len(account.tables[table]), "sha256": sha256(data).hexdigest()})
    (root / "manifest.json").write_text(json.dumps(_manifest(files), indent=2), encoding="utf-8")
    (root / "layout.yaml").write_text(yaml.safe_dump(_layout(), allow_unicode=True), encoding="utf-8")
    for inside, byte_count in account.files.items():
        _write_file(root / inside, byte_count)
    return _zipped(root) if is_zip else root


def table_bytes(account: Account, table: str) -> bytes:
    """Return a table as it is written to its file."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=_DELIMITERS.get(table, ","), lineterminator="\r\n")
    writer.writerow(COLUMNS[table])
    for row in account.tables[table]:
        writer.writerow([written(table, head, kind, row[head]) for head, kind in COLUMNS[table].items()])
    return buffer.getvalue().encode(_ENCODINGS.get(table, "utf-8"))


def _manifest(files: list[dict[str, object]]) -> dict[str, object]:
    return {
        "tenant": TENANT,
        "product": "Results",
        "product_version": "12.4 Business Suite with QBI and FSM",
        "time_zone": TIME_ZONE,
        "currency": "USD",
        "exported_at": EXPORTED.isoformat(),
        "kind": "full",
        "files": files,
    }


def _layout() -> dict[str, object]:
    """Return what this tenant has otherwise: documents lay on a network share, from where they were copied into the bundle."""
    return {"shares": {SHARE: SHARE_FOLDER}}


def _write_file(path: Path, byte_count: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if byte_count is None:
        path.write_bytes(content(f"{path.parent.name}/{path.name}"))
        return
    with path.open("wb") as file:
        file.truncate(byte_count)


def _zipped(root: Path) -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(root.rglob("*")):
            archive.write(one, f"{root.name}/{one.relative_to(root).as_posix()}")
    return path
