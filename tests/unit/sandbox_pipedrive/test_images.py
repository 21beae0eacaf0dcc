"""Images of products and pictures of persons, and the first bytes that tell what they are."""

import struct
from urllib.parse import urlsplit

import pytest

from sandbox.pipedrive.account.image_header import read_image_header
from sandbox.pipedrive.seed.extras import one_colour
from tests.unit.sandbox_pipedrive.driver import Answer, Driver, Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime
from tests.unit.sandbox_pipedrive.multipart import HEADERS, multipart

PNG = one_colour(200, b"\x10\x80\xf0")
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    b"\xff\xff\xd0\xff\xc0\x00\x11\x08" + struct.pack(">HH", 150, 300) + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480) + b"\0\0\0"
IMAGE, PICTURE = "/api/v2/products/2/images", "/v1/persons/2/picture"


def test_headers_tell_format_and_size() -> None:
    for content, expected in ((PNG, ("image/png", 200, 200)), (JPEG, ("image/jpeg", 300, 150)), (GIF, ("image/gif", 640, 480))):
        header = read_image_header(content)
        assert header is not None
        assert (header.mime_type, header.width, header.height) == expected


@pytest.mark.parametrize("content", [PNG, JPEG, GIF])
def test_a_part_of_a_header_is_no_image(content: bytes) -> None:
    header = read_image_header(content)
    known = next(length for length in range(len(content) + 1) if read_image_header(content[:length]) is not None)
    assert read_image_header(content[:known]) == header
    assert 10 <= known <= 60


@pytest.mark.parametrize("content", [b"", b"RIFF....WEBP", b"\xff\xd8", b"\xff\xd8\x00\x00\x00\x00", b"\xff\xd8\xff\xd9\x00\x02", b"%PDF-1.7"])
def test_other_bytes_are_no_image(content: bytes) -> None:
    assert read_image_header(content) is None


async def _send(api: Driver, path: str, part: str, content: bytes, *, method: str = "POST", fields: dict[str, object] | None = None) -> Answer:
    return await api.send(method, path, multipart(part, "photo.png", content, **(fields or {})), headers=HEADERS)


async def _fetch(api: Driver, url: str) -> Answer:
    return await api.send("GET", urlsplit(url).path, token=None)


async def test_product_image_goes_in_and_comes_out_without_a_token(api: Driver) -> None:
    assert (await api.get(IMAGE)).status == 404
    answer = await _send(api, IMAGE, "data", PNG)
    assert (answer.status, answer.data["product_id"], answer.data["company_id"]) == (201, 2, "7770001")
    image = (await api.get(IMAGE)).data
    assert (image["id"], image["mime_type"], image["name"]) == (answer.data["id"], "image/png", "photo.png")
    assert (await _fetch(api, image["public_url"])).body == PNG
    changed = await _send(api, IMAGE, "data", JPEG, method="PUT")
    assert (changed.status, changed.data["id"]) == (200, image["id"])
    after = (await api.get(IMAGE)).data
    assert (after["mime_type"], (await _fetch(api, after["public_url"])).body) == ("image/jpeg", JPEG)
    assert (await api.delete(IMAGE)).data == {"id": image["id"]}
    assert (await api.get(IMAGE)).status == (await api.delete(IMAGE)).status == 404
    assert (await _fetch(api, after["public_url"])).status == 404


async def test_a_second_upload_replaces_the_first(api: Driver) -> None:
    first, second = (await _send(api, IMAGE, "data", PNG)).data, (await _send(api, IMAGE, "data", GIF)).data
    assert first["id"] != second["id"]
    assert (await api.get(IMAGE)).data["id"] == second["id"]
    await api.delete(IMAGE)
    assert (await api.get(IMAGE)).status == 404


async def test_product_image_must_be_an_image_in_its_part(api: Driver) -> None:
    assert (await _send(api, IMAGE, "data", b"%PDF-1.7")).status == 400
    assert (await _send(api, IMAGE, "file", PNG)).status == 400
    assert (await api.post(IMAGE, {"data": "x"})).status == 400
    assert (await _send(api, IMAGE, "data", PNG, method="PUT")).status == 404
    assert (await _send(api, "/api/v2/products/999/images", "data", PNG)).status == 404


