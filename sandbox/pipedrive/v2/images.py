"""Images of products: one each, uploaded as the multipart part `data`."""

import hashlib
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.image_header import read_image_header
from sandbox.pipedrive.account.public_images import image_url
from sandbox.pipedrive.gateway.call import Call, Result, success
from sandbox.pipedrive.gateway.errors import bad_request, not_found
from sandbox.pipedrive.gateway.routes import Route
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.files import read_form
from sandbox.pipedrive.v1.users import COMPANY_ID
from sandbox.pipedrive.v2.parents import live_parent


class Images:
    """`/products/{id}/images`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def get(self, call: Call) -> Result:
        """Answer the image of a product with a URL that needs no token."""
        product = live_parent(self.account, "product", call)
        call.refuse_query()
        image = self._image(product)
        details = {"public_url": image_url(self.account, call.request, image), "mime_type": image["mime_type"], "name": image["name"]}
        return success(_render(image) | details)

    async def create(self, call: Call) -> Result:
        """Upload an image; one that is there already is replaced (assumed)."""
        product = live_parent(self.account, "product", call)
        values = await self._values(call)
        image = self.account.new_record("product_image", product_id=product["id"], **values)
        for before in self._images(product):
            self._remove(before)
        self.account.store.put("product_image", image)
        return success(_render(image), 201)

    async def update(self, call: Call) -> Result:
        """Replace the image of a product by another."""
        image = self._image(live_parent(self.account, "product", call))
        changed = {**image, **await self._values(call), "update_time": self.account.now()}
        self.account.store.put("product_image", changed)
        return success(_render(changed))

    def delete(self, call: Call) -> Result:
        """Delete the image of a product."""
        image = self._image(live_parent(self.account, "product", call))
        self._remove(image)
        return success({"id": image["id"]})

    async def _values(self, call: Call) -> dict[str, Any]:
        """Read the upload.

        Raises:
            ApiError: 400 without an image in the part `data`, or with one of another format (formats and texts assumed).
        """
        _, name, content = await read_form(call.request, "data")
        header = read_image_header(content)
        if header is None:
            raise bad_request("data must be a GIF, JPG or PNG image")
        digest = hashlib.sha256(content).hexdigest()
        self.account.store.put_blob(digest, content)
        return {"name": name or f"image.{header.ending}", "mime_type": header.mime_type, "file_size": len(content), "digest": digest}

    def _images(self, product: Record) -> list[Record]:
        return [image for image in self.account.store["product_image"].find("product_id", product["id"]) if not image["is_deleted"]]

    def _image(self, product: Record) -> Record:
        images = self._images(product)
        if not images:
            raise not_found("Product image")
        return images[-1]

    def _remove(self, image: Record) -> None:
        self.account.store.put("product_image", {**image, "is_deleted": True, "update_time": self.account.now()})


def _render(image: Record) -> dict[str, Any]:
    return {"id": image["id"], "product_id": image["product_id"], "company_id": str(COMPANY_ID), "add_time": image["add_time"]}


def routes(account: Account) -> list[Route]:
    """Return the operations on product images."""
    images = Images(account)
    path = "/api/v2/products/{id}/images"
    return [
        Route("GET", path, 2, 10, images.get),
        Route("POST", path, 2, 20, images.create),
        Route("PUT", path, 2, 20, images.update),
        Route("DELETE", path, 2, 6, images.delete),
    ]
