"""A bundle on disk: a folder or a ZIP, read as a flat list of files. Nothing is unpacked, and nothing outside the bundle is ever opened.

A ZIP is refused whole when a member leads out of it, is a link, is encrypted, or unpacks to more than the limits: whoever made such a file made
the rest of it too.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit

from services.common.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RATIO_MAX: Final = 250
"""Most that a member of a ZIP may unpack to, in times of its packed size. Tables of repeated rows reach about 100, a bomb is above 1,000."""
RATIO_FREE_BYTES: Final = 10 * 1024 * 1024
"""Members that unpack to no more than this may have any ratio."""
UNPACKED_BYTES_MAX: Final = 64 * 1024**3
"""Most that a bundle may unpack to."""
MEMBERS_MAX: Final = 2_000_000
"""Most files in a bundle."""

_FOLDERS_KEPT: Final = 16
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_ENCRYPTED: Final = 0x1
_LINK_MODE: Final = 0o170000
_IGNORED: Final = re.compile(r"(^|/)(__MACOSX|\.[^/]*|Thumbs\.db|desktop\.ini|~\$[^/]*)(/|$)", re.IGNORECASE)


class BundleRefusedError(ConfigurationError):
    """The bundle as a whole cannot be read; a person mends it or decides, and resumes."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a bundle."""

    path: str
    """Relative to the bundle, with `/`."""
    byte_count: int
    stamp: str = ""
    """Changes when the content does: CRC of a ZIP's member, time of a file."""


class Container(Protocol):
    """The files of a bundle."""

    name: str

    def is_same(self) -> bool:
        """Say whether it is still the one that was opened, as far as that shows without looking at its files."""
        ...

    def members(self) -> Iterator[Member]:
        """Yield all files that are not links and not hidden."""
        ...

    def find(self, path: str) -> Member | None:
        """Answer the file with exactly this path, None if there is none or it lies outside."""
        ...

    def resolve(self, path: str) -> Member | None:
        """Answer the file with this path, else the one whose path differs in letter case or the form of accents only."""
        ...

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Folder:
    """A bundle that is a folder."""

    def __init__(self, path: Path) -> None:
        self._root = path.resolve()
        self._known: dict[str, dict[str, str]] = {}
        self.name = path.name

    def is_same(self) -> bool:
        """Answer yes: a folder has no state of its own."""
        return True

    def members(self) -> Iterator[Member]:
        """Yield all files, without following links."""
        for folder, folders, names in os.walk(self._root):
            folders[:] = sorted(one for one in folders if not _IGNORED.search(one) and not Path(folder, one).is_symlink())
            for name in sorted(names):
                relative = Path(folder, name).relative_to(self._root).as_posix()
                if not _IGNORED.search(relative) and (member := self.find(relative)) is not None:
                    yield member

    def find(self, path: str) -> Member | None:
        """Answer a file that lies within the folder, whatever its path says."""
        if (inner := safe_path(path)) is None:
            return None
        place = self._root / inner
        try:
            facts = place.lstat()
            is_within = place.resolve().is_relative_to(self._root)
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(facts.st_mode) or not is_within:
            return None
        return Member(inner, facts.st_size, str(facts.st_mtime_ns))

    def resolve(self, path: str) -> Member | None:
        """Answer a file by its path; where there is none, folder by folder by its folded name."""
        if (member := self.find(path)) is not None or (inner := safe_path(path)) is None:
            return member
        place = ""
        for part in inner.split("/"):
            name = self._entries(place).get(folded(part))
            if name is None:
                return None
            place = f"{place}/{name}" if place else name
        return self.find(place)

    def _entries(self, folder: str) -> dict[str, str]:
        """Answer the names in a folder by their folded form; the last few folders are remembered."""
        if folder not in self._known:
            if len(self._known) >= _FOLDERS_KEPT:
                self._known.clear()
            try:
                self._known[folder] = {folded(one): one for one in sorted(path.name for path in (self._root / folder).iterdir())}
            except OSError:
                self._known[folder] = {}
        return self._known[folder]

    def open(self, path: str) -> IO[bytes]:
        """Open a file; a link that came meanwhile is not followed."""
        inner = safe_path(path)
        if inner is None:
            raise FileNotFoundError(path)
        return os.fdopen(os.open(self._root / inner, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)), "rb")

    def close(self) -> None:
        """Nothing is held open."""