async def test_picture_goes_in_by_version_1_and_comes_out_by_version_2(api: Driver) -> None:
    assert (await api.get("/api/v2/persons/2/picture")).status == 404
    answer = await _send(api, PICTURE, "file", PNG)
    assert (answer.status, answer.data["item_type"], answer.data["item_id"], answer.data["added_by_user_id"]) == (200, "person", 2, 1)
    picture = (await api.get("/api/v2/persons/2/picture")).data
    assert (picture["id"], picture["active_flag"], picture["file_size"]) == (answer.data["id"], True, len(PNG))
    assert set(picture["pictures"]) == {"128", "512"}
    for url in picture["pictures"].values():
        assert (await _fetch(api, url)).body == PNG
    assert (await api.get("/api/v2/persons/2")).data["picture_id"] == picture["id"]
    second = (await _send(api, PICTURE, "file", PNG)).data
    assert (await api.get("/api/v2/persons/2/picture")).data["id"] == second["id"] != picture["id"]
    assert (await api.delete(PICTURE)).data == {"id": 2}
    assert (await api.get("/api/v2/persons/2/picture")).status == (await api.delete(PICTURE)).status == 404
    assert (await api.get("/api/v2/persons/2")).data["picture_id"] is None


async def test_version_1_shows_the_picture_inside_a_person(api: Driver) -> None:
    picture = (await _send(api, PICTURE, "file", PNG)).data
    person = (await api.get("/v1/deals/2/participants")).data[0]["person"]
    assert (person["picture_id"]["id"], person["picture_id"]["item_id"]) == (picture["id"], 2)
    assert (await _fetch(api, person["picture_id"]["pictures"]["512"])).body == PNG


@pytest.mark.parametrize(
    ("content", "crop", "status"),
    [
        (one_colour(127, b"abc"), {}, 400),
        (one_colour(128, b"abc"), {}, 200),
        (JPEG, {}, 400),
        (JPEG, {"crop_x": 100, "crop_y": 10, "crop_width": 130, "crop_height": 130}, 200),
        (JPEG, {"crop_x": 200, "crop_y": 10, "crop_width": 130, "crop_height": 130}, 400),
        (JPEG, {"crop_width": 140, "crop_height": 130}, 400),
        (JPEG, {"crop_width": 130}, 400),
        (JPEG, {"crop_width": "wide", "crop_height": 130}, 400),
        (b"no image", {}, 400),
    ],
)
async def test_pictures_are_squares_of_128_pixels_or_more(api: Driver, content: bytes, crop: dict[str, object], status: int) -> None:
    assert (await _send(api, PICTURE, "file", content, fields=crop)).status == status


async def test_address_of_a_product_image_lives_for_7_days(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock())
    await _send(api, IMAGE, "data", PNG)
    await _send(api, PICTURE, "file", PNG)
    image, picture = (await api.get(IMAGE)).data["public_url"], (await api.get("/api/v2/persons/2/picture")).data["pictures"]["128"]
    time.sleep(7 * 24 * 3600 - 1)
    assert (await _fetch(api, image)).status == 200
    time.sleep(2)
    assert (await _fetch(api, image)).status == 403
    assert (await _fetch(api, picture)).status == 200
    assert (await _fetch(api, (await api.get(IMAGE)).data["public_url"])).status == 200


async def test_public_addresses_are_exact(api: Driver) -> None:
    await _send(api, IMAGE, "data", PNG)
    path = urlsplit((await api.get(IMAGE)).data["public_url"]).path
    assert (await api.send("GET", path, token=None)).status == 200
    assert (await api.send("POST", path, token=None)).status == 404
    for wrong in (
        path.replace(".png", ".exe"),
        path.replace("product_image/", "product_image/9"),
        path.replace("_public", "_public/x"),
        "/_public/",
        "/_public/x.png",
    ):
        assert (await api.send("GET", wrong, token=None)).status == 404
