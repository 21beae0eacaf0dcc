"""Finding the bundle behind a connection, and the tables in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.common.errors import ConfigurationError
from services.extractor.connectors.bundle.container import BundleRefusedError, Container, Folder, Member, Zip, local_path
from services.extractor.connectors.bundle.layout import LAYOUT_BYTES_MAX, Layout, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MANIFEST: Final = "manifest.json"
TEXT_SUFFIXES: Final = frozenset({".csv", ".tsv", ".txt"})
WORKBOOK_SUFFIXES: Final = frozenset({".xlsx", ".xlsm", ".xls", ".xlsb", ".ods"})
_MANIFEST_BYTES_MAX: Final = 16 * 1024 * 1024
_PART: Final = re.compile(r"[\s_-]*(?:part)?[\s_-]*\(?\d{1,4}\)?$", re.IGNORECASE)
_STAMP: Final = re.compile(r"(20\d{2})[-_]?(\d{2})[-_]?(\d{2})(?:[-_T ]?(\d{2})[-_:]?(\d{2}))?")


class Manifest(BaseModel):
    """What the packer says of the bundle; everything in it may be missing."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    tenant: str | None = None
    exported_at: str | None = None
    time_zone: str | None = None
    date_format: str | None = None
    encoding: str | None = None
    currency: str | None = None
    kind: str | None = None
    """`full`, or `delta`: what is not in it is not deleted."""
    files: list[dict[str, object]] = Field(default_factory=list)

    @property
    def date_order(self) -> str | None:
        """The order of day, month and year that the date format shows."""
        found = re.sub(r"[^dmy]", "", re.sub(r"(?i)h+:?m+(:?s+)?", "", self.date_format or "").lower())
        order = "".join(dict.fromkeys(found))
        return order if order in {"dmy", "mdy", "ymd"} else None

    @property
    def row_counts(self) -> Mapping[str, int]:
        """Rows by file name, as the packer counted them."""
        return {str(one.get("name")): rows for one in self.files if isinstance(rows := one.get("rows"), int)}


