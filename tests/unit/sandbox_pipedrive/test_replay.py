"""Export, reset and replay: what was recorded leads to the same state again, byte for byte."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.common.asgi import ConnectionCutError
from sandbox.pipedrive.control.replay import play_on_a_new_account
from tests.unit.sandbox_pipedrive.any_request import Requests
from tests.unit.sandbox_pipedrive.driver import TOKEN, Driver, Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

ROOT = Path(__file__).parents[3]
DAY = 86_400
KINDS = ("deal", "person", "organization", "product", "activity", "note", "lead")
FAULTS = ("error_before", "error_after", "cut_before", "cut_after", "empty_200", "status")

deeds = st.one_of(
    st.builds(lambda kind: {"delete": {"kind": kind, "id": "random"}}, st.sampled_from(KINDS)),
    st.builds(
        lambda kind: {"edit": {"kind": kind, "id": "random", "values": {"title" if kind in {"deal", "lead"} else "name": "By hand"}}},
        st.sampled_from(KINDS),
    ),
    st.builds(lambda kind: {"merge": {"kind": kind, "id": "random", "into": "random"}}, st.sampled_from(KINDS[:3])),
    st.builds(lambda entity: {"delete_field": {"entity": entity, "field": "random"}}, st.sampled_from(KINDS[:4])),
    st.builds(lambda seconds: {"clock": {"jump_seconds": seconds}}, st.integers(-3 * DAY, 3 * DAY)),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 10_000)),
        st.tuples(st.just("send"), st.integers(0, 10_000)),
        st.tuples(st.just("send"), st.integers(0, 10_000)),
        st.tuples(st.just("sleep"), st.sampled_from([0, 1, 60, DAY, 20 * DAY])),
        st.tuples(st.just("jump"), st.integers(-40 * DAY, 40 * DAY)),
        st.tuples(st.just("fault"), st.sampled_from(FAULTS)),
        st.tuples(st.just("deed"), deeds),
        st.tuples(st.just("rule"), deeds),
        st.tuples(st.just("reset"), st.none()),
    ),
    max_size=50,
)


async def _record(api: Driver, file: Path) -> None:
    await api.control("POST", "recording", {"file": str(file), "is_complete": True})


async def _digest(api: Driver) -> str:
    return str((await api.control("GET", "digest"))["digest"])


async def _play(api: Driver, time: FakeTime, given: list[Any], seed: int) -> None:
    requests = Requests(api, seed)
    for kind, value in given:
        time.sleep(0.3)
        match kind:
            case "send":
                await requests.send(requests.routes[value % len(requests.routes)])
            case "sleep":
                time.sleep(value)
            case "jump":
                api.account.clock.jump(value)
            case "fault":
                await api.control("POST", "faults", {"kind": value, "times": 1})
            case "deed":
                await api.control("POST", "people", {"do": value})
            case "rule":
                await api.control("POST", "people", {"do": value, "when": {"method": "POST", "every": 3}, "at": "after"})
            case "reset":
                await api.control("POST", "reset")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    given_steps=steps,
    seed=st.integers(0, 1000),
    options=st.fixed_dictionaries({"limits": st.booleans(), "seed": st.sampled_from([None, 3]), "purge_days": st.sampled_from([0, 1, 30])}),
)
def test_replay_of_a_recording_gives_the_same_state(start: Start, tmp_path: Path, given_steps: list[Any], seed: int, options: dict[str, Any]) -> None:
    asyncio.run(_check(start, tmp_path / "recording.jsonl", given_steps, seed, options))


async def _check(start: Start, file: Path, given_steps: list[Any], seed: int, options: dict[str, Any]) -> None:
    time = FakeTime()
    api = start(time.clock(), plan="lite", seats=1, spent=29_500, deprecated_v1=True, **options)
    await _record(api, file)
    await _play(api, time, given_steps, seed)
    exported = await api.send("GET", "/_sandbox/export", token=None, headers={"x-sandbox-key": "control"})
    result = await api.control("POST", "replay", {"file": str(file)})
    again = await api.send("GET", "/_sandbox/export", token=None, headers={"x-sandbox-key": "control"})
    assert result["different_answers"] == []
    assert again.body == exported.body
    assert play_on_a_new_account(file)["digest"] == result["digest"]


async def test_every_operation_that_writes_is_among_those_played(start: Start, tmp_path: Path) -> None:
    time, file = FakeTime(), tmp_path / "recording.jsonl"
    api = start(time.clock(), seed=3, deprecated_v1=True, long_names="cut")
    await _record(api, file)
    requests = Requests(api, 11)
    succeeded: Counter[str] = Counter()
    kept = [route for route in requests.routes if not (route.method == "DELETE" and ("pipelines" in route.template or "stages" in route.template))]
    making = [route for route in kept if route.method == "POST"]
    for _ in range(8):
        for route in [*making, *making, *kept]:
            succeeded[route.operation] += await requests.send(route) < 300
            time.sleep(7)
    never = [route.operation for route in kept if not succeeded[route.operation]]
    assert len(never) <= 0.15 * len(kept), never
    before = await _digest(api)
    result = await api.control("POST", "replay", {"file": str(file)})
    assert (result["digest"], result["different_answers"]) == (before, [])
    assert result["requests"] > len(requests.routes)


async def test_reset_gives_the_digest_of_the_start_also_without_a_seed(start: Start) -> None:
    for seed in (None, 7):
        time = FakeTime()
        api = start(time.clock(), seed=seed)
        first = await api.send("GET", "/_sandbox/export", token=None, headers={"x-sandbox-key": "control"})
        await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "text"})
        await api.delete("/api/v2/stages/1")
        time.sleep(12_345)
        await api.control("POST", "reset")
        again = await api.send("GET", "/_sandbox/export", token=None, headers={"x-sandbox-key": "control"})
        assert again.body == first.body


async def test_fields_get_the_same_hashes_after_a_reset(start: Start) -> None:
    api = start(seed=None)
    codes = []
    for _ in range(2):
        codes.append((await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "text"})).data["field_code"])
        await api.control("POST", "reset")
    assert codes[0] == codes[1]


async def test_what_failed_before_its_effect_is_left_out_and_what_failed_after_is_not(api: Driver, tmp_path: Path) -> None:
    file = tmp_path / "recording.jsonl"
    await _record(api, file)
    for kind in FAULTS:
        await api.control("POST", "faults", {"kind": kind, "times": 1})
        try:
            await api.post("/api/v2/organizations", {"name": kind})
        except ConnectionCutError:
            assert kind.startswith("cut")
    await api.send("POST", "/api/v2/organizations", {"name": "unknown"}, token="wrong")
    await api.control("POST", "replay", {"file": str(file)})
    names = [organization["name"] for organization in (await api.get("/api/v2/organizations")).data]
    assert names[-2:] == ["error_after", "cut_after"]


async def test_jobs_and_the_trash_are_played_too(start: Start, tmp_path: Path) -> None:
    time, file = FakeTime(), tmp_path / "recording.jsonl"
    api = start(time.clock())
    await _record(api, file)
    lead = next(iter(api.account.store["lead"]))
    await api.post(f"/api/v2/leads/{lead['uuid']}/convert/deal", {})
    await api.delete("/api/v2/persons/2")
    time.sleep(31 * DAY)
    await api.post("/api/v2/deals", {"title": "after"})
    before, deals = await _digest(api), len(api.account.store["deal"])
    result = await api.control("POST", "replay", {"file": str(file)})
    assert (result["digest"], len(api.account.store["deal"])) == (before, deals)
    assert api.account.store["person"].get(2) is None


async def test_recording_tells_who_did_what_when_and_holds_no_token(start: Start, tmp_path: Path) -> None:
    time, file = FakeTime(1_760_000_000.5), tmp_path / "recording.jsonl"
    api = start(time.clock())
    await _record(api, file)
    await api.send("POST", "/v1/notes", {"content": "x", "deal_id": 1}, token=None, api_token=TOKEN, other="1")
    await api.control("POST", "people", {"do": {"delete": {"kind": "deal", "id": 3, "user_id": 2}}})
    await api.control("POST", "recording", {})
    await api.delete("/api/v2/deals/4")
    text = file.read_text(encoding="utf-8")
    assert TOKEN not in text
    beginning, note, deletion = (json.loads(line) for line in text.splitlines())
    assert beginning["event"] == "beginning"
    assert (note["at"], note["user_id"], note["source"], note["credential"]) == (1_760_000_000.5, 1, "api", "user:1:api")
    assert note["path"] == "/v1/notes?other=1"
    assert (deletion["user_id"], deletion["source"], deletion["tokens"]) == (2, "app", 0)


async def _refusal(api: Driver, file: Path) -> str:
    answer = await api.send("POST", "/_sandbox/replay", {"file": str(file)}, token=None, headers={"x-sandbox-key": "control"})
    assert answer.status == 400
    assert "\n" not in answer.body["error"]
    return str(answer.body["error"])


async def test_what_is_no_recording_is_refused_in_one_line(start: Start, tmp_path: Path) -> None:
    api, file = start(), tmp_path / "recording.jsonl"
    assert "cannot read the recording" in await _refusal(api, file)
    assert "cannot read the recording" in await _refusal(api, tmp_path)
    for content, words in (
        ("", "no complete recording"),
        ("nonsense", "is no recording"),
        ("[]", "no JSON object"),
        ('{"event": "reset"}', "no complete"),
    ):
        file.write_text(content, encoding="utf-8")
        assert words in await _refusal(api, file)
    await api.delete("/api/v2/deals/1")
    await _record(api, file)
    assert "had been changed already" in await _refusal(api, file)
    await _record(api, file)
    assert "another account" in await _refusal(start(seed=8), file)
    with file.open("a", encoding="utf-8") as more:
        more.write('{"event": "surprise"}\n')
    await api.control("POST", "reset")
    assert "line 2" in await _refusal(api, file)
    file.write_text(json.dumps({"event": "beginning", "format": 9}), encoding="utf-8")
    assert "format 9" in await _refusal(api, file)
    failed = await api.send("POST", "/_sandbox/recording", {"file": str(tmp_path)}, token=None, headers={"x-sandbox-key": "control"})
    assert failed.status == 400


def test_replay_is_a_program(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "recording.jsonl"

    async def act() -> str:
        api = start()
        await _record(api, file)
        await api.post("/api/v2/persons", {"name": "x"})
        return await _digest(api)

    digest = asyncio.run(act())
    for arguments, code in (([str(file)], 0), ([str(file), digest], 0), ([str(file), "0" * 64], 1), ([], 2), ([str(tmp_path)], 1)):
        command = [sys.executable, "-m", "sandbox.pipedrive.control.replay", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        assert (digest in done.stdout) == (arguments[:1] == [str(file)])
        assert len(done.stderr.splitlines()) == (0 if code == 0 else 1)
