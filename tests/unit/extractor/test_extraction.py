"""An extraction from the first call to the last report, against a small STEL Order."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from services.extractor.ports import State
from tests.fixtures.stel_order.stand_in import STAMP, StandIn, failure, row, rows
from tests.fixtures.stel_order.world import CrashError, World


@pytest.mark.requirement("L-06", "L-01")
async def test_reads_every_page_and_ends_done() -> None:
    world = World(StandIn({"clients": rows(1203)}))
    await world.extract(entities=["client"])
    assert world.ids("client") == [str(number) for number in range(1, 1204)]
    assert [url.params.get("start") for url in world.source.calls] == [None, "499", "998"]
    assert world.ledger.of("client")[-1].state is State.DONE
    assert world.ledger.of()[-1].state is State.DONE


async def test_exact_multiple_of_the_page_size_costs_one_empty_page() -> None:
    world = World(StandIn({"clients": rows(1000)}))
    await world.extract(entities=["client"])
    assert len(world.ids("client")) == 1000
    assert world.source.count("clients") == 3


async def test_empty_collection_is_one_empty_page() -> None:
    world = World(StandIn({"clients": []}))
    await world.extract(entities=["client"])
    assert [page.source_ids for page in world.ledger.recorded.values()] == [[]]
    assert world.ledger.of("client")[-1].state is State.DONE


@pytest.mark.requirement("L-06")
@pytest.mark.parametrize("pages_before", range(4))
async def test_crash_after_any_page_loses_and_repeats_nothing(pages_before: int) -> None:
    world = World(StandIn({"clients": rows(1203), "contacts": rows(3)}))
    world.ledger.crash_after_pages = pages_before
    with pytest.raises(CrashError):
        await world.extract(entities=["client", "contact"])
    calls_before = len(world.source.calls)
    world.ledger.crash_after_pages = None
    await world.extract(entities=["client", "contact"])
    assert world.ids("client") == [str(number) for number in range(1, 1204)]
    assert world.ids("contact") == ["1", "2", "3"]
    # Only the page in hand when the process died is read again.
    assert len(world.source.calls) - calls_before == 4 - pages_before


@pytest.mark.requirement("L-01")
async def test_deleted_and_archived_records_are_read_and_marked() -> None:
    world = World(StandIn({"products": [row(1), row(2, inactive=True)]}))
    await world.extract(entities=["product"])
    assert [(one["id"], one["is_archived"]) for one in world.envelopes("product")] == [("1", False), ("2", True)]


@pytest.mark.requirement("X-08")
async def test_records_arrive_exactly_as_the_source_gave_them() -> None:
    hostile = row(7, name="Robert'); DROP TABLE--\u202e\u0000 <b>漢字</b> 👩‍👩‍👧", extra={"deep": [1.5, 10**15, None, True]})
    world = World(StandIn({"clients": [hostile]}))
    await world.extract(entities=["client"])
    assert world.envelopes("client")[0]["data"] == hostile


@pytest.mark.requirement("X-08")
async def test_half_of_a_character_does_not_cost_the_page() -> None:
    world = World(StandIn({"clients": []}, script=[("clients", httpx.Response(200, content=b'[{"id": 1, "name": "cut \\ud83d"}, {"id": 2}]'))]))
    await world.extract(entities=["client"])
    assert world.envelopes("client")[0]["data"]["name"] == "cut \ufffd"
    assert world.ids("client") == ["1", "2"]


async def test_ignored_offset_is_noticed_and_others_go_on() -> None:
    world = World(StandIn({"clients": rows(600), "contacts": rows(2)}, ignores_start=True))
    await world.extract(entities=["client", "contact"])
    report = world.ledger.of("client")[-1]
    assert (report.state, report.reason) == (State.FAILED, "SOURCE_MALFORMED")
    assert "start 499" in report.message
    assert world.ids("contact") == ["1", "2"]
    assert world.ledger.of()[-1].state is State.DONE


@pytest.mark.requirement("L-06")
async def test_broken_json_is_tried_again_then_named_and_others_go_on() -> None:
    broken = httpx.Response(200, content=b'[{"id": 1')
    world = World(StandIn({"clients": rows(600), "contacts": rows(2)}))
    world.source.on_call = lambda source, url: source.script.append(("clients", broken)) if url.params.get("start") == "499" else None
    await world.extract(entities=["client", "contact"])
    report = world.ledger.of("client")[-1]
    assert (report.state, report.reason) == (State.FAILED, "SOURCE_MALFORMED")
    assert "clients, start 499" in report.message
    assert world.source.count("clients") == 4
    assert len(world.ids("client")) == 500
    assert world.ids("contact") == ["1", "2"]


async def test_broken_json_once_costs_one_call() -> None:
    world = World(StandIn({"clients": rows(3)}, script=[("clients", httpx.Response(200, content=b"[{"))]))
    await world.extract(entities=["client"])
    assert world.ids("client") == ["1", "2", "3"]
    assert world.source.count("clients") == 2


async def test_missing_right_is_reported_and_others_go_on() -> None:
    world = World(StandIn({"clients": rows(1), "contacts": rows(2)}, script=[("clients", failure("E000006", 403, is_array=True))]))
    await world.extract(entities=["client", "contact"])
    report = world.ledger.of("client")[-1]
    assert (report.state, report.reason) == (State.NO_ACCESS, "SOURCE_FORBIDDEN")
    assert world.ids("contact") == ["1", "2"]


async def test_wrong_key_ends_the_extraction_with_words_and_a_right_one_goes_on() -> None:
    world = World(StandIn({"clients": rows(2)}), key="wrong")
    await world.extract(entities=["client"])
    report = world.ledger.of()[-1]
    assert (report.state, report.reason) == (State.FAILED, "SOURCE_UNAUTHORIZED")
    assert "key" in report.message
    assert "wrong" not in report.message
    world.key = world.source.key
    await world.extract(entities=["client"])
    assert world.ids("client") == ["1", "2"]


async def test_an_entity_the_source_does_not_have_is_named() -> None:
    world = World(StandIn({"clients": rows(2)}))
    await world.extract(entities=["client", "dragon"])
    report = world.ledger.of()[-1]
    assert (report.state, report.reason) == (State.FAILED, "INVALID_REQUEST")
    assert "dragon" in report.message
    assert world.source.calls == []


async def test_end_of_the_trial_ends_the_extraction() -> None:
    world = World(StandIn({"clients": rows(2)}, script=[("clients", failure("E000017", 403))]))
    await world.extract(entities=["client"])
    assert (world.ledger.of()[-1].state, world.ledger.of()[-1].reason) == (State.FAILED, "SOURCE_FORBIDDEN")


@pytest.mark.parametrize(
    "outage", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.Response(503, html="<html>"), httpx.Response(200, html=" <html>")]
)
async def test_outage_is_waited_out_and_told(outage: httpx.Response | Exception) -> None:
    world = World(StandIn({"clients": rows(2)}, script=[("clients", outage)] * 5))
    await world.extract(entities=["client"])
    assert world.ids("client") == ["1", "2"]
    waits = world.ledger.of("", State.WAITING)
    assert [one.reason for one in waits] == ["SOURCE_UNREACHABLE"] * 3
    assert all(one.resume_time is not None for one in waits)
    assert [one.state for one in world.ledger.of()][-2:] == [State.RUNNING, State.DONE]


async def test_full_disk_is_waited_out_and_no_page_is_lost() -> None:
    world = World(StandIn({"clients": rows(700)}))
    world.store.refusals = 4
    await world.extract(entities=["client"])
    assert len(world.ids("client")) == 700
    assert world.source.count("clients") == 2
    assert {one.reason for one in world.ledger.of("", State.WAITING)} == {"STAGING_UNAVAILABLE"}


async def test_row_that_slips_into_the_next_page_is_kept_once() -> None:
    world = World(StandIn({"clients": rows(600)}))

    def insert_before(source: StandIn, url: httpx.URL) -> None:
        if url.params.get("start") == "499" and len(source.collections["clients"]) == 600:
            source.collections["clients"].insert(0, row(9000))

    world.source.on_call = insert_before
    await world.extract(entities=["client"])
    assert sorted(map(int, world.ids("client"))) == [*range(1, 601), 9000]


async def test_a_list_that_never_stands_still_is_said_and_not_read_with_holes() -> None:
    world = World(StandIn({"clients": rows(600)}))

    def delete_the_first(source: StandIn, url: httpx.URL) -> None:
        if "start" in url.params and len(source.collections["clients"]) > 550:
            del source.collections["clients"][0]

    world.source.on_call = delete_the_first
    await world.extract(entities=["client"])
    assert "fewer people" in world.ledger.of("client")[-1].message
    assert world.source.count("clients") == 12
    world.source.on_call = None
    await world.extract(entities=["client"])
    assert {str(number) for number in range(7, 601)} <= set(world.ids("client"))


async def test_row_that_slips_away_while_reading_is_found_by_reading_again() -> None:
    world = World(StandIn({"salesOrders": rows(1100)}))

    def delete_one(source: StandIn, url: httpx.URL) -> None:
        if url.params.get("start") == "500":
            source.collections["salesOrders"][10] |= {"deleted": True, STAMP: "2026-03-02T12:00:00+0000"}

    world.source.on_call = delete_one
    await world.extract(entities=["sales_order"])
    assert set(world.ids("sales_order")) == {str(number) for number in range(1, 1101)}
    assert [one["is_deleted"] for one in world.envelopes("sales_order") if one["id"] == "11"] == [False, True]


@pytest.mark.parametrize(("count", "calls"), [(400, 1), (1100, 4)])
async def test_closing_pass_costs_one_call_and_only_where_pages_can_shift(count: int, calls: int) -> None:
    world = World(StandIn({"salesOrders": rows(count)}))
    await world.extract(entities=["sales_order"])
    assert world.source.count("salesOrders") == calls
    assert len(world.ids("sales_order")) == count


async def test_closing_pass_can_be_left_out() -> None:
    world = World(StandIn({"salesOrders": rows(1100)}))
    await world.extract(entities=["sales_order"], options={"closing_pass": False})
    assert world.source.count("salesOrders") == 3


SINCE = datetime(2026, 2, 1, tzinfo=UTC)
OLD, NEW = "2026-01-15T08:00:00+0000", "2026-02-01T00:00:00+0000"


@pytest.mark.requirement("L-11")
async def test_delta_filters_and_encodes_the_plus() -> None:
    world = World(StandIn({"salesOrders": [row(1, **{STAMP: OLD}), row(2, **{STAMP: NEW}), row(3, deleted=True, **{STAMP: NEW})]}))
    await world.extract(entities=["sales_order"], changed_since=SINCE)
    assert [(one["id"], one["is_deleted"]) for one in world.envelopes("sales_order")] == [("2", False), ("3", True)]
    assert b"utc-last-modification-date=2026-02-01T00%3A00%3A00%2B0000" in world.source.calls[0].query


@pytest.mark.requirement("L-11")
async def test_delta_falls_back_to_order_when_the_filter_is_ignored() -> None:
    world = World(StandIn({"clients": [row(1, **{STAMP: NEW}), row(2, **{STAMP: OLD}), row(3, **{STAMP: NEW})]}, filters_on=set()))
    await world.extract(entities=["client"], changed_since=SINCE)
    assert sorted(world.ids("client")) == ["1", "3"]
    assert [url.params.get("sort") for url in world.source.calls] == [None, f"{STAMP}:desc"]


@pytest.mark.requirement("L-11")
async def test_delta_reads_everything_when_neither_filter_nor_order_work() -> None:
    source = StandIn({"clients": [row(1, **{STAMP: NEW}), row(2, **{STAMP: OLD})]}, refuses_filter_on={"clients"}, refuses_sort_on={"clients"})
    world = World(source)
    await world.extract(entities=["client"], changed_since=SINCE)
    assert world.ids("client") == ["1"]
    assert world.source.count("clients") == 3


@pytest.mark.requirement("L-11")
async def test_delta_of_products_goes_back_in_time_until_the_checkpoint() -> None:
    changed = [row(number, **{STAMP: f"2026-02-02T00:{number % 60:02}:00+0000"}) for number in range(1, 701)]
    world = World(StandIn({"products": rows(3000) + [one | {"id": 5000 + one["id"]} for one in changed]}, refuses_filter_on={"products"}))
    await world.extract(entities=["product"], changed_since=SINCE)
    assert sorted(map(int, world.ids("product"))) == list(range(5001, 5701))
    assert world.source.count("products") == 2


@pytest.mark.requirement("L-11")
async def test_delta_of_records_without_stamp_takes_them_all() -> None:
    world = World(StandIn({"employees": [{"id": 1, "name": "Ana"}]}))
    await world.extract(entities=["employee"], changed_since=SINCE)
    assert world.ids("employee") == ["1"]


async def test_source_without_a_collection_goes_on_without_it() -> None:
    world = World(StandIn({"contacts": rows(1)}))
    await world.extract(entities=["client", "contact"])
    assert world.ledger.of("client")[-1].state is State.NO_ACCESS
    assert world.ids("contact") == ["1"]


@pytest.mark.requirement("X-06")
async def test_every_call_is_a_get_with_the_key_in_its_header_only() -> None:
    world = World(StandIn({"clients": rows(600)}))
    await world.extract()
    assert {request.method for request in world.source.requests} == {"GET"}
    assert all(request.headers["APIKEY"] == world.key for request in world.source.requests)
    assert not any(world.key in str(url) for url in world.source.calls)


async def test_skipped_entities_cost_no_call() -> None:
    world = World(StandIn({"clients": rows(1), "contacts": rows(1)}))
    await world.extract(entities=["client", "contact"], options={"skip_entities": ["contact"]})
    assert world.source.count("contacts") == 0
