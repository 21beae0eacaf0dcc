"""Bytes to text: which encoding a table has, and what is in it that should not be.

All bytes pass once, in chunks. What is proven counts: a byte-order mark, or that everything is valid UTF-8. Only what is neither is guessed, from
the bytes that are not ASCII, and the guess is reported.
"""

from __future__ import annotations

import codecs
import io
import re
from typing import IO, TYPE_CHECKING, Final

from charset_normalizer import from_bytes
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES: Final = 1024 * 1024
LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest line: one without an end would be taken into memory whole."""
UTF8_SHARE: Final = 0.5
"""From this share of valid ones among the lines that are not ASCII a text is UTF-8 with damage, below it is something else."""
FALLBACK: Final = "transload_windows_1252"
"""Error handler that reads bytes which are not UTF-8 as Windows-1252, so that nothing is lost."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES_MAX: Final = 262_144
_WESTERN: Final = frozenset(
    {"ascii", "cp1252", "latin_1", "iso8859_1", "iso8859_15", "cp1250", "cp1254", "iso8859_2", "iso8859_9", "mac_roman", "cp1257", "hp_roman8"}
)
_FOREIGN_WORD: Final = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
_FOREIGN_SHARE: Final = 0.55
_UNDEFINED_1252: Final = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
# "é" read as Windows-1252 and written as UTF-8 once more.
_DOUBLED: Final = re.compile(rb"\xc3[\x82\x83]\xc2[\x80-\xbf]|\xc3\xa2\xe2\x82\xac")


class TextFacts(BaseModel):
    """What the bytes of a table show."""

    encoding: str
    is_guessed: bool = False
    falls_back: bool = False
    """Some bytes are not valid in the encoding and are read as Windows-1252."""
    nul_count: int = 0
    mark_count: int = 0
    """Byte-order marks after the first one."""
    doubled_count: int = 0
    """Places that look encoded twice."""
    invalid_lines: tuple[int, ...] = ()
    invalid_count: int = 0
    undefined_count: int = 0
    """Bytes that the guessed encoding does not know."""
    line_ends: dict[str, int] = {}
    line_bytes_max: int = 0


def _fallback(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in wrong), error.end


codecs.register_error(FALLBACK, _fallback)


def examine(stream: IO[bytes], *, encoding: str) -> TextFacts:
    """Read all bytes of a table once and say what they are.

    Args:
        stream: the table, at its start.
        encoding: what it is said to be; `auto`: find out.
    """
    scan = _Scan()
    for chunk in _chunks(stream):
        scan.take(chunk)
    scan.finish()
    facts = TextFacts(
        encoding=encoding,
        nul_count=scan.nul_count,
        mark_count=scan.mark_count,
        doubled_count=scan.doubled_count,
        line_ends={name: count for name, count in scan.line_ends.items() if count},
        line_bytes_max=scan.longest,
    )
    if encoding != "auto" and not scan.mark:
        return _told(facts, scan, encoding)
    if scan.mark:
        return _told(facts, scan, scan.mark)
    if not scan.invalid_count:
        return facts.model_copy(update={"encoding": "utf-8"})
    if scan.valid_count >= UTF8_SHARE * (scan.valid_count + scan.invalid_count):
        update = {"encoding": "utf-8", "falls_back": True, "invalid_lines": tuple(scan.invalid_lines), "invalid_count": scan.invalid_count}
        return facts.model_copy(update=update)
    guess = _guess(bytes(scan.sample))
    undefined = scan.undefined_count if guess == "cp1252" else 0
    return facts.model_copy(update={"encoding": guess, "is_guessed": True, "undefined_count": undefined, "falls_back": undefined > 0})


def _told(facts: TextFacts, scan: _Scan, encoding: str) -> TextFacts:
    name = codecs.lookup(encoding).name
    if name in {"utf-8", "utf-8-sig"}:
        update = {"falls_back": scan.invalid_count > 0, "invalid_lines": tuple(scan.invalid_lines), "invalid_count": scan.invalid_count}
        return facts.model_copy(update={"encoding": "utf-8-sig", **update})
    if name.startswith(("utf-16", "utf-32")):
        return facts.model_copy(update={"encoding": name, "nul_count": 0})
    return facts.model_copy(update={"encoding": name, "falls_back": True})


def open_text(stream: IO[bytes], facts: TextFacts) -> io.TextIOWrapper:
    """Decode a table as it was examined; line ends stay as they are."""
    return io.TextIOWrapper(stream, encoding=facts.encoding, errors=FALLBACK if facts.falls_back else "strict", newline="")


