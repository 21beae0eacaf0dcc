"""The simulator as a process: real connections, a cut one, and a state file that survives `kill -9`."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 20
CONTROL = {"x-sandbox-key": "sandbox-control"}


@contextmanager
def _running(folder: Path, *arguments: str) -> Iterator[tuple[httpx.Client, int]]:
    address_file = folder / "address"
    address_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "sandbox.pipedrive", "--port", "0", "--address-file", str(address_file), "--token", "T", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not address_file.exists():
            assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with httpx.Client(base_url=address_file.read_text(encoding="utf-8").strip(), headers={"x-api-token": "T"}, timeout=10) as client:
            yield client, process.pid
    finally:
        process.kill()
        process.communicate()


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


def test_port_in_use_and_damaged_file_end_with_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = _failing("--port", str(taken.getsockname()[1]))
        assert "cannot listen on 127.0.0.1" in result
    damaged = tmp_path / "account.db"
    damaged.write_bytes(b"no database" * 500)
    assert "move it away" in _failing("--port", "0", "--db", str(damaged))


def _failing(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "sandbox.pipedrive", *arguments], cwd=ROOT, capture_output=True, timeout=START_SECONDS, check=False)
    assert done.returncode == 1
    lines = done.stderr.decode().strip().splitlines()
    assert len(lines) == 1
    return lines[0]
