"""Paths go into objects, over lists and over links; what is not there is no value."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import MappingError
from services.transformer.context import Context
from services.transformer.links import Links
from services.transformer.mapping.links import LinkRule
from services.transformer.paths import compile_path, parse_path
from tests.unit.transformer import examples
from tests.unit.transformer.support import Snapshot

SNAPSHOT = Snapshot(examples.account())
LINKS = Links(
    {
        "client": LinkRule(id="account-id", path="account-path", entity="client"),
        "contacts": LinkRule(many="contact", by="account-id", path="account-path"),
        "newest": LinkRule(many="asset", by="account-id", path="account-path", order_by="creation-date", pick="last"),
        "delivery": LinkRule(many="address", by="account-id", where={"address-type": "DELIVERY"}, pick="first"),
        "equipment": LinkRule(id="assets", entity="asset"),
        "ancestors": LinkRule(chain="up", id="parent-document-id", path="parent-document-path"),
        "descendants": LinkRule(
            chain="down",
            id="parent-document-id",
            path="parent-document-path",
            entity=["sales_order", "sales_delivery_note", "ordinary_invoice"],
            only=["sales_order", "ordinary_invoice"],
        ),
    },
    {
        "clients": "client",
        "salesEstimates": "sales_estimate",
        "salesOrders": "sales_order",
        "salesDeliveryNotes": "sales_delivery_note",
        "ordinaryInvoices": "ordinary_invoice",
    },
)


def read(path: str, entity: str, source_id: int, alias: str = "", element: Any = None) -> Any:
    getter = compile_path(parse_path(path, LINKS, alias), LINKS)
    return getter(Context(envelope=SNAPSHOT.one(entity, source_id), lookup=SNAPSHOT, element=element))


@pytest.mark.requirement("X-01")
@pytest.mark.parametrize(
    ("path", "entity", "source_id", "expected"),
    [
        ("main-address.city-town", "client", 1042, "Madrid"),
        ("main-address.nothing.at.all", "client", 1042, None),
        ("client -> legal-name", "sales_order", 200, "Electricidad Norte S.L."),
        ("client -> contacts -> name", "sales_order", 200, ["O'Brien 日本語 مرحبا"]),
        ("newest -> name", "client", 1042, "Caldera"),
        ("delivery -> city-town", "client", 1042, "Getafe"),
        ("equipment -> name", "work_order", 77, ["Caldera", "Caldera vieja"]),
        ("lines.item-name", "sales_order", 200, ["Cable 3x1,5", "Capítulo 1"]),
        ("ancestors -> full-reference", "ordinary_invoice", 400, ["ENT-00300", "PDV00200", "COTI00100"]),
        ("descendants -> full-reference", "sales_estimate", 100, ["PDV00200", "FAC00400"]),
        ("descendants -> @key", "sales_order", 200, ["ordinary_invoice/400"]),
    ],
)
def test_paths_lead_to_values(path: str, entity: str, source_id: int, expected: object) -> None:
    assert read(path, entity, source_id) == expected


def test_a_path_may_start_at_the_element_of_a_list() -> None:
    assert read("line.units", "client", 1042, alias="line", element={"units": 3}) == 3
    assert read("legal-name", "client", 1042, alias="line", element={"units": 3}) == "Electricidad Norte S.L."


@pytest.mark.parametrize(
    ("path", "element", "expected"),
    [
        ("part", {"part": 7}, {"part": 7}),
        ("part.part", {"part": 7}, 7),
        ("part.part", {"part": {"part": 9}}, {"part": 9}),
        ("part.part.part", {"part": {"part": 9}}, 9),
        ("part.account-id", {"account-id": 1042, "part": 1}, 1042),
        ("part.client -> legal-name", {"account-id": 1042}, "Electricidad Norte S.L."),
        ("part.part.client -> legal-name", {"part": {"account-id": 1042}}, "Electricidad Norte S.L."),
    ],
)
def test_only_the_first_word_is_the_element_even_where_it_has_a_field_of_that_name(path: str, element: dict[str, Any], expected: object) -> None:
    assert read(path, "sales_order", 200, alias="part", element=element) == expected


@pytest.mark.requirement("X-01")
def test_a_link_does_not_lead_to_a_record_of_another_kind_with_the_same_id() -> None:
    lead = {"account-id": 1042, "account-path": "app.stelorder.com/app/potentialClients/1042"}
    assert LINKS.locate("client", lead) is None
    assert LINKS.locate("client", {"account-id": 1042}) is not None
    assert LINKS.locate("client", {"account-id": None, "account-path": None}) is None


@pytest.mark.requirement("X-01")
def test_a_link_to_a_record_that_was_merged_leads_to_the_one_that_stays() -> None:
    rows = {"1": "2", "2": "3", "3": "", "8": "9", "9": "8"}
    data = [{"id": one, "master_id": master or None, "deleted": bool(master)} for one, master in rows.items()]
    snapshot = Snapshot({"client": data, "contact": [{"id": 5, "client_id": "1"}, {"id": 6, "client_id": "3"}, {"id": 7, "client_id": "8"}]})
    links = Links(
        {
            "client": LinkRule(id="client_id", entity="client", merged_into="master_id"),
            "contacts": LinkRule(many="contact", by="client_id", merged_into="master_id"),
        },
        {},
    )
    assert [links.locate("client", snapshot.one("contact", one), snapshot) for one in (5, 6)] == [("client", "3"), ("client", "3")]
    assert links.follow("client", snapshot.one("contact", 5), snapshot).id == "3"
    assert links.locate("client", snapshot.one("contact", 7), snapshot) in {("client", "8"), ("client", "9")}  # round in a circle: it ends
    assert [one.id for one in links.follow("contacts", snapshot.one("client", 3), snapshot)] == ["6", "5"]
    assert links.locate("client", snapshot.one("contact", 5)) == ("client", "1")  # as written, where nothing is looked up


def test_a_chain_that_bites_its_tail_ends() -> None:
    snapshot = Snapshot({"sales_order": [{"id": 1, **examples.link("parent-document", "salesOrders", 1)}]})
    found = LINKS.follow("ancestors", snapshot.one("sales_order", 1), snapshot)
    assert found == []


def test_an_arrow_after_something_that_is_no_link_is_refused() -> None:
    with pytest.raises(MappingError, match="legal-name"):
        parse_path("legal-name -> x", LINKS)