def lines_of(text: io.TextIOWrapper, facts: TextFacts) -> Iterator[str]:
    """Yield lines without NUL and without byte-order marks."""
    if not facts.nul_count and not facts.mark_count:
        return iter(text)
    return (line.replace("\0", "").replace("\ufeff", "") for line in text)


class _Scan:
    """Counts over chunks."""

    def __init__(self) -> None:
        self.mark = ""
        self.nul_count = self.mark_count = self.doubled_count = self.undefined_count = 0
        self.valid_count = self.invalid_count = 0
        """Lines that are not ASCII: those that are valid UTF-8, and those that are not."""
        self.invalid_lines: list[int] = []
        self.line_ends = {"CRLF": 0, "LF": 0, "CR": 0}
        self.longest = 0
        self.sample = bytearray()
        self._line = 1
        self._rest = b""
        self._is_first = True
        self._open_bytes = 0

    def take(self, chunk: bytes) -> None:
        if self._is_first:
            self._begin(chunk)
        data = self._rest + chunk
        if self.mark and self.mark != "utf-8-sig":
            return
        # Only whole lines are looked at, so that no sign is cut in two; a line that never ends is counted and let go.
        end = max(data.rfind(b"\n"), data.rfind(b"\r", 0, len(data) - 1))
        if end < 0:
            if len(data) > CHUNK_BYTES * 2:
                self._open_bytes += len(data)
                self._look(data)
                data = b""
            self._rest = data
            self.longest = max(self.longest, self._open_bytes + len(data))
            return
        self._look(data[: end + 1])
        self._open_bytes = 0
        self._rest = data[end + 1 :]

    def finish(self) -> None:
        if self._rest:
            self._look(self._rest)
            self._rest = b""

    def _begin(self, chunk: bytes) -> None:
        self._is_first = False
        self.mark = next((name for mark, name in _MARKS if chunk.startswith(mark)), "")
        if self.mark == "utf-8-sig":
            self.mark_count -= 1
        head = chunk[:4096]
        if not self.mark and len(head) >= len(codecs.BOM_UTF32_LE) and head.count(b"\0") * 3 > len(head):
            # Every other byte empty: UTF-16 without its mark. ASCII characters have the empty byte behind (little) or before (big).
            self.mark = "utf-16-le" if head[1::2].count(b"\0") > head[0::2].count(b"\0") else "utf-16-be"

    def _look(self, data: bytes) -> None:
        lines = data.count(b"\n")
        crlf = data.count(b"\r\n")
        self.line_ends["CRLF"] += crlf
        self.line_ends["LF"] += lines - crlf
        self.line_ends["CR"] += data.count(b"\r") - crlf
        if len(data) > self.longest:
            self.longest = max(self.longest, *(len(line) for line in data.splitlines()))
        self.nul_count += data.count(b"\0")
        if not data.isascii():
            self.mark_count += data.count(codecs.BOM_UTF8)
            self.doubled_count += sum(1 for _ in _DOUBLED.finditer(data))
            self._look_closely(data)
        self._line += lines

    def _look_closely(self, data: bytes) -> None:
        """Count the lines that are not ASCII, valid and not; only where one is not, each is looked at."""
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            for number, line in enumerate(data.split(b"\n"), start=self._line):
                if line.isascii():
                    continue
                self._weigh(number, line)
        else:
            self.valid_count += sum(not line.isascii() for line in data.split(b"\n"))

    def _weigh(self, number: int, line: bytes) -> None:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            self.invalid_count += 1
            self.undefined_count += len(_UNDEFINED_1252.findall(line))
            if len(self.invalid_lines) < 10:  # noqa: PLR2004 - samples
                self.invalid_lines.append(number)
            if len(self.sample) < _SAMPLE_BYTES_MAX:
                self.sample += line[:4096] + b"\n"
        else:
            self.valid_count += 1


def _guess(sample: bytes) -> str:
    """Guess from lines that are not ASCII. Western encodings differ in little, and old programs write Windows-1252.

    Words with a letter or two beyond ASCII are Western; other scripts have such letters throughout. Only these are guessed by their frequencies.
    """
    words = _FOREIGN_WORD.findall(sample)
    beyond = sum(byte > 0x7F for word in words for byte in word)  # noqa: PLR2004 - ASCII
    if beyond < _FOREIGN_SHARE * sum(map(len, words)):
        return "cp1252"
    best = from_bytes(sample).best()
    name = best.encoding if best is not None else "cp1252"
    return "cp1252" if name in _WESTERN or name.startswith("utf") else name


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
