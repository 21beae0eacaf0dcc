"""Multipart bodies for uploads."""

HEADERS = {"content-type": "multipart/form-data; boundary=line"}


def multipart(part: str, name: str, content: bytes, **fields: object) -> bytes:
    """Return a body with plain fields and one file."""
    plain = [
        b'--line\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (key.encode(), str(value).encode()) for key, value in fields.items()
    ]
    head = b'--line\r\ncontent-disposition: form-data; name="%s"; filename="%s"\r\n\r\n' % (part.encode(), name.encode())
    return b"".join([*plain, head, content, b"\r\n--line--\r\n"])
