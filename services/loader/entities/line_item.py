"""Products on deals (API.md 5.8)."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.loader import canonical
from services.loader.entities.base import Entity, Found, required
from services.loader.pipedrive import lists
from services.loader.pipedrive.errors import GoneError, OutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from services.loader.pipedrive.client import CallContext, PipedriveClient
    from services.loader.pipedrive.lists import Raw

BULK_MAX: Final = 100
# Five single creates cost what one bulk create costs (25 tokens), and four requests more.
BULK_FROM: Final = 5
# Five single deletes cost what one bulk delete costs (15 tokens).
BULK_DELETE_FROM: Final = 5


@dataclass(frozen=True, slots=True)
class LineItemEntity(Entity):
    """Line items: they hang on a deal, whose id every call needs."""

    def found(self, raw: Raw) -> Found:
        """Answers a line; its parent is the deal."""
        return Found(target_id=str(raw["id"]), image=self.image(raw), raw=raw, parent_id=str(raw.get("deal_id") or ""))

    def body(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Answers the body of a create: the deal stands in the path."""
        return {name: value for name, value in Entity.body(self, payload).items() if name != "deal_id"}

    async def create(self, client: PipedriveClient, context: CallContext, payload: Mapping[str, Any]) -> Found:
        """Puts one product on its deal."""
        deal_id = required(payload, "deal_id")
        answer = await client.call("line_items.create", context, ids={"id": deal_id}, body=self.body(payload))
        return self.created(answer.data)

    async def create_bulk(self, client: PipedriveClient, context: CallContext, payloads: Sequence[Mapping[str, Any]]) -> list[Found]:
        """Puts up to 100 products on one deal with one call; answers them in the order given."""
        deal_id = required(payloads[0], "deal_id")
        body = {"data": [self.body(payload) for payload in payloads]}
        answer = await client.call("line_items.create_bulk", context, ids={"id": deal_id}, body=body)
        if not isinstance(answer.data, list) or len(answer.data) != len(payloads):
            raise OutcomeUnknownError("Pipedrive's answer to a bulk create does not name every line")
        return [self.created(raw) for raw in answer.data]

    async def update(self, client: PipedriveClient, context: CallContext, found: Found, body: Mapping[str, Any]) -> None:
        """Changes fields of a line."""
        ids = {"id": found.parent_id, "product_attachment_id": found.target_id}
        await client.call("line_items.update", context, ids=ids, body=body)

    async def delete(self, client: PipedriveClient, context: CallContext, target_id: str, parent_id: str = "") -> None:
        """Takes a line off its deal; one that is gone already is deleted."""
        try:
            await client.call("line_items.delete", context, ids={"id": parent_id, "product_attachment_id": target_id})
        except GoneError:
            return

    async def delete_bulk(self, client: PipedriveClient, context: CallContext, deal_id: str, target_ids: Sequence[str]) -> None:
        """Takes up to 100 lines off one deal with one call."""
        try:
            await client.call("line_items.delete_bulk", context, ids={"id": deal_id}, query={"ids": ",".join(target_ids)})
        except GoneError:
            return

    async def of_deals(self, client: PipedriveClient, context: CallContext, deal_ids: Sequence[str]) -> AsyncGenerator[list[Found], None]:
        """Yields the lines of deals, 100 deals a call, in the order they were added."""
        for begin in range(0, len(deal_ids), lists.IDS_MAX):
            query: dict[str, str | int] = {"deal_ids": ",".join(deal_ids[begin : begin + lists.IDS_MAX]), "sort_by": "id"}
            async with aclosing(lists.by_cursor(client, "line_items.list", context, query)) as pages:
                async for page in pages:
                    yield [self.found(raw) for raw in page]


LINE_ITEM: Final = LineItemEntity(
    name="line_item",
    operations="line_items",
    fields={
        "deal_id": canonical.reference,
        "product_id": canonical.reference,
        "item_price": canonical.number,
        "quantity": canonical.number,
        "tax": canonical.number,
        "comments": canonical.text,
        "discount": canonical.number,
        "discount_type": canonical.text,
        "tax_method": canonical.text,
        "is_enabled": canonical.boolean,
        "product_variation_id": canonical.reference,
        "billing_frequency": canonical.text,
        "billing_frequency_cycles": canonical.number,
        "billing_start_date": canonical.date,
    },
    create_only=frozenset({"deal_id"}),
    cleared={"comments": "", "discount": 0, "tax": 0},
    unclearable=frozenset({"deal_id", "product_id", "item_price", "quantity", "discount_type", "tax_method", "is_enabled", "billing_frequency"}),
    fingerprint=("deal_id", "product_id", "item_price", "quantity", "tax", "comments", "discount"),
)
"""The currency is the deal's; `comments` is never null."""
