"""Bundles and tables that break readers: each function makes one thing wrong and nothing else."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

BOMB_BYTES = 64 * 1024 * 1024
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_RELATIONS = "application/vnd.openxmlformats-package.relationships+xml"
_SHEET_PART = "xl/worksheets/sheet7.xml"
_SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def zip_with(path: Path, members: Mapping[str, bytes], *, link: str = "", is_encrypted: bool = False) -> Path:
    """Pack members under exactly these names, however they lead out; `link` makes the member of that name a symbolic link."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o120777 if name == link else 0o100644) << 16
            archive.writestr(info, content)
    if is_encrypted:
        data = bytearray(path.read_bytes())
        # The flag alone: a reader must refuse before it asks for a password.
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.find(mark)
            while place >= 0:
                data[place + offset] |= 1
                place = data.find(mark, place + 4)
        path.write_bytes(bytes(data))
    return path


def bomb(path: Path, member: str, *, bytes_unpacked: int = BOMB_BYTES) -> Path:
    """Pack a table of nothing but zeros: a thousandth of its size."""
    return zip_with(path, {member: b"0" * bytes_unpacked})


def with_nul_bytes(table: bytes) -> bytes:
    """Put a NUL byte into the second line and at the end, as a broken disk or a C program does."""
    first, _, rest = table.partition(b"\n")
    return first + b"\n" + rest[:2] + b"\0" + rest[2:].rstrip(b"\r\n") + b"\0\r\n"


def put_together(tables: Iterable[bytes]) -> bytes:
    """Append whole files to each other, byte-order marks and heads included, as `copy a+b` does."""
    return b"".join(tables)


def with_mixed_line_ends(table: bytes) -> bytes:
    """End lines with CRLF, LF and CR in turn."""
    lines = table.replace(b"\r\n", b"\n").split(b"\n")
    ends = (b"\r\n", b"\n", b"\r")
    return b"".join(line + ends[place % 3] for place, line in enumerate(lines[:-1])) + lines[-1]


def cut_off(table: bytes, share: float = 0.7) -> bytes:
    """Keep the first part, as a copy does that ran out of room."""
    return table[: int(len(table) * share)]


def million_rows(path: Path, count: int = 1_000_000, *, more: str = "") -> Path:
    """Write a table of orders with `count` rows: id, customer, title, amount, date and time, note."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("Order ID,Customer ID,Title,Amount,Ordered,Changed,Status,Note\r\n")
        buffer = io.StringIO()
        for number in range(1, count + 1):
            day, hour = number % 28 + 1, number % 12 + 1
            buffer.write(
                f'{number},{number % 50_000},"Replace bearing, pump {number % 977}","$1,{number % 1000:03}.50",{number % 12 + 1}/{day}/2025,'
                f"{number % 12 + 1}/{day}/2025 {hour}:{number % 60:02}:00 PM,{('Open', 'Scheduled', 'Completed')[number % 3]},{more}\r\n"
            )
            if number % 20_000 == 0:
                file.write(buffer.getvalue())
                buffer = io.StringIO()
        file.write(buffer.getvalue())
    return path


def workbook_of(path: Path, rows: Iterable[Sequence[str]]) -> Path:
    """Write rows of texts as a workbook with one sheet, however many they are: no row is kept in memory."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, text in _workbook_parts().items():
            archive.writestr(name, text)
        with archive.open(_SHEET_PART, "w", force_zip64=True) as sheet:
            sheet.write(f'<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            for number, row in enumerate(rows, start=1):
                cells = "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in row)
                sheet.write(f'<row r="{number}">{cells}</row>'.encode())
            sheet.write(b"</sheetData></worksheet>")
    return path


def workbook_with(path: Path, sheet: str) -> Path:
    """Write a workbook whose only sheet is exactly this XML: what is within `<worksheet>`, or the whole part where it begins with `<!`."""
    part = sheet if sheet.startswith("<!") else f'<worksheet xmlns="{_MAIN}">{sheet}</worksheet>'
    return zip_with(path, {name: text.encode() for name, text in {**_workbook_parts(), _SHEET_PART: part}.items()})


def _workbook_parts() -> dict[str, str]:
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType="{_RELATIONS}"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SPREADSHEET}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet7.xml" ContentType="{_SPREADSHEET}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
        '<sheets><sheet name="Export" sheetId="1" r:id="rId9"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId9" Type="{_OFFICE}/worksheet" Target="worksheets/sheet7.xml"/></Relationships>',
    }
