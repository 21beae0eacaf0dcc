"""The bytes behind file links: small valid images and PDFs, made from their name, and one file that is too large to be wanted."""

import struct
import zlib
from collections.abc import Iterator
from hashlib import sha256

OVERSIZE_STEM = "oversize"
OVERSIZE_BYTES = 26 * 1024 * 1024 + 17
"""Above the 25 MB that Pipedrive takes."""
MISSING_STEM = "missing"
"""Links with this stem answer 404."""
_CHUNK_BYTES = 64 * 1024


def content_type(name: str) -> str:
    """Return the media type by the ending of the name."""
    return "image/png" if name.endswith(".png") else "application/pdf"


def content(path: str) -> bytes:
    """Return the bytes of a file; the same path always has the same bytes."""
    digest = sha256(path.encode()).digest()
    return _png(digest) if path.endswith(".png") else _pdf(f"Sandbox document {digest.hex()[:16]}")


def oversize_chunks() -> Iterator[bytes]:
    """Yield a file larger than the limit piece by piece."""
    left = OVERSIZE_BYTES
    while left:
        size = min(left, _CHUNK_BYTES)
        yield bytes(size)
        left -= size


def _png(digest: bytes) -> bytes:
    """Return a 4 x 4 image in a colour of its own."""
    rows = b"".join(b"\x00" + digest[:3] * 4 for _ in range(4))
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + chunks


def _pdf(text: str) -> bytes:
    """Return a document of one page with one line of text."""
    stream = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 144] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    document = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(bodies, start=1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    xref = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(bodies) + 1, table)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, len(document))
    return document + xref + trailer