class Zip:
    """A bundle that is a ZIP; what lies in one folder of it together is taken as lying at its top."""

    def __init__(self, path: Path, *, unpacked_bytes_max: int = UNPACKED_BYTES_MAX, ratio_max: int = RATIO_MAX) -> None:
        self.name = path.name
        self._path = path
        try:
            self._stamp = _stamp(path)
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise BundleRefusedError(f"{path.name} is not a ZIP that can be read: {error}") from error
        try:
            self._infos = _safe_infos(self._zip, self.name, unpacked_bytes_max=unpacked_bytes_max, ratio_max=ratio_max)
        except BaseException:
            self._zip.close()
            raise
        self._prefix = _common_folder(self._infos)
        self._folded: dict[str, str] = {}

    def is_same(self) -> bool:
        """Say whether the file is the one that was opened."""
        try:
            return _stamp(self._path) == self._stamp
        except OSError:
            return False

    def members(self) -> Iterator[Member]:
        """Yield all files."""
        for path, info in self._infos.items():
            if not _IGNORED.search(path):
                yield Member(path.removeprefix(self._prefix), info.file_size, f"{info.CRC:08x}")

    def find(self, path: str) -> Member | None:
        """Answer a file by its path."""
        inner = safe_path(path)
        info = self._infos.get(self._prefix + inner) if inner is not None else None
        return None if info is None or inner is None else Member(inner, info.file_size, f"{info.CRC:08x}")

    def resolve(self, path: str) -> Member | None:
        """Answer a file by its path, else by its folded path."""
        if (member := self.find(path)) is not None or (inner := safe_path(path)) is None:
            return member
        if not self._folded:
            self._folded = {folded(one): one for one in self._infos}
        known = self._folded.get(folded(self._prefix + inner))
        return self.find(known.removeprefix(self._prefix)) if known is not None else None

    def open(self, path: str) -> IO[bytes]:
        """Open a member; it gives no more than it announced, and fails when its checksum is wrong."""
        inner = safe_path(path)
        if inner is None or self._prefix + inner not in self._infos:
            raise FileNotFoundError(path)
        return self._zip.open(self._infos[self._prefix + inner])

    def close(self) -> None:
        """Close the file."""
        self._zip.close()


def safe_path(path: str) -> str | None:
    r"""Answer a path within the bundle in its plain form, None for one that could lead out of it: absolute, `C:`, `..`, `\\server`."""
    text = path.replace("\\", "/")
    if text.startswith("/") or _DRIVE.match(text) or "\0" in text:
        return None
    parts = [part for part in text.split("/") if part not in {"", "."}]
    return None if ".." in parts or not parts else "/".join(parts)


def _stamp(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _safe_infos(archive: zipfile.ZipFile, name: str, *, unpacked_bytes_max: int, ratio_max: int) -> dict[str, zipfile.ZipInfo]:
    infos: dict[str, zipfile.ZipInfo] = {}
    unpacked = 0
    if len(archive.infolist()) > MEMBERS_MAX:
        raise BundleRefusedError(f"{name} has more than {MEMBERS_MAX:,} files")
    for info in archive.infolist():
        path = safe_path(info.orig_filename if info.orig_filename.startswith(("/", "\\")) else info.filename)
        if path is None:
            raise BundleRefusedError(f"{name} holds a path that leads out of it ({info.filename[:100]!r}): pack it anew from the export itself")
        if info.is_dir():
            continue
        if (info.external_attr >> 16) & _LINK_MODE == stat.S_IFLNK:
            raise BundleRefusedError(f"{name} holds a link ({path}): put the file itself there")
        if info.flag_bits & _ENCRYPTED:
            raise BundleRefusedError(f"{name} is encrypted ({path}): pack it anew without a password")
        if info.file_size > RATIO_FREE_BYTES and info.file_size > ratio_max * max(1, info.compress_size):
            raise BundleRefusedError(
                f"{name}: {path} would unpack to {info.file_size:,} bytes, more than {ratio_max} times its size; if that is right,"
                " unpack it and give the folder, or raise the connector option zip_ratio_max"
            )
        unpacked += info.file_size
        if unpacked > unpacked_bytes_max:
            raise BundleRefusedError(f"{name} unpacks to more than {unpacked_bytes_max:,} bytes; the connector option unpacked_bytes_max decides")
        if path in infos:
            raise BundleRefusedError(f"{name} holds {path} twice: which one counts cannot be known")
        infos[path] = info
    return infos


def _common_folder(infos: dict[str, zipfile.ZipInfo]) -> str:
    """Answer the folder, with `/`, in which everything lies: packing a folder puts its name before every path."""
    tops = {path.partition("/")[0] if "/" in path else "" for path in infos if not _IGNORED.search(path)}
    return f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""


def folded(path: str) -> str:
    """Answer a path as it is compared when nothing has exactly its name: file systems disagree about letter case and accents."""
    return unicodedata.normalize("NFC", path).casefold()


def fingerprint(members: Sequence[Member]) -> str:
    """Answer what stays the same as long as these files do."""
    lines = "\n".join(sorted(f"{one.path}\0{one.byte_count}\0{one.stamp}" for one in members))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def local_path(url: str) -> Path:
    """Answer where a connection's URL leads on disk.

    Raises:
        ConfigurationError: It is no path and no `file://` URL.
    """
    if url.startswith("file://"):
        parts = urlsplit(url)
        if parts.netloc not in {"", "localhost"}:
            raise ConfigurationError(f"the connection's URL names another machine ({parts.netloc}): give the path of a folder or ZIP on this one")
        return Path(unquote(parts.path))
    if "://" in url:
        raise ConfigurationError("the connection's URL is not the path of a folder or ZIP, and not a file:// URL")
    return Path(url).expanduser()
