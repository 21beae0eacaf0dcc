"""The simulator as a process: what needs real connections."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("stel")
    address = folder / "address"
    key = folder / "key"
    key.write_text("right\n")
    command = [sys.executable, "-m", "sandbox.stel_order", "--port", "0", "--clients", "10", "--key-file", str(key), "--address-file", str(address)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        deadline = time.monotonic() + 20
        while not address.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        yield address.read_text().strip()
        process.terminate()
        assert process.wait(10) is not None
    assert len((folder / "log").read_text().splitlines()) == 1


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"APIKEY": "right"}, timeout=10) as opened:
        yield opened


def test_it_serves(client: httpx.Client) -> None:
    assert len(client.get("/app/clients").json()) >= 10


def test_a_cut_connection_gives_no_whole_answer(client: httpx.Client) -> None:
    rules = [{"kind": "cut_before", "path": "/app/contacts", "times": 1}, {"kind": "cut", "path": "/app/clients", "times": 1}]
    client.post("/_sandbox/faults", json=rules)
    for path in ("/app/contacts", "/app/clients"):
        with pytest.raises(httpx.RemoteProtocolError):
            client.get(path)
        assert client.get(path).status_code == 200


def test_the_oversize_file_is_announced_and_can_be_left_alone(client: httpx.Client) -> None:
    attachments = client.get("/app/entityAttachments").json()
    url = next(record["file-url"] for record in attachments if "oversize" in record["file-url"])
    with client.stream("GET", url) as answer:
        assert int(answer.headers["content-length"]) > 25 * 1024 * 1024
    assert client.get("/app/rates").status_code == 200


def test_wrong_options_are_told_in_one_line() -> None:
    command = [sys.executable, "-m", "sandbox.stel_order", "--port", "0", "--key", "k", "--deny", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "no such collection: nothing"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--plan", "huge"], 2, "argument --plan"),
        (["--no-such-option"], 2, "unrecognized arguments"),
        (["--key-file", "/no/such/file"], 1, "cannot read the key file"),
        ([], 1, "an API key is needed"),
        (["--key", "k", "--deny", "nonsense"], 1, "no such collection"),
    ],
)
def test_what_is_wrong_at_start_is_one_line(arguments: list[str], code: int, words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "sandbox.stel_order", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
