"""Late links: the value of a deal once its line items stand (API.md 10, pitfall 15). Written only where Pipedrive's own sum differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.loader import canonical
from services.loader.attempts import failure
from services.loader.entities.deal import DEAL
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from services.loader.attempts import Attempts
    from services.loader.canonical import Image
    from services.loader.entities.base import Found
    from services.loader.work import Batch, Work

_FIELDS = {"value": canonical.number, "currency": canonical.text}


class DealValues:
    """Loads `deal_value` records; their target id is the deal's."""

    def __init__(self, *, attempts: Attempts) -> None:
        self._attempts = attempts

    async def load(self, batch: Batch) -> None:
        """Decides `deal_value` records: one reading for all, a PATCH where the value differs. In doubt or not is all the same: it is repeatable."""
        works = batch.open(Action.CREATE, Action.UPDATE, Action.IN_DOUBT)
        if not works:
            return
        deals: dict[str, Found] = {}

        async def act(work: Work) -> Outcome:
            deal_id = str(work.body.get("deal_id") or work.target_id)
            found = deals.get(deal_id)
            wanted = value_image(work.body)
            if found is None:
                return Outcome(Result.WAITING, reason="REFERENCE_MISSING", message="the deal is not in Pipedrive any more")
            actual = value_image(found.image)
            changes = {name: value for name, value in wanted.items() if actual.get(name) != value}
            if not changes:
                return Outcome(Result.UNCHANGED, deal_id, image=wanted)
            if work.last_image and actual != work.last_image and work.last_image.get("value") is not None and work.conflict_policy == "target":
                return Outcome(Result.UNCHANGED, deal_id, image=wanted, message="the value of a person stands by decision")
            await DEAL.update(batch.client, work.context, found, changes)
            return Outcome(Result.UPDATED, deal_id, image=wanted)

        try:
            ids = sorted({str(work.body.get("deal_id") or work.target_id) for work in works})
            deals = await DEAL.read(batch.client, batch.shared, ids)
        except Exception as error:  # noqa: BLE001 - sorted in `failure`
            outcome = failure(batch, error)
            for work in works:
                work.outcome = outcome
            return
        await self._attempts.each(batch, works, act)


def value_image(raw: dict[str, object]) -> Image:
    """Answers value and currency of a deal; a value of 0 is said."""
    return canonical.image({"value": 0, **{name: value for name, value in raw.items() if value is not None}}, _FIELDS)
