"""Addresses of images that need no token, as product images and pictures of persons have them, and the bytes behind them.

An address names the SHA-256 of the image, so it can be guessed by nobody who has not seen the image. Of pictures of persons
the real service keeps copies of 128 and 512 pixels; here both addresses give the picture as it was sent.
"""

from sandbox.common.asgi import Request, Response
from sandbox.pipedrive.account import Account
from sandbox.pipedrive.store import Record

PREFIX = "/_public/"
_TYPES = {"gif": b"image/gif", "jpg": b"image/jpeg", "png": b"image/png"}
_ENDINGS = {kind.decode(): ending for ending, kind in _TYPES.items()}
_DIGEST_LENGTH = 64


def public_url(request: Request, image: Record, size: str = "") -> str:
    """Return the address of an image, as the caller can reach it.

    Args:
        request: The request that asks, which tells the host.
        image: A product image or a picture.
        size: Edge in pixels that the address promises, empty for none.
    """
    host = request.header(b"host") or "localhost"
    suffix = f"_{size}" if size else ""
    return f"http://{host}{PREFIX}{image['digest']}{suffix}.{_ENDINGS[image['mime_type']]}"


def answer_public(account: Account, request: Request) -> Response:
    """Answer the bytes of an image that is still in use."""
    stem, _, ending = request.path.removeprefix(PREFIX).partition(".")
    digest = stem[:_DIGEST_LENGTH]
    is_known = ending in _TYPES and any(
        image["digest"] == digest and not image["is_deleted"] for kind in ("product_image", "picture") for image in account.store[kind]
    )
    if not is_known or request.method not in {"GET", "HEAD"}:
        return Response(404, b"Not found", b"text/plain")
    return Response(200, account.store.get_blob(digest), _TYPES[ending])
