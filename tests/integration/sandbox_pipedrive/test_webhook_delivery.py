"""Webhooks over real connections: the simulator as a process posts to a server of the test."""

import base64
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[3]
SECONDS = 20
CONTROL = {"x-sandbox-key": "sandbox-control"}


class Hook:
    """A server that notes what is posted to it and answers with a status."""

    def __init__(self) -> None:
        self.status = 200
        self.arrived: queue.Queue[tuple[str, dict[str, str], dict[str, Any]]] = queue.Queue()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                # Noted before it is answered: after the answer the next one may come, in another thread.
                hook.arrived.put((self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(body)))
                self.send_response(hook.status)
                if hook.status == 302:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self) -> tuple[str, dict[str, str], dict[str, Any]]:
        return self.arrived.get(timeout=SECONDS)


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[httpx.Client]:
    address_file = tmp_path / "address"
    command = [sys.executable, "-m", "sandbox.pipedrive", "--port", "0", "--address-file", str(address_file), "--token", "T", "--seed", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + SECONDS
        while not address_file.exists():
            assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with httpx.Client(base_url=address_file.read_text(encoding="utf-8").strip(), headers={"x-api-token": "T"}, timeout=SECONDS) as client:
            yield client
        process.terminate()
        errors = process.communicate(timeout=SECONDS)[1].decode().splitlines()
        assert process.returncode == 0
        assert len(errors) == 1  # nothing but the line that tells the address
    finally:
        process.kill()
        process.communicate()


def _register(client: httpx.Client, hook: Hook, **more: str) -> None:
    body = {"subscription_url": hook.url, "event_action": "*", "event_object": "person", "name": "Test", **more}
    client.post("/v1/webhooks", json=body).raise_for_status()


def _state(client: httpx.Client) -> dict[str, Any]:
    webhooks: list[dict[str, Any]] = client.post("/_sandbox/webhooks/flush", headers=CONTROL).raise_for_status().json()["webhooks"]
    return webhooks[0]


def test_events_arrive_in_order_with_credentials(client: httpx.Client, hook: Hook) -> None:
    _register(client, hook, http_auth_user="user", http_auth_password="secret")
    for number in range(20):
        client.post("/api/v2/persons", json={"name": f"Person {number}"}).raise_for_status()
    arrived = [hook.next() for _ in range(20)]
    assert [payload["data"]["name"] for _, _, payload in arrived] == [f"Person {number}" for number in range(20)]
    path, headers, payload = arrived[0]
    assert path == "/hook"
    assert headers["authorization"] == "Basic " + base64.b64encode(b"user:secret").decode()
    assert headers["content-type"] == "application/json"
    assert payload["meta"]["attempt"] == 1
    assert _state(client)["delivered"] == 20
    assert client.get("/v1/webhooks").json()["data"][0]["last_http_status"] == 200


def test_redirect_is_a_failure_and_retries_follow_the_accounts_clock(client: httpx.Client, hook: Hook) -> None:
    _register(client, hook)
    hook.status = 302
    client.patch("/api/v2/persons/1", json={"name": "Changed"}).raise_for_status()
    path, _, payload = hook.next()
    assert (path, payload["meta"]["attempt"]) == ("/hook", 1)
    state = _state(client)
    assert (state["failed_tries"], [retry["attempt"] for retry in state["retries"]]) == (1, [2])
    hook.status = 204
    client.post("/_sandbox/clock", headers=CONTROL, json={"advance_seconds": 10}).raise_for_status()
    path, _, payload = hook.next()  # the background work notices the moved clock by itself
    assert (path, payload["meta"]["attempt"], payload["previous"]["name"]) == ("/hook", 2, "María José Ibarra")
    assert _state(client)["delivered"] == 1
    assert hook.arrived.empty()


def test_closed_port_is_a_failure(client: httpx.Client, hook: Hook) -> None:
    _register(client, hook)
    hook.server.shutdown()
    hook.server.server_close()
    client.patch("/api/v2/persons/1", json={"name": "Changed"}).raise_for_status()
    state = _state(client)
    assert (state["delivered"], state["failed_tries"], state["last_delivery"][1]) == (0, 1, None)
