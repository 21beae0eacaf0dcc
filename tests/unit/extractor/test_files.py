"""Files: derived from frozen pages, downloaded to staging, described without their links."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from services.extractor.files import NAME_CHARACTERS_MAX, safe_name
from services.extractor.ports import State
from tests.fixtures.stel_order.stand_in import FILES_URL, STAMP, StandIn, failure, row
from tests.fixtures.stel_order.world import CrashError, World

TOKEN = "token-nobody-may-see"


def link(name: str) -> str:
    return f"{FILES_URL}/{name}?token={TOKEN}"


def invoice(number: int, **fields: Any) -> dict[str, Any]:
    return row(
        number,
        path=f"app.stelorder.com/app/ordinaryInvoices/{number}",
        **{"full-reference": f"FAC{number:05}", "pdf-path": link(f"{number}.pdf"), **fields},
    )


async def test_documents_images_and_attachments_become_file_records() -> None:
    work_orders = [
        {**invoice(1, signed=True), "path": "app.stelorder.com/app/workOrders/1"},
        {**invoice(2, signed=False), "path": "app.stelorder.com/app/workOrders/2"},
    ]
    world = World(
        StandIn(
            {
                "products": [
                    row(
                        5,
                        **{
                            "full-reference": "PRO5",
                            "item-images": [{"item-image-path": link("i2"), "order": 2}, {"item-image-path": link("i1"), "order": 1}],
                        },
                    )
                ],
                "assets": [row(6, **{"reference": "A6", "asset-images": [{"asset-image-path": link("a"), "order": 1}]})],
                "workOrders": work_orders,
                "ordinaryInvoices": [invoice(3)],
                "entityAttachments": [{"id": 9, "entity-id": 1, "entity-type": "WORKORDER", "file-name": "plano.pdf", "file-url": link("9")}],
            },
            files={name: name.encode() for name in ("i1", "i2", "a", "1.pdf", "3.pdf", "9")},
        )
    )
    await world.extract()
    assert world.ids("item_image") == ["product-5-1", "product-5-2"]
    assert world.ids("asset_image") == ["asset-6-1"]
    assert world.ids("document_pdf") == ["work_order-1-1", "ordinary_invoice-3-1"]
    first = world.envelopes("item_image")[0]
    assert first["data"]["owner_entity"] == "product"
    assert first["data"]["owner_id"] == "5"
    assert first["file"] == {
        "digest": hashlib.sha256(b"i1").hexdigest(),
        "byte_count": 2,
        "name": "PRO5-1.pdf",
        "content_type": "application/pdf",
        "problem": None,
    }
    attachment = world.envelopes("entity_attachment")[0]
    assert (attachment["data"]["owner_entity"], attachment["data"]["owner_id"]) == ("work_order", "1")
    assert attachment["file"]["name"] == "plano.pdf"
    assert world.store.file_bytes[attachment["file"]["digest"]] == b"9"


async def test_links_are_secrets_and_kept_nowhere_but_in_the_owners_page(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="services")
    world = World(
        StandIn({"ordinaryInvoices": [invoice(3), invoice(4)], "entityAttachments": [{"id": 9, "file-url": link("9"), "download": link("9")}]})
    )
    await world.extract()
    for entity in ("document_pdf", "entity_attachment"):
        assert world.ids(entity)
        assert TOKEN not in json.dumps(world.envelopes(entity))
    assert TOKEN not in repr(world.ledger.recorded)
    assert TOKEN not in repr(world.ledger.reports)
    assert TOKEN not in caplog.text
    assert TOKEN not in "".join(str(getattr(record, "fields", "")) for record in caplog.records)


async def test_downloads_never_carry_the_key() -> None:
    world = World(StandIn({"ordinaryInvoices": [invoice(3)]}, files={"3.pdf": b"pdf"}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"])
    assert "APIKEY" not in world.source.requests[-1].headers


class Endless(httpx.AsyncByteStream):
    """A body that never ends; says how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> Any:
        while True:
            self.taken += 1000
            yield b"x" * 1000