@dataclass(frozen=True, slots=True)
class Tables:
    """The files that hold tables, by entity."""

    parts: Mapping[str, Sequence[Member]]
    """In the order they are read; more than one where an export was made by date range."""
    unknown: Sequence[str] = ()
    """Paths of tables that no entity takes."""
    doubled: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Paths left aside because the same table is there in another format, by entity."""


def open_bundle(url: str, layout: Layout, *, unpacked_bytes_max: int, ratio_max: int, preferred: str = "") -> Container:
    """Open the bundle a connection leads to: a ZIP, a folder, or in a folder of bundles the newest.

    Raises:
        ConfigurationError: There is nothing there.
        BundleRefusedError: It cannot be read.
    """
    place = local_path(url)
    try:
        if place.is_file():
            return Zip(place, unpacked_bytes_max=unpacked_bytes_max, ratio_max=ratio_max)
        if not place.is_dir():
            raise ConfigurationError(f"there is no folder or ZIP at the connection's URL ({place.name})")
        chosen: Path | None = place
        if not _is_bundle(place, layout):
            chosen = place / preferred if preferred and (place / preferred).exists() else _newest(place, layout)
    except OSError as error:
        raise ConfigurationError(f"{place.name} cannot be read: {error.strerror}") from error
    if chosen is None:
        usual = ", ".join(f"{one.source_name}.csv" for one in list(layout.entities.values())[:3])
        raise ConfigurationError(f"{place.name} holds no table of a {layout.source} export ({usual} ...) and no bundle that does")
    return Folder(chosen) if chosen.is_dir() else Zip(chosen, unpacked_bytes_max=unpacked_bytes_max, ratio_max=ratio_max)


def _is_bundle(folder: Path, layout: Layout) -> bool:
    names = _names(layout)
    return (folder / MANIFEST).is_file() or any(one.is_file() and _is_table(one.name) and _entity_of(one.name, names) for one in folder.iterdir())


def _newest(folder: Path, layout: Layout) -> Path | None:
    candidates = [one for one in folder.iterdir() if (one.suffix.lower() == ".zip" and one.is_file()) or (one.is_dir() and _is_bundle(one, layout))]
    return max(candidates, key=_age, default=None)


def _age(path: Path) -> tuple[str, str]:
    """Answer when a bundle was made: by the stamp in its name, else by the time of the file."""
    if match := _STAMP.search(path.stem if path.is_file() else path.name):
        return "".join(part or "00" for part in match.groups()), path.name
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y%m%d%H%M"), path.name


def read_manifest(container: Container) -> Manifest:
    """Read `manifest.json`, empty where there is none.

    Raises:
        BundleRefusedError: It is there and is none.
    """
    member = container.find(MANIFEST)
    if member is None:
        return Manifest()
    content = _small(container, member, _MANIFEST_BYTES_MAX)
    try:
        return Manifest.model_validate(orjson.loads(content.removeprefix(b"\xef\xbb\xbf")))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise BundleRefusedError(
            f"{MANIFEST} of {container.name} is no manifest: {str(error).splitlines()[0]}; correct it or take it away"
        ) from error


def read_tenant_layout(container: Container, name: str) -> str:
    """Answer the text of the tenant's own layout, empty where there is none.

    Raises:
        BundleRefusedError: It is too large, or not UTF-8.
    """
    member = container.find(name)
    if member is None:
        return ""
    try:
        return _small(container, member, LAYOUT_BYTES_MAX).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BundleRefusedError(f"{name} of {container.name} is not UTF-8") from error


def _small(container: Container, member: Member, bytes_max: int) -> bytes:
    if member.byte_count > bytes_max:
        raise BundleRefusedError(f"{member.path} of {container.name} has more than {bytes_max:,} bytes")
    with container.open(member.path) as file:
        return file.read(bytes_max + 1)[:bytes_max]


def find_tables(container: Container, layout: Layout) -> Tables:
    """Find the tables of a bundle by the stems of their names, in any letter case, in any folder but those of attachments."""
    names = _names(layout)
    folders = _file_folders(layout)
    found: dict[str, list[Member]] = {}
    unknown: list[str] = []
    for member in _tables_of(container, folders):
        entity = _entity_of(member.path, names)
        if entity:
            found.setdefault(entity, []).append(member)
        else:
            unknown.append(member.path)
    parts: dict[str, Sequence[Member]] = {}
    doubled: dict[str, Sequence[str]] = {}
    for entity, members in found.items():
        texts = [one for one in members if _suffix(one.path) in TEXT_SUFFIXES]
        chosen = texts or members
        parts[entity] = sorted(chosen, key=lambda one: _natural(one.path))
        if len(chosen) < len(members):
            doubled[entity] = sorted(one.path for one in members if one not in chosen)
    return Tables(parts, sorted(unknown)[:100], doubled)


def _tables_of(container: Container, folders: Sequence[str]) -> Iterator[Member]:
    for member in container.members():
        if _is_table(member.path) and not any(member.path.lower().startswith(folder) for folder in folders):
            yield member


def _file_folders(layout: Layout) -> list[str]:
    """Answer the folders, before their first column, in which files lie: a table among the attachments is an attachment."""
    patterns = [one.file.folder for one in layout.entities.values() if one.file is not None and one.file.folder]
    return [fixed for pattern in patterns if (fixed := pattern.partition("{")[0].lower())]


def _names(layout: Layout) -> dict[str, str]:
    return {plain(name).replace("-", ""): entity for entity, one in reversed(layout.entities.items()) for name in (*one.other_names, one.source_name)}


def _entity_of(path: str, names: Mapping[str, str]) -> str:
    """Answer whose table this is: by folder and stem, by stem, or by stem without a number at its end."""
    pure = PurePosixPath(path)
    for stem in (pure.stem, _PART.sub("", pure.stem)):
        for name in (f"{pure.parent.name}/{stem}", stem):
            if entity := names.get(plain(name).replace("-", "")):
                return entity
    return ""


def _is_table(path: str) -> bool:
    return _suffix(path) in TEXT_SUFFIXES | WORKBOOK_SUFFIXES


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.lower())]
