"""Bytes of files, without a token: pictures and PDF documents open in the browser, everything else is saved."""

from urllib.parse import quote

from sandbox.common.asgi import Headers, Response
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
_PICTURES = {kind.decode(): kind for kind in _INLINE.values() if kind.startswith(b"image/")}
_SAFE: Headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_SANDBOX = (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; sandbox")


def download(reader: Reader, file_id: int) -> Response | None:
    """Answer the bytes of a file, None when there are none."""
    file = reader.account.live("file", file_id)
    if file is None or not file.get("digest"):
        return None
    content_type = _INLINE.get(file["name"].rpartition(".")[2].lower())
    name = quote(file["name"].replace("/", "_").replace("\\", "_"), safe="")
    disposition = f"{'attachment' if content_type is None else 'inline'}; filename*=UTF-8''{name}"
    headers = [(b"content-disposition", disposition.encode("ascii")), *_SAFE]
    if content_type != b"application/pdf":  # the browser's viewer of PDF documents does not work inside a sandbox
        headers.append(_SANDBOX)
    return Response(200, reader.store.get_blob(file["digest"]), content_type or _BINARY, headers)


def picture(reader: Reader, kind: str, picture_id: int) -> Response | None:
    """Answer the picture of a person or the image of a product, None when there is none."""
    found = reader.account.live(kind, picture_id)
    content_type = _PICTURES.get(found["mime_type"]) if found is not None else None
    if found is None or content_type is None:
        return None
    return Response(200, reader.store.get_blob(found["digest"]), content_type, [*_SAFE, _SANDBOX])
