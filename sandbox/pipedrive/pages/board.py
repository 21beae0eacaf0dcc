"""The board of a pipeline, and the list of one of its stages."""

from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive.pages import look
from sandbox.pipedrive.pages.deals import DealCard, card
from sandbox.pipedrive.pages.page import ROWS, Page, Query, integer, link
from sandbox.pipedrive.pages.reader import ARCHIVED, Reader, UserView
from sandbox.pipedrive.store.store import Record

CARDS = 50
_CARDS_MIN, _CARDS_ON_BOARD = 8, 400
"""A column shows fewer cards when a pipeline has many stages."""
_STATUSES = {"open": ("open",), "won": ("won",), "lost": ("lost",), "all": ("open", "won", "lost"), ARCHIVED: (ARCHIVED,)}

Key = tuple[int, str, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a menu."""

    text: str
    href: str
    is_chosen: bool
    count: int | None = None
    user: UserView | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One stage with its first deals."""

    stage_id: int
    name: str
    is_deleted: bool
    count: int
    sums: list[str]
    cards: list[DealCard]
    more: str


class _Filter:
    """Status and owner asked for."""

    def __init__(self, reader: Reader, query: Query) -> None:
        self.reader = reader
        self.status = query["status"] if query.get("status") in _STATUSES else "open"
        self.owner = integer(query, "owner")
        self.piles = reader.piles()
        self._keys: dict[int, list[Key]] = {}
        for key in self.piles.keys():  # noqa: SIM118 - not a dict
            self._keys.setdefault(key[0], []).append(key)  # type: ignore[index, arg-type]

    def keys(self, stage_id: int, status: str = "") -> list[Key]:
        """Return the piles of a stage that are asked for."""
        wanted = _STATUSES[status or self.status]
        return [key for key in self._keys.get(stage_id, ()) if key[1] in wanted and self.owner in (None, key[2])]

    def count(self, pipeline_id: int) -> int:
        """Count the deals of a pipeline that are asked for."""
        return sum(self.piles.count(self.keys(stage["id"])) for stage in self.reader.store["stage"].find("pipeline_id", pipeline_id))

    def query(self, **changes: Any) -> dict[str, Any]:
        """Return the parameters that keep the filter, with some changed."""
        kept = {"status": self.status if self.status != "open" else None, "owner": self.owner}
        return {**kept, **changes}

    def statuses(self, path: str, stage_ids: list[int]) -> list[Choice]:
        """Return the choices of a status, with the number of deals."""
        found = []
        for status in _STATUSES:
            count = sum(self.piles.count(self.keys(stage_id, status)) for stage_id in stage_ids)
            if status == ARCHIVED and not count and self.status != ARCHIVED:
                continue
            href = link(path, **self.query(status=status if status != "open" else None))
            found.append(Choice(status.capitalize(), href, status == self.status, count))
        return found

    def owners(self, path: str) -> list[Choice]:
        """Return the choices of an owner."""
        everyone = Choice("Everyone", link(path, **self.query(owner=None)), self.owner is None)
        return [
            everyone,
            *(Choice(user.name, link(path, **self.query(owner=user.id)), user.id == self.owner, None, user) for user in self.reader.users()),
        ]


def first(reader: Reader, query: Query) -> Page:
    """Show the first pipeline."""
    pipeline = reader.account.default_pipeline()
    return Page("no_pipeline.html", "Deals", "deals") if pipeline is None else _board(reader, query, pipeline)


def show(reader: Reader, query: Query, pipeline_id: int) -> Page | None:
    """Show one pipeline."""
    pipeline = reader.store["pipeline"].get(pipeline_id)
    return None if pipeline is None else _board(reader, query, pipeline)


def _board(reader: Reader, query: Query, pipeline: Record) -> Page:
    chosen = _Filter(reader, query)
    path = f"/pipeline/{pipeline['id']}"
    stages = sorted(reader.store["stage"].find("pipeline_id", pipeline["id"]), key=lambda stage: (stage["order_nr"], stage["id"]))
    # A deal stays where it is when its stage is deleted; such a stage is shown as long as it holds deals.
    stages = [stage for stage in stages if not stage["is_deleted"] or chosen.piles.count(chosen.keys(stage["id"]))]
    limit = max(_CARDS_MIN, min(CARDS, _CARDS_ON_BOARD // max(1, len(stages))))
    columns = [_column(chosen, stage, limit) for stage in stages]
    stage_ids = [stage["id"] for stage in stages]
    keys = [key for stage_id in stage_ids for key in chosen.keys(stage_id)]
    others = sorted((item for item in reader.store["pipeline"] if not item["is_deleted"]), key=lambda item: item["order_nr"])
    return Page(
        "board.html",
        pipeline["name"],
        "deals",
        {
            "pipeline": pipeline,
            "pipelines": [
                Choice(item["name"], link(f"/pipeline/{item['id']}", **chosen.query()), item is pipeline, chosen.count(item["id"])) for item in others
            ],
            "statuses": chosen.statuses(path, stage_ids),
            "status": chosen.status,
            "owners": chosen.owners(path),
            "columns": columns,
            "count": chosen.piles.count(keys),
            "sums": _sums(chosen, keys),
            "is_empty": not len(reader.store["deal"]),
        },
    )


def _column(chosen: _Filter, stage: Record, limit: int) -> Column:
    reader, keys = chosen.reader, chosen.keys(stage["id"])
    records = reader.store["deal"].records
    ids = chosen.piles.newest(keys, limit)
    count = chosen.piles.count(keys)
    more = link(f"/stage/{stage['id']}", **chosen.query(before=ids[-1])) if count > len(ids) else ""
    return Column(
        stage["id"], stage["name"], stage["is_deleted"], count, _sums(chosen, keys), [card(reader, records[deal_id]) for deal_id in ids], more
    )


def _sums(chosen: _Filter, keys: list[Key]) -> list[str]:
    """Return the sums by currency, the company's own first."""
    sums = chosen.piles.sums(keys)
    company = chosen.reader.account.options.currency
    return [look.money(sums[currency], currency) for currency in sorted(sums, key=lambda currency: currency != company)]


def stage(reader: Reader, query: Query, stage_id: int) -> Page | None:
    """List the deals of one stage, newest first."""
    found = reader.store["stage"].get(stage_id)
    if found is None:
        return None
    chosen = _Filter(reader, query)
    keys, path = chosen.keys(stage_id), f"/stage/{stage_id}"
    before, after = integer(query, "before"), integer(query, "after")
    ids = chosen.piles.next_newer(keys, ROWS, after) if after is not None else chosen.piles.newest(keys, ROWS, before)
    newer = bool(ids) and bool(chosen.piles.next_newer(keys, 1, ids[0]))
    older = bool(ids) and bool(chosen.piles.newest(keys, 1, ids[-1]))
    return Page(
        "stage.html",
        found["name"],
        "deals",
        {
            "stage": found,
            "pipeline": reader.store["pipeline"].get(found["pipeline_id"]),
            "board": link(f"/pipeline/{found['pipeline_id']}", **chosen.query()),
            "statuses": chosen.statuses(path, [stage_id]),
            "status": chosen.status,
            "owners": chosen.owners(path),
            "count": chosen.piles.count(keys),
            "sums": _sums(chosen, keys),
            "cards": [card(reader, reader.store["deal"].records[deal_id]) for deal_id in ids],
            "newer": link(path, **chosen.query(after=ids[0])) if newer else "",
            "older": link(path, **chosen.query(before=ids[-1])) if older else "",
        },
    )
