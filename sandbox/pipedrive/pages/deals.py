"""Deals as cards and rows: what the board, the stage list and the pages of contacts show of one."""

from dataclasses import dataclass

from sandbox.pipedrive.pages import look
from sandbox.pipedrive.pages.reader import NO_DATE, Chip, Reader, UserView
from sandbox.pipedrive.store.store import Record

_DAY_SECONDS = 86_400
SHOWN = 100
"""Deals shown beside a contact or a product."""


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be done next for a deal, or that nothing is."""

    text: str
    state: str
    """`overdue`, `today`, `planned` or `none`."""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class DealCard:
    """A deal in short."""

    id: int
    title: str
    organization: str
    person: str
    value: str
    stage: str
    status: str
    owner: UserView | None
    chips: list[Chip]
    next: Next | None
    """Only for open deals."""
    rotten_days: int
    """Days an open deal lies idle beyond what its stage allows, 0 if it does not."""
    closed: str
    is_archived: bool
    is_deleted: bool


NOTHING_PLANNED = Next("No activity", "none")


def card(reader: Reader, deal: Record) -> DealCard:
    """Return a deal in short."""
    store = reader.store
    organization, person = store["organization"].get(deal["org_id"] or 0), store["person"].get(deal["person_id"] or 0)
    stage = store["stage"].get(deal["stage_id"])
    is_open = deal["status"] == "open" and not deal["is_deleted"] and not deal["is_archived"]
    return DealCard(
        deal["id"],
        deal["title"].strip() or "(no title)",
        organization["name"] if organization is not None else "",
        person["name"] if person is not None else "",
        look.money(deal["value"], deal["currency"]),
        stage["name"] if stage is not None else "",
        deal["status"],
        reader.user(deal["owner_id"]),
        reader.chips("deal", deal) if deal["label_ids"] else [],
        next_activity(reader, "deal_id", deal["id"]) if is_open else None,
        rotten_days(reader, deal, stage) if is_open else 0,
        look.day(deal["close_time"]) if deal["close_time"] else "",
        deal["is_archived"],
        deal["is_deleted"],
    )


def next_activity(reader: Reader, column: str, value: int | str) -> Next:
    """Return the earliest activity that is planned."""
    planned = [activity for activity in reader.live("activity", column, value) if not activity["done"]]
    if not planned:
        return NOTHING_PLANNED
    first = min(planned, key=lambda activity: (activity["due_date"] or NO_DATE, activity["due_time"] or ""))
    due, today = first["due_date"], reader.today()
    if not due:
        return Next("planned", "planned", first["subject"])
    state = "overdue" if due < today.isoformat() else "today" if due == today.isoformat() else "planned"
    return Next(look.near(due, today), state, first["subject"])


def rotten_days(reader: Reader, deal: Record, stage: Record | None) -> int:
    """Return how many days an open deal was not touched beyond the days its stage allows."""
    if stage is None or not stage["is_deal_rot_enabled"] or not stage["days_to_rotten"]:
        return 0
    touched = look.local_time(deal["update_time"], reader.zone)
    if touched is None:
        return 0
    return max(0, int((reader.account.clock.epoch() - touched.timestamp()) / _DAY_SECONDS) - int(stage["days_to_rotten"]))


@dataclass(frozen=True, slots=True)
class Deals:
    """The deals of a contact or a product, as many of them as are shown."""

    cards: list[DealCard]
    total: int


def deals_of(reader: Reader, column: str, value: int) -> Deals:
    """Return the deals of an organization or a person: open ones first, then the latest."""
    return in_short(reader, reader.live("deal", column, value))


def in_short(reader: Reader, deals: list[Record]) -> Deals:
    """Return deals in short: open ones first, then the latest."""
    deals.sort(key=lambda deal: (deal["status"] != "open" or deal["is_archived"], -deal["id"]))
    return Deals([card(reader, deal) for deal in deals[:SHOWN]], len(deals))
