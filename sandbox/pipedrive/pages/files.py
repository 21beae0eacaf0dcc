"""Bytes of files, without a token: pictures and PDF documents open in the browser, everything else is saved."""

from urllib.parse import quote

from sandbox.common.asgi import Response
from sandbox.pipedrive.pages.reader import Reader

_INLINE = {
    "png": b"image/png",
    "jpg": b"image/jpeg",
    "jpeg": b"image/jpeg",
    "gif": b"image/gif",
    "webp": b"image/webp",
    "pdf": b"application/pdf",
    "txt": b"text/plain; charset=utf-8",
}
"""What a browser shows without running anything in it. SVG and HTML can hold scripts, so they are not among these."""
_BINARY = b"application/octet-stream"


def download(reader: Reader, file_id: int) -> Response | None:
    """Answer the bytes of a file, None when there are none."""
    file = reader.account.live("file", file_id)
    if file is None or not file.get("digest"):
        return None
    content_type = _INLINE.get(file["name"].rpartition(".")[2].lower())
    name = quote(file["name"].replace("/", "_").replace("\\", "_"), safe="")
    disposition = f"{'attachment' if content_type is None else 'inline'}; filename*=UTF-8''{name}"
    headers = [
        (b"content-disposition", disposition.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    ]
    if content_type != b"application/pdf":  # the browser's viewer of PDF documents does not work inside a sandbox
        headers.append((b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; sandbox"))
    return Response(200, reader.store.get_blob(file["digest"]), content_type or _BINARY, headers)
