"""What the first bytes of an image tell: its format and size. Nothing is decoded."""

from dataclasses import dataclass

_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers of a frame header; the three left out mean other things."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Format and size of an image."""

    mime_type: str
    ending: str
    width: int
    """Pixels."""
    height: int
    """Pixels."""


def read_image_header(content: bytes) -> ImageHeader | None:
    """Return the header of a GIF, JPEG or PNG, None for anything else or less."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and content[12:16] == b"IHDR" and len(content) >= 24:
        return ImageHeader("image/png", "png", int.from_bytes(content[16:20]), int.from_bytes(content[20:24]))
    if content[:6] in {b"GIF87a", b"GIF89a"} and len(content) >= 10:
        return ImageHeader("image/gif", "gif", int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little"))
    if content.startswith(b"\xff\xd8"):
        return _read_jpeg(content)
    return None


def _read_jpeg(content: bytes) -> ImageHeader | None:
    """Walk from segment to segment up to the frame header, which has the size."""
    position = 2
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xFF:  # padding before a marker
            position += 1
        elif marker in _JPEG_BARE:
            position += 2
        elif marker in _JPEG_FRAMES:
            if position + 9 > len(content):
                return None
            height, width = int.from_bytes(content[position + 5 : position + 7]), int.from_bytes(content[position + 7 : position + 9])
            return ImageHeader("image/jpeg", "jpg", width, height)
        else:
            position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return None
