"""The simulator as a process: real connections, a cut one, and a state file that survives `kill -9`."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.sandbox_pipedrive.running import CONTROL, ROOT, START_SECONDS, TOKEN, running


@contextmanager
def _running(folder: Path, *arguments: str) -> Iterator[tuple[httpx.Client, int]]:
    with (
        running(folder, *arguments) as (url, process),
        httpx.Client(base_url=url, headers={"x-api-token": TOKEN}, timeout=10) as client,
    ):
        yield client, process.pid


def _export(client: httpx.Client) -> bytes:
    return client.get("/_sandbox/export", headers=CONTROL).content


def test_killed_process_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    arguments = ("--db", str(tmp_path / "account.db"), "--seed", "3")
    with _running(tmp_path, *arguments) as (client, pid):
        for number in range(50):
            client.post("/api/v2/persons", json={"name": f"Person {number}"}).raise_for_status()
        file = client.post("/v1/files", files={"file": ("a.bin", b"\x00\xff" * 1000)}, data={"deal_id": "1"}).raise_for_status().json()["data"]
        before, remaining = _export(client), client.get("/api/v2/persons/1").headers["x-daily-ratelimit-token-remaining"]
        os.kill(pid, signal.SIGKILL)
    with _running(tmp_path, *arguments) as (client, _):
        assert _export(client) == before
        assert client.get(f"/v1/files/{file['id']}/download").content == b"\x00\xff" * 1000
        assert int(client.get("/api/v2/persons/1").headers["x-daily-ratelimit-token-remaining"]) < int(remaining)
        created = client.post("/api/v2/personFields", json={"field_name": "x", "field_type": "text"}).json()["data"]
        assert created["field_code"] not in before.decode()


@pytest.mark.parametrize(("kind", "created"), [("cut_before", 0), ("cut_after", 1)])
def test_cut_connection_gives_no_byte_of_an_answer(tmp_path: Path, kind: str, created: int) -> None:
    with _running(tmp_path) as (client, _):
        client.post("/_sandbox/faults", headers=CONTROL, json={"kind": kind, "method": "POST", "times": 1}).raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/api/v2/organizations", json={"name": "x"})
        assert len(client.get("/api/v2/organizations").json()["data"]) == created


def test_what_is_wrong_at_start_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "cannot listen on 127.0.0.1" in _failing(1, "--port", str(taken.getsockname()[1]))
    damaged = tmp_path / "account.db"
    damaged.write_bytes(b"no database" * 500)
    assert "move it away" in _failing(1, "--port", "0", "--db", str(damaged))
    assert "cannot read the users file" in _failing(1, "--port", "0", "--users", str(tmp_path / "missing"))
    assert "cannot write the address file" in _failing(1, "--port", "0", "--address-file", str(tmp_path / "missing" / "address"))
    assert "holds no token" in _failing(1, "--port", "0", "--token-file", str(damaged.with_name("empty")), empty=damaged.with_name("empty"))
    assert "cannot write the recording" in _failing(1, "--port", "0", "--record", str(tmp_path / "missing" / "recording"))
    assert "argument --plan" in _failing(2, "--plan", "huge")
    assert "cannot listen on no.such.host.example" in _failing(1, "--host", "no.such.host.example", "--port", "0")


def test_second_simulator_on_one_state_file_says_so(tmp_path: Path) -> None:
    file = str(tmp_path / "account.db")
    with _running(tmp_path, "--db", file):
        assert "another running simulator uses it" in _failing(1, "--port", "0", "--db", file)


def test_recording_from_the_start_can_be_played_by_another_process(tmp_path: Path) -> None:
    file = tmp_path / "recording.jsonl"
    with _running(tmp_path, "--seed", "4", "--record", str(file)) as (client, _):
        for number in range(20):
            client.post("/api/v2/deals", json={"title": f"Deal {number}", "org_id": 1}).raise_for_status()
        client.post("/v1/files", files={"file": ("a.bin", b"\x00\xff" * 1_000_000)}, data={"deal_id": "1"}).raise_for_status()
        digest = client.get("/_sandbox/digest", headers=CONTROL).json()["digest"]
    command = [sys.executable, "-m", "sandbox.pipedrive.control.replay", str(file), digest]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{digest} 21 requests 1 events\n"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "command",
    [["-m", "sandbox.pipedrive"], ["-m", "transload.cli.main", "sandbox", "pipedrive"]],
    ids=["module", "transload"],
)
def test_it_ends_quietly_when_told(tmp_path: Path, command: list[str], signal_number: signal.Signals) -> None:
    with running(tmp_path, command=command) as (url, process):
        httpx.get(f"{url}/v1/users/me", headers={"x-api-token": TOKEN}).raise_for_status()
        process.send_signal(signal_number)
        _, errors = process.communicate(timeout=START_SECONDS)
        assert (process.returncode, errors.decode().count("\n")) == (0, 1)


def test_transload_passes_arguments_and_exit_codes_on() -> None:
    command = [sys.executable, "-m", "transload.cli.main", "sandbox"]
    wrong = subprocess.run([*command, "pipedrive", "--plan", "huge"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert "argument --plan" in wrong.stderr
    for name, option in (("pipedrive", "--clock-speed"), ("stel_order", "--calls-per-minute")):
        helped = subprocess.run([*command, name, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert helped.returncode == 0
        assert option in helped.stdout


def _failing(code: int, *arguments: str, empty: Path | None = None) -> str:
    if empty is not None:
        empty.touch()
    done = subprocess.run([sys.executable, "-m", "sandbox.pipedrive", *arguments], cwd=ROOT, capture_output=True, timeout=START_SECONDS, check=False)
    lines = done.stderr.decode().strip().splitlines()
    assert done.returncode == code, lines
    last = lines.pop()
    assert lines == [line for line in lines if line.startswith("Pipedrive sandbox at ")]
    return last


def test_an_account_that_is_kept_keeps_the_token_that_was_made_up(tmp_path: Path) -> None:
    said = [_first_line("--db", str(tmp_path / "account.db")).rpartition("token ")[2] for _ in range(2)]
    assert len(said[0]) == 40
    assert said[0] == said[1]


def _first_line(*arguments: str) -> str:
    """What the simulator says once it listens, started without a token."""
    line = [sys.executable, "-m", "sandbox.pipedrive", "--port", "0", *arguments]
    with subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        first = process.stderr.readline().strip()
        process.terminate()
    return first
