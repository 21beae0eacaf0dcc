"""What the pages derive from the store agrees with a walk over all records, whatever changes when."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sandbox.pipedrive.pages.derived import Derived, Order, Piles
from sandbox.pipedrive.pages.look import plain
from sandbox.pipedrive.pages.words import Words
from sandbox.pipedrive.store.store import Record, Store

DEALS = st.fixed_dictionaries(
    {
        "id": st.integers(1, 30),
        "title": st.sampled_from(["alpha one", "Álpha two", "beta", "", "a\nb"]),
        "stage_id": st.integers(1, 3),
        "currency": st.sampled_from(["EUR", "USD"]),
        "value": st.sampled_from([0, 0.1, 0.2, 1234.5678, 10**15]),
        "is_deleted": st.booleans(),
    }
)
STEPS = st.lists(st.one_of(DEALS, st.sampled_from(["look", "clear"])), max_size=60)


def _pile(deal: Record) -> int | None:
    return None if deal["is_deleted"] else deal["stage_id"]


def _title(deal: Record) -> str | None:
    return None if deal["is_deleted"] else deal["title"]


class _Seen:
    """All views of one store, with what a walk over the store says instead."""

    def __init__(self) -> None:
        self.store = Store()
        self.derived = Derived(self.store)
        self.piles, self.order, self.words = Piles(_pile), Order(_title), Words(lambda deal: deal["title"].replace("\n", " "))

    def put(self, deal: dict[str, Any]) -> None:
        """Store a deal; new ids come in ascending order, as the store gives them."""
        table = self.store["deal"]
        deal_id = deal["id"] if table.get(deal["id"]) is not None else table.next_id()
        self.store.put("deal", {**deal, "id": deal_id})

    def check(self) -> None:
        for view in (self.piles, self.order, self.words):
            self.derived.refresh("deal", view)
        live = [deal for deal in self.store["deal"] if not deal["is_deleted"]]
        for stages in ([1], [1, 2, 3]):
            chosen = [deal for deal in live if deal["stage_id"] in stages]
            ids = sorted((deal["id"] for deal in chosen), reverse=True)
            assert self.piles.count(stages) == len(chosen)
            assert self.piles.newest(stages, 100) == ids
            assert self.piles.newest(stages, 2, before=10) == [item for item in ids if item < 10][:2]
            assert self.piles.next_newer(stages, 2, after=3) == [item for item in ids if item > 3][-2:]
            for currency, amount in self.piles.sums(stages).items():
                exact = sum(round(deal["value"] * 10_000) for deal in chosen if deal["currency"] == currency)
                assert amount == exact / 10_000
        ordered = sorted(live, key=lambda deal: (deal["title"], deal["id"]))
        assert self.order.ids(0, 100) == [deal["id"] for deal in ordered]
        assert [self.order.position(deal) for deal in ordered] == list(range(len(ordered)))
        for term in ("alpha", "one alpha", "b"):
            found = [deal["id"] for deal in live if all(word in plain(deal["title"]) for word in term.split())]
            assert self.words.find(term, 100) == sorted(found, reverse=True)


@given(STEPS)
def test_views_agree_with_a_walk_over_all_records(steps: list[Any]) -> None:
    seen = _Seen()
    for step in steps:
        if step == "look":
            seen.check()
        elif step == "clear":
            seen.store.clear()
        else:
            seen.put(step)
    seen.check()


def test_nothing_is_kept_until_a_page_asks() -> None:
    seen = _Seen()
    assert seen.store.observers == []
    seen.check()
    seen.check()
    assert len(seen.store.observers) == 1


def test_a_sum_that_comes_and_goes_leaves_nothing() -> None:
    seen = _Seen()
    deal = {"id": 1, "title": "", "stage_id": 1, "currency": "EUR", "value": 0.1, "is_deleted": False}
    for number in range(1, 11):
        seen.store.put("deal", {**deal, "id": number, "value": number / 10})
    seen.check()
    assert seen.piles.sums([1]) == {"EUR": 5.5}
    seen.store.put("deal", {**deal, "is_deleted": True})
    seen.derived.refresh("deal", seen.piles)
    assert seen.piles.sums([1]) == {"EUR": 5.4}
    for number in range(2, 11):
        seen.store.put("deal", {**deal, "id": number, "is_deleted": True})
    seen.check()
    assert seen.piles.sums([1]) == {}
