"""Simulators run as programs of their own: found by address, told what is wrong in one line, and ended with whoever started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from transload.embedded.errors import StackError
from transload.embedded.simulators import simulator

ROOT = Path(__file__).resolve().parents[3]
SECONDS_MAX = 20.0
STARTER = """
import asyncio, sys
from pathlib import Path
from transload.embedded.simulators import simulator

async def run():
    async with simulator("pipedrive", data_dir=Path(sys.argv[1]), connection="target") as started:
        print(started.process.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(run())
"""


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("pipedrive", ("--plan", "huge"), "argument --plan: invalid choice: 'huge'"),
        ("pipedrive", ("--seats", "0"), "argument --seats:"),
        ("stel_order", ("--plan", "huge"), "argument --plan: invalid choice: 'huge'"),
    ],
)
async def test_a_simulator_that_refuses_an_option_says_so_in_one_line(tmp_path: Path, name: str, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(StackError) as caught:
        async with simulator(name, *arguments, data_dir=tmp_path, connection="target"):
            pass
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_all_requests_are_read_from_the_journal_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transload.embedded.simulators._JOURNAL_PAGE", 2)
    async with simulator("pipedrive", data_dir=tmp_path, connection="target") as started, httpx.AsyncClient(trust_env=False) as http:
        for _ in range(4):
            await http.get(f"{started.url}/api/v2/deals")
        assert [entry["status"] for entry in await started.journal()] == [401] * 4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing ends a process with the one that started it")
def test_a_simulator_ends_with_whoever_started_it(tmp_path: Path) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    os.kill(starter.pid, signal.SIGKILL)
    starter.communicate()
    deadline = time.monotonic() + SECONDS_MAX
    while _is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
