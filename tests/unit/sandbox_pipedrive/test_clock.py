"""The account's clocks: one that can be set, moved and sped up, and one that only goes forward."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.pipedrive.account.clock import EPOCH_MAX, EPOCH_MIN, read_time, start_of_day
from tests.unit.sandbox_pipedrive.driver import Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()


def test_wall_clock_starts_and_runs_as_told_while_the_steady_one_keeps_real_time() -> None:
    time = FakeTime()
    clock = time.clock(start=NOON, speed=60.0)
    before = clock.monotonic()
    time.sleep(10)
    assert clock.now() == "2026-03-28T12:10:00Z"
    assert clock.monotonic() - before == 10


def test_speed_can_be_changed_and_keeps_the_moment() -> None:
    time = FakeTime()
    clock = time.clock(start=NOON)
    clock.set_speed(3600.0)
    assert clock.epoch() == NOON
    time.sleep(2)
    clock.set_speed(1.0)
    time.sleep(5)
    assert clock.epoch() == NOON + 7205


def test_passing_time_moves_both_clocks_and_a_jump_the_wall_clock_alone() -> None:
    time = FakeTime()
    clock = time.clock(start=NOON, speed=2.0)
    steady = clock.monotonic()
    clock.advance(10)
    assert (clock.epoch(), clock.monotonic()) == (NOON + 10, steady + 5)
    clock.jump(-3600)
    clock.advance(-20)
    assert (clock.epoch(), clock.monotonic(), clock.jumps) == (NOON - 3610, steady + 5, 2)
    clock.set(NOON)
    assert (clock.epoch(), clock.monotonic()) == (NOON, steady + 5)


def test_a_held_clock_stands_still() -> None:
    time = FakeTime()
    clock = time.clock()
    moment = clock.epoch()
    with clock.held(moment):
        time.sleep(5)
        assert clock.epoch() == moment
        with clock.held(NOON):
            assert clock.epoch() == NOON
        assert clock.epoch() == moment
    assert clock.epoch() == moment + 5


@given(moves=st.lists(st.floats(-1e13, 1e13), max_size=5))
def test_wall_clock_can_always_be_told(moves: list[float]) -> None:
    clock = FakeTime().clock()
    for move in moves:
        clock.jump(move)
        assert EPOCH_MIN <= clock.epoch() <= EPOCH_MAX
        assert read_time(clock.now()) <= clock.epoch()
        assert clock.seconds_to_midnight("Pacific/Kiritimati") >= 1
        assert clock.today("Pacific/Kiritimati") >= clock.today("Pacific/Niue")


@pytest.mark.parametrize(
    ("moment", "zone", "hours"),
    [
        ("2026-03-29T00:00:00+01:00", "Europe/Madrid", 23),
        ("2026-10-25T00:00:00+02:00", "Europe/Madrid", 25),
        ("2024-04-26T00:00:00+02:00", "Africa/Cairo", 23),  # midnight itself is skipped
        ("2018-11-04T01:00:00-02:00", "America/Sao_Paulo", 23),
        ("2026-06-01T00:00:00+00:00", "UTC", 24),
    ],
)
def test_days_of_other_than_24_hours_end_at_their_midnight(moment: str, zone: str, hours: int) -> None:
    clock = FakeTime().clock(start=datetime.fromisoformat(moment).timestamp())
    assert clock.seconds_to_midnight(zone) == hours * 3600
    assert start_of_day(clock.today(zone), zone) == clock.epoch()


async def test_control_interface_reads_and_moves_the_clock(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock())
    assert (await api.control("POST", "clock", {"set": "2027-01-31T23:59:30Z"}))["now"] == "2027-01-31T23:59:30Z"
    assert (await api.control("POST", "clock", {"jump_seconds": -86400}))["now"] == "2027-01-30T23:59:30Z"
    assert (await api.control("POST", "clock", {"speed": 60}))["speed"] == 60
    time.sleep(1)
    assert (await api.control("GET", "clock"))["now"] == "2027-01-31T00:00:30Z"
    assert (await api.post("/api/v2/persons", {"name": "x"})).data["add_time"] == "2027-01-31T00:00:30Z"


@pytest.mark.parametrize(
    "body", [{}, {"set": "soon"}, {"set": "9999-12-31"}, {"speed": 0}, {"speed": "fast"}, {"advance_seconds": None}, {"to": "noon"}]
)
async def test_what_is_no_time_is_refused(start: Start, body: dict[str, object]) -> None:
    answer = await start().send("POST", "/_sandbox/clock", body, token=None, headers={"x-sandbox-key": "control"})
    assert answer.status == 400