@pytest.mark.requirement("X-07")
@pytest.mark.parametrize("announced", [True, False])
async def test_too_large_files_are_not_read_on(announced: bool) -> None:
    body = Endless()
    headers = {"Content-Length": "9000000"} if announced else {}
    world = World(StandIn({"ordinaryInvoices": [invoice(3)]}, files={"3.pdf": httpx.Response(200, stream=body, headers=headers)}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"], file_bytes_max=5_000)
    file = world.envelopes("document_pdf")[0]["file"]
    assert file["problem"] == "FILE_TOO_LARGE"
    assert file["byte_count"] == (9_000_000 if announced else 6_000)
    assert "digest" not in file
    assert body.taken <= 6_000
    assert world.store.file_bytes == {}


@pytest.mark.requirement("X-07", "D-04")
@pytest.mark.parametrize("announced", [None, "5000", "1"])
async def test_large_files_are_fetched_with_a_list_of_their_parts_when_that_is_asked(announced: str | None) -> None:
    content = bytes(range(256)) * 50  # 12,800 bytes
    body = httpx.ByteStream(content)
    headers = {"Content-Length": announced} if announced else {}
    world = World(StandIn({"ordinaryInvoices": [invoice(3)]}, files={"3.pdf": httpx.Response(200, stream=body, headers=headers)}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"], file_bytes_max=5_000, large_file_bytes_max=20_000)
    file = world.envelopes("document_pdf")[0]["file"]
    assert (file["problem"], file["byte_count"]) == ("FILE_TOO_LARGE", len(content))
    assert file["digest"] == hashlib.sha256(content).hexdigest()
    assert world.store.file_bytes[file["digest"]] == content
    pieces = [content[part["first_byte"] : part["first_byte"] + part["byte_count"]] for part in file["parts"]]
    assert b"".join(pieces) == content
    assert [len(piece) for piece in pieces] == [4_500, 4_500, 3_800]
    assert [part["digest"] for part in file["parts"]] == [hashlib.sha256(piece).hexdigest() for piece in pieces]
    assert [part["name"].rpartition(".")[2] for part in file["parts"]] == ["001", "002", "003"]
    text = world.store.file_bytes[file["joining"]["digest"]].decode()
    assert text == file["joining"]["text"]
    assert all(part["name"] in text for part in file["parts"])


@pytest.mark.requirement("X-07")
async def test_large_files_are_not_read_beyond_what_was_asked() -> None:
    body = Endless()
    world = World(StandIn({"ordinaryInvoices": [invoice(3)]}, files={"3.pdf": httpx.Response(200, stream=body)}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"], file_bytes_max=5_000, large_file_bytes_max=20_000)
    file = world.envelopes("document_pdf")[0]["file"]
    assert file["problem"] == "FILE_TOO_LARGE"
    assert not {"digest", "parts"} & set(file)
    assert body.taken <= 21_000
    assert world.store.file_bytes == {}


@pytest.mark.requirement("X-07")
async def test_a_file_within_the_limit_stays_whole() -> None:
    world = World(StandIn({"ordinaryInvoices": [invoice(3)]}, files={"3.pdf": b"x" * 5_000}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"], file_bytes_max=5_000, large_file_bytes_max=20_000)
    file = world.envelopes("document_pdf")[0]["file"]
    assert file["problem"] is None
    assert "parts" not in file


@pytest.mark.requirement("X-07")
async def test_a_large_file_that_was_fetched_is_not_fetched_again() -> None:
    attachment = {"id": 9, "entity-id": 1, "entity-type": "WORKORDER", "file-name": "plan.pdf", "file-url": link("9")}
    world = World(StandIn({"entityAttachments": [attachment]}, files={"9": b"x" * 9_000}))
    limits: dict[str, Any] = {"file_bytes_max": 5_000, "large_file_bytes_max": 20_000, "entities": ["entity_attachment"]}
    await world.extract(**limits)
    await world.extract(extraction_id="x2", **limits)
    assert len([url for url in world.source.calls if url.host == "files.test"]) == 1


@pytest.mark.parametrize("status", [404, 410, 403, 302])
async def test_missing_files_are_a_result_and_others_go_on(status: int) -> None:
    world = World(StandIn({"ordinaryInvoices": [invoice(3), invoice(4)]}, files={"3.pdf": httpx.Response(status), "4.pdf": b"pdf"}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"])
    assert [one["file"]["problem"] for one in world.envelopes("document_pdf")] == ["FILE_UNAVAILABLE", None]


async def test_broken_download_is_tried_again_then_called_unavailable() -> None:
    world = World(StandIn({"employees": [], "ordinaryInvoices": [invoice(3)]}, files={"3.pdf": httpx.ReadError("cut")}))
    await world.extract(entities=["ordinary_invoice", "document_pdf"])
    assert world.envelopes("document_pdf")[0]["file"]["problem"] == "FILE_UNAVAILABLE"
    assert sum(url.host == "files.test" for url in world.source.calls) == 3


async def test_outage_of_the_source_says_nothing_of_its_files() -> None:
    source = StandIn({"employees": [], "ordinaryInvoices": [invoice(3)]}, files={"3.pdf": httpx.ConnectError("down")}, script=[])
    source.script = [("employees", httpx.ConnectError("down"))] * 4

    def recover(stand_in: StandIn, url: httpx.URL) -> None:
        if url.path == "/app/employees" and len(stand_in.script) == 1:
            stand_in.files["3.pdf"] = b"back"

    source.on_call = recover
    world = World(source)
    await world.extract(entities=["ordinary_invoice", "document_pdf"])
    assert world.envelopes("document_pdf")[0]["file"]["problem"] is None
    assert world.ledger.of("", State.WAITING)


async def test_quota_refusal_of_a_download_is_waited_out() -> None:
    answers = [failure("E000001"), httpx.Response(200, content=b"pdf")]
    world = World(StandIn({"ordinaryInvoices": [invoice(3)]}))
    world.source.on_call = lambda source, url: source.files.update({"3.pdf": answers.pop(0)}) if url.host == "files.test" else None
    await world.extract(entities=["ordinary_invoice", "document_pdf"])
    assert world.envelopes("document_pdf")[0]["file"]["byte_count"] == 3
    assert sum(world.clock.naps) >= 61


async def test_full_disk_during_a_download_loses_no_file() -> None:
    world = World(StandIn({"ordinaryInvoices": [invoice(3)]}, files={"3.pdf": b"pdf"}))
    await world.extract(entities=["ordinary_invoice"])
    world.store.refusals = 2
    await world.extract(entities=["document_pdf"])
    assert world.envelopes("document_pdf")[0]["file"]["problem"] is None


@pytest.mark.requirement("L-06")
async def test_crash_among_files_downloads_at_most_one_chunk_again() -> None:
    numbers = range(1, 51)
    world = World(
        StandIn({"ordinaryInvoices": [invoice(number) for number in numbers]}, files={f"{number}.pdf": b"%d" % number for number in numbers})
    )
    await world.extract(entities=["ordinary_invoice"])
    world.ledger.crash_after_pages = 3  # the invoices and two chunks of files
    with pytest.raises(CrashError):
        await world.extract(entities=["document_pdf"])
    world.ledger.crash_after_pages = None
    await world.extract(entities=["document_pdf"])
    assert world.ids("document_pdf") == [f"ordinary_invoice-{number}-1" for number in numbers]
    assert sum(url.host == "files.test" for url in world.source.calls) == 50 + 10


@pytest.mark.requirement("L-11")
async def test_delta_downloads_only_what_changed() -> None:
    new = "2026-02-02T00:00:00+0000"
    source = StandIn(
        {
            "ordinaryInvoices": [invoice(3), invoice(4)],
            "entityAttachments": [{"id": 9, "entity-id": 1, "file-name": "a.pdf", "file-url": link("9")}],
        },
        files={"3.pdf": b"old", "4.pdf": b"pdf", "9": b"nine", "10": b"ten"},
    )
    world = World(source)
    await world.extract()
    calls = len(source.calls)
    source.collections["ordinaryInvoices"][0][STAMP] = new
    source.files["3.pdf"] = b"signed"
    source.collections["entityAttachments"].append({"id": 10, "entity-id": 1, "file-name": "b.pdf", "file-url": link("10")})
    await world.extract(extraction_id="x2", changed_since=datetime(2026, 2, 1, tzinfo=UTC))
    assert sorted(url.path for url in source.calls[calls:] if url.host == "files.test") == ["/10", "/3.pdf"]
    assert world.ids("document_pdf", "x2") == ["ordinary_invoice-3-1"]
    assert world.ids("entity_attachment", "x2") == ["10"]


@pytest.mark.requirement("L-11", "L-16")
async def test_delta_tries_files_again_that_could_not_be_had() -> None:
    source = StandIn({"ordinaryInvoices": [invoice(number) for number in range(1, 31)]})
    world = World(source)
    await world.extract(entities=["ordinary_invoice", "document_pdf"])
    assert {one["file"]["problem"] for one in world.envelopes("document_pdf")} == {"FILE_UNAVAILABLE"}
    since = datetime(2026, 2, 1, tzinfo=UTC)
    source.files = {f"{number}.pdf": b"back" for number in range(1, 30)}
    await world.extract(extraction_id="x2", changed_since=since, entities=["ordinary_invoice", "document_pdf"])
    assert len(world.ids("document_pdf", "x2")) == 30
    source.files["30.pdf"] = b"late"
    calls = len(source.calls)
    await world.extract(extraction_id="x3", changed_since=since, entities=["ordinary_invoice", "document_pdf"])
    assert [(one["id"], one["file"]["problem"]) for one in world.envelopes("document_pdf", "x3")] == [("ordinary_invoice-30-1", None)]
    assert len(source.calls) - calls == 2


@pytest.mark.requirement("L-01")
@pytest.mark.parametrize(("included", "ids"), [(False, []), (True, ["product-5-1"])])
async def test_no_call_is_spent_on_files_of_records_left_out(included: bool, ids: list[str]) -> None:
    product = row(5, inactive=True, **{"item-images": [{"item-image-path": link("i"), "order": 1}]})
    world = World(StandIn({"products": [product]}, files={"i": b"png"}))
    await world.extract(entities=["product", "item_image"], includes_archived=included)
    assert world.ids("item_image") == ids


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize(
    ("name", "content_type", "expected"),
    [
        ("plano.pdf", "application/pdf", "plano.pdf"),
        ('in"forme <final>.pdf', "", 'in"forme <final>.pdf'),
        ("عقد 契約.pdf", "", "عقد 契約.pdf"),
        ("../../escape.pdf", "", ".._.._escape.pdf"),
        ("a\r\nX-Evil: 1.pdf", "", "a  X-Evil: 1.pdf"),
        ("..", "", "file"),
        ("FAC1", "application/pdf", "FAC1.pdf"),
        ("FAC1", "", "FAC1"),
    ],
)
def test_file_names(name: str, content_type: str, expected: str) -> None:
    assert safe_name(name, content_type) == expected


def test_long_file_names_keep_their_extension() -> None:
    shortened = safe_name("n" * 300 + ".pdf")
    assert len(shortened) == NAME_CHARACTERS_MAX
    assert shortened.endswith("n.pdf")
