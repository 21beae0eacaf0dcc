"""Late links: the value of a deal once its line items stand (API.md 10, pitfall 15). Written only where Pipedrive's own sum differs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.loader import canonical
from services.loader.attempts import fail_all
from services.loader.entities.deal import DEAL
from services.loader.entities.line_item import LINE_ITEM
from services.loader.merge import POLICY_SOURCE, POLICY_TARGET, Conflict
from services.loader.work import Action, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.loader.attempts import Attempts
    from services.loader.canonical import Image
    from services.loader.entities.base import Found
    from services.loader.work import Batch, Work

_FIELDS: Final = {"value": canonical.number, "currency": canonical.text}
# Half a cent and a little: sums of rounded lines are equal within it.
_TOLERANCE: Final = 0.0051


class DealValues:
    """Loads `deal_value` records; their target id is the deal's."""

    def __init__(self, *, attempts: Attempts) -> None:
        self._attempts = attempts

    async def load(self, batch: Batch) -> None:
        """Decides `deal_value` records: one reading for all, a PATCH where the value differs. In doubt or not is all the same: it is repeatable."""
        works = batch.open(Action.CREATE, Action.UPDATE, Action.IN_DOUBT)
        if not works:
            return
        try:
            deals = await DEAL.read(batch.client, batch.shared, sorted({_deal_id(work) for work in works}))
            edited = await _edited(batch, works, deals)
        except Exception as error:  # noqa: BLE001 - sorted in `fail_all`
            fail_all(batch, works, error)
            return

        for work in works:
            # Pipedrive's own sum nearly always is the value: no call, so no turn in the queue of calls either.
            found = deals.get(_deal_id(work))
            if found is not None and value_image(found.image) == (wanted := value_image(work.body)):
                work.outcome = Outcome(Result.UNCHANGED, found.target_id, image=wanted)

        written: dict[str, Image] = {}

        async def act(work: Work) -> Outcome:
            """Each line of a sale may bring the value of its deal: it is written once."""
            deal_id, wanted = _deal_id(work), value_image(work.body)
            if written.get(deal_id) == wanted:
                return Outcome(Result.UNCHANGED, deal_id, image=wanted)
            outcome = await _decide(batch, work, deals.get(deal_id), is_edited=work.key in edited)
            if outcome.result is Result.UPDATED:
                written[deal_id] = wanted
            return outcome

        await self._attempts.each(batch, [work for work in works if work.outcome is None], act, turn=_deal_id)


async def _decide(batch: Batch, work: Work, found: Found | None, *, is_edited: bool) -> Outcome:
    if found is None:
        return Outcome(Result.WAITING, reason="REFERENCE_MISSING", message="the deal is not in Pipedrive any more")
    deal_id, wanted, actual = found.target_id, value_image(work.body), value_image(found.image)
    changes = {name: value for name, value in wanted.items() if actual.get(name) != value}
    if not changes:
        return Outcome(Result.UNCHANGED, deal_id, image=wanted)
    told: tuple[Conflict, ...] = ()
    if is_edited:
        word, by = work.policy.decide("value", actual.get("value"))
        told = (Conflict("value", word, by, wanted.get("value"), actual.get("value")),)
        if word == POLICY_TARGET:
            message = "the value a person gave the deal stands by decision"
            return Outcome(Result.UNCHANGED, deal_id, image={}, message=message, conflicts=told)
        if word != POLICY_SOURCE:
            message = "the deal's value was changed in the source and by a person in Pipedrive since it was loaded; decide which side is right"
            asked = {"value": actual.get("value")}
            return Outcome(Result.WAITING, deal_id, image=work.last_image, reason="CONFLICT", message=message, conflicts=told, asked=asked)
    await DEAL.update(batch.client, work.context, found, changes)
    return Outcome(Result.UPDATED, deal_id, image=wanted, conflicts=told)


async def _edited(batch: Batch, works: Sequence[Work], deals: Mapping[str, Found]) -> set[str]:
    """Answers the keys of records whose deal has a value a person gave it: not what we loaded, not what is wanted, not the sum of its lines.

    Only deals that changed since they were loaded are looked at, so a first load costs nothing here.
    """
    suspects: dict[str, Work] = {}
    for work in works:
        found = deals.get(_deal_id(work))
        if found is None or "value" not in work.last_image:
            continue
        value = value_image(found.image)["value"]
        if value not in {work.last_image["value"], value_image(work.body)["value"]}:
            suspects[found.target_id] = work
    if not suspects:
        return set()
    sums = dict.fromkeys(suspects, 0.0)
    async for page in LINE_ITEM.of_deals(batch.client, batch.shared, sorted(suspects)):
        for line in page:
            if line.raw.get("is_enabled", True):
                sums[line.parent_id] = sums.get(line.parent_id, 0.0) + float(line.raw.get("sum") or 0)
    return {work.key for deal_id, work in suspects.items() if abs(sums[deal_id] - float(value_image(deals[deal_id].image)["value"])) > _TOLERANCE}


def _deal_id(work: Work) -> str:
    return str(work.body.get("deal_id") or work.target_id)


def value_image(raw: Mapping[str, Any]) -> Image:
    """Answers value and currency of a deal; a value of 0 is said."""
    return canonical.image({"value": 0, **{name: value for name, value in raw.items() if value is not None}}, _FIELDS)
