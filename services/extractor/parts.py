"""Parts of a large file: byte ranges of the one blob in staging, each with its digest, and the text that says how they are joined.

Nothing is copied: a part is a place in the file. Which parts there are is decided while the file comes in, because only then is its true size known.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

PART_NAME_CHARACTERS_MAX: Final = 255
"""Longest name of a part."""
JOINING_SUFFIX: Final = ".parts.txt"
"""Ends the name of the text that says how parts are joined."""
_DIGITS_MIN: Final = 3


@dataclass(frozen=True, slots=True)
class FilePart:
    """One part.

    Attributes:
        number: from 1 on.
        key: end of the mapped record's key.
        name: the file's name with the number behind it, `film.mp4.001`.
        first_byte: where it begins in the file, from 0.
        byte_count: its bytes.
        digest: SHA-256 of its bytes.
    """

    number: int
    key: str
    name: str
    first_byte: int
    byte_count: int
    digest: str

    def to_json(self) -> dict[str, Any]:
        """Write it as it stands in an envelope."""
        return asdict(self)


def part_bytes(file_bytes_max: int) -> int:
    """Answer how long parts are where files may have `file_bytes_max` bytes: nine tenths, below the limit however a megabyte is counted."""
    return max(1, file_bytes_max * 9 // 10)


class PartHasher:
    """Digests every part of a stream of bytes in one pass; holds no bytes."""

    def __init__(self, bytes_of_part: int) -> None:
        self._bytes_of_part = bytes_of_part
        self._done: list[tuple[int, str]] = []
        self._hash = hashlib.sha256()
        self._count = 0

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        view = memoryview(chunk)
        while view:
            taken = view[: self._bytes_of_part - self._count]
            self._hash.update(taken)
            self._count += len(taken)
            view = view[len(taken) :]
            if self._count == self._bytes_of_part:
                self._close()

    def _close(self) -> None:
        self._done.append((self._count, self._hash.hexdigest()))
        self._hash, self._count = hashlib.sha256(), 0

    def parts(self, name: str) -> list[FilePart]:
        """Answer the parts of what was taken, which ends here, as parts of a file of that name."""
        if self._count:
            self._close()
        digits = max(_DIGITS_MIN, len(str(len(self._done))))
        found, first_byte = [], 0
        for number, (byte_count, digest) in enumerate(self._done, start=1):
            part_name = with_suffix(name, f".{number:0{digits}}")
            found.append(FilePart(number, f"part-{number}", part_name, first_byte, byte_count, digest))
            first_byte += byte_count
        return found


def with_suffix(name: str, suffix: str) -> str:
    """Put a suffix behind a name, which is cut where both would be too long."""
    return name[: PART_NAME_CHARACTERS_MAX - len(suffix)] + suffix


def joining_text(name: str, byte_count: int, digest: str, parts: Sequence[FilePart]) -> str:
    """Say how parts become the file again.

    The commands hold no name: names come from the source, and a hostile one must not become a command of whoever copies the line.
    """
    listed = "\n".join(f"{part.name}  {part.byte_count} bytes  SHA-256 {part.digest}" for part in parts)
    return f"""This file is larger than Pipedrive takes, so it was cut into {len(parts)} parts.
They are plain pieces of it: no special program is needed.

File: {name}
Size: {byte_count} bytes
SHA-256: {digest}

To join them, save the parts, and nothing else, in an empty folder and open a terminal there:
Windows: copy /b * ..\\joined
macOS, Linux: cat ./* > ../joined
The order is that of the numbers at the end of their names. Give the result the name above.

To check the result:
Windows: certutil -hashfile ..\\joined SHA256
macOS: shasum -a 256 ../joined
Linux: sha256sum ../joined
It must show the SHA-256 above. If it does not, a part is missing, damaged or in the wrong place.

Parts:
{listed}
"""
