"""Addresses of images that need no token, as product images and pictures of persons have them, and the bytes behind them.

An address has a mark that only the account can make. That of a product image is good for 7 days (documented). Of pictures of
persons the real service keeps copies of 128 and 512 pixels; here both addresses give the picture as it was sent.
"""

import hashlib

from sandbox.common.asgi import Request, Response
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.store import Record

PREFIX = "/_public/"
LIFE_SECONDS = 7 * 24 * 3600
_SIZES = ("128", "512")
_TYPES = {"gif": b"image/gif", "jpg": b"image/jpeg", "png": b"image/png"}
_ENDINGS = {kind.decode(): ending for ending, kind in _TYPES.items()}


def image_url(account: Account, request: Request, image: Record) -> str:
    """Return the address of a product image for 7 days, as the caller can reach it."""
    until = int(account.clock.epoch()) + LIFE_SECONDS
    return origin(request) + _path(account, image, f"product_image/{image['id']}/{until}")


def picture_urls(account: Account, picture: Record, base: str = "") -> dict[str, str]:
    """Return the addresses of a person's picture by edge in pixels.

    Args:
        account: The account, for its marks.
        picture: The picture.
        base: What the caller reaches the account by; without it the addresses are paths, for webhooks know no caller.
    """
    return {size: base + _path(account, picture, f"picture/{picture['id']}/{size}") for size in _SIZES}


def origin(request: Request) -> str:
    """Return what the caller reaches the account by."""
    return f"http://{request.header(b'host') or 'localhost'}"


def answer_public(account: Account, request: Request) -> Response:
    """Answer the bytes of an image that is still in use: 404 when it is not, 403 when the address is too old."""
    stem, _, ending = request.path.removeprefix(PREFIX).rpartition(".")
    name, _, mark = stem.rpartition("_")
    if request.method not in {"GET", "HEAD"} or mark != _mark(account, name):
        return Response(404, b"Not found", b"text/plain")
    kind, image_id, last = name.split("/")
    image = account.live(kind, int(image_id))
    if image is None or ending != _ENDINGS[image["mime_type"]]:
        return Response(404, b"Not found", b"text/plain")
    if kind == "product_image" and account.clock.epoch() > int(last):
        return Response(403, b"This address is too old", b"text/plain")
    return Response(200, account.store.get_blob(image["digest"]), _TYPES[ending])


def _path(account: Account, image: Record, name: str) -> str:
    return f"{PREFIX}{name}_{_mark(account, name)}.{_ENDINGS[image['mime_type']]}"


def _mark(account: Account, name: str) -> str:
    return hashlib.sha256(f"{account.store.meta['salt']}:{name}".encode()).hexdigest()[:32]
