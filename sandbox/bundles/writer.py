"""A bundle being written: tables in any dialect, workbooks, files, and a manifest; as a folder or packed as a ZIP."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_ZIP_TIME = (2026, 3, 2, 9, 0, 0)
_EXPORTED = "2026-03-02T09:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written as text."""

    encoding: str = "utf-8-sig"
    delimiter: str = ","
    line_end: str = "\r\n"
    quotes_all: bool = False
    errors: str = "strict"
    """What becomes of characters the encoding does not have; `replace` loses them as an old program does."""


RFC = Dialect()
"""What a good exporter writes."""
WINDOWS = Dialect(encoding="cp1252", delimiter=";", errors="replace")
"""What an old one writes in Europe; the guide's toy source does."""


@dataclass(slots=True)
class BundleWriter:
    """Writes one bundle into a folder; `finish` writes the manifest and packs it where that is wanted.

    Attributes:
        out: the folder of the bundle, or the name of the ZIP without `.zip`.
        is_zip: pack it, and take the folder away.
        is_xlsx: write tables as workbooks unless told otherwise.
        dialect: how tables are written unless told otherwise.
        manifest: fields of `manifest.json` beside the files; None: write none.
    """

    out: Path
    is_zip: bool = False
    is_xlsx: bool = False
    dialect: Dialect = RFC
    manifest: dict[str, Any] | None = field(default_factory=dict)
    _files: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.out.exists():
            shutil.rmtree(self.out)
        self.out.mkdir(parents=True)

    def table(
        self, name: str, rows: Iterable[Mapping[str, Any]], *, heads: Sequence[str], dialect: Dialect | None = None, is_xlsx: bool | None = None
    ) -> None:
        """Write a table: `name` without extension, rows by head; missing values are empty, everything else is written as `str` does."""
        is_workbook = self.is_xlsx if is_xlsx is None else is_xlsx
        listed = list(rows)
        cells = [[_text(row.get(head)) for head in heads] for row in listed]
        path = f"{name}.xlsx" if is_workbook else f"{name}.csv"
        if is_workbook:
            content = workbook_bytes([list(heads), *([row.get(head) for head in heads] for row in listed)])
        else:
            content = csv_bytes([list(heads), *cells], dialect or self.dialect)
        self.raw(path, content, rows=len(listed))

    def raw(self, path: str, content: bytes, *, rows: int | None = None) -> None:
        """Write a file of the bundle as it is; with `rows` the manifest lists it."""
        place = self.out / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        if rows is not None:
            self._files.append({"name": path, "rows": rows, "sha256": hashlib.sha256(content).hexdigest()})

    def finish(self) -> Path:
        """Write the manifest and pack the bundle; answers where it is."""
        if self.manifest is not None:
            fields = {"exported_at": _EXPORTED, "kind": "full", **self.manifest, "files": self._files}
            self.raw("manifest.json", json.dumps(fields, ensure_ascii=False, indent=2).encode())
        if not self.is_zip:
            return self.out
        target = self.out.with_name(self.out.name + ".zip")
        zip_folder(self.out, target)
        shutil.rmtree(self.out)
        return target


def csv_bytes(rows: Iterable[Sequence[str]], dialect: Dialect = RFC) -> bytes:
    """Write rows of texts as a table."""
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if dialect.quotes_all else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=dialect.delimiter, lineterminator=dialect.line_end, quoting=quoting).writerows(rows)
    return text.getvalue().encode(dialect.encoding, dialect.errors)


def workbook_bytes(rows: Iterable[Sequence[Any]]) -> bytes:
    """Write rows as a workbook's first sheet; dates, numbers and truth values keep their type, texts that begin with `=` stay texts."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Export")
    for row in rows:
        sheet.append([None if value is None or value == "" else _cell(sheet, value) for value in row])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def zip_folder(folder: Path, target: Path) -> None:
    """Pack a folder with itself on top, the same bytes for the same content."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                info = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", _ZIP_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, path.read_bytes())


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _cell(sheet: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # Control characters cannot stand in a workbook; a program that writes one drops them.
    cell = WriteOnlyCell(sheet, "".join(char for char in value if char >= " " or char in "\t\n\r"))
    cell.data_type = "s"
    return cell
