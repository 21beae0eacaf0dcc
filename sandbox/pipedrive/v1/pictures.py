"""Pictures of persons: written in version 1, read in version 2. Square, at least 128 pixels, GIF, JPG or PNG (documented)."""

import hashlib
from typing import Any

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.image_header import ImageHeader, read_image_header
from sandbox.pipedrive.account.public_images import origin
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of
from sandbox.pipedrive.v1.files import read_form
from sandbox.pipedrive.v1.rendering import picture_object
from sandbox.pipedrive.v2.parents import live_parent

EDGE_MIN = 128
_CROP = ("crop_x", "crop_y", "crop_width", "crop_height")


class Pictures:
    """`/persons/{id}/picture`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def get(self, call: Call) -> Result:
        """Answer the picture of a person (version 2)."""
        person = live_parent(self.account, "person", call)
        call.refuse_query()
        picture = self._picture(person)
        details = {name: shown for name, shown in render(self.account, picture, call.request).items() if name not in {"add_time", "update_time"}}
        return success(details | {"file_size": picture["file_size"]})

    async def create(self, call: Call) -> Result:
        """Give a person a picture; one that is there already is replaced."""
        person = live_parent(self.account, "person", call)
        fields, name, content = await read_form(call.request)
        header = read_image_header(content)
        if not name or header is None:
            raise bad_request("file must be a GIF, JPG or PNG image")
        _check_size(header, {part: integer_of(fields.get(part), part) for part in _CROP})
        digest = hashlib.sha256(content).hexdigest()
        self.account.store.put_blob(digest, content)
        picture = self.account.new_record(
            "picture", person_id=person["id"], mime_type=header.mime_type, file_size=len(content), digest=digest, creator_user_id=call.user["id"]
        )
        self._remove(person)
        self.account.store.put("picture", picture)
        self._set(person, picture["id"])
        return success(render(self.account, picture, call.request))

    def delete(self, call: Call) -> Result:
        """Take a person's picture away. The id in the answer is the person's (documented)."""
        person = live_parent(self.account, "person", call)
        self._picture(person)
        self._remove(person)
        self._set(person, None)
        return success({"id": person["id"]})

    def _pictures(self, person: Record) -> list[Record]:
        return [picture for picture in self.account.store["picture"].find("person_id", person["id"]) if not picture["is_deleted"]]

    def _picture(self, person: Record) -> Record:
        pictures = self._pictures(person)
        if not pictures:
            raise not_found("Picture")
        return pictures[-1]

    def _remove(self, person: Record) -> None:
        for picture in self._pictures(person):
            self.account.store.put("picture", {**picture, "is_deleted": True, "update_time": self.account.now()})

    def _set(self, person: Record, picture_id: int | None) -> None:
        self.account.store.put("person", {**person, "picture_id": picture_id, "update_time": self.account.now()})


def render(account: Account, picture: Record, request: Request) -> dict[str, Any]:
    """Return a picture as version 1 shows it."""
    return picture_object(account, picture, origin(request))


def _check_size(header: ImageHeader, crop: dict[str, int | None]) -> None:
    """Check the picture, or the part of it that is cut out where a width and a height are given.

    Raises:
        ApiError: 400 unless it is a square of at least 128 pixels inside the picture (texts assumed).
    """
    width, height = crop["crop_width"], crop["crop_height"]
    if width is None and height is None:
        width, height = header.width, header.height
    elif width is None or height is None:
        raise bad_request("crop_width and crop_height must be given together")
    if width != height or width < EDGE_MIN:
        raise bad_request(f"The picture must be a square of at least {EDGE_MIN} pixels")
    if (crop["crop_x"] or 0) + width > header.width or (crop["crop_y"] or 0) + height > header.height:
        raise bad_request("The area to cut out must lie in the picture")


def routes(account: Account) -> list[Route]:
    """Return the operations on pictures."""
    pictures = Pictures(account)
    return [
        Route("GET", "/api/v2/persons/{id}/picture", 2, 1, pictures.get),
        Route("POST", "/v1/persons/{id}/picture", 1, 10, pictures.create),
        Route("DELETE", "/v1/persons/{id}/picture", 1, 6, pictures.delete),
    ]
