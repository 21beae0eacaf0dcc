"""Drives a headless Chromium over its DevTools protocol: opens pages at a size, and reports what a person would run into."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 30
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


def executable() -> str | None:
    """Return the browser to use, None when there is none."""
    return next((found for name in NAMES if (found := shutil.which(name)) is not None), None)


@dataclass(slots=True)
class Tab:
    """One page of the browser."""

    socket: aiohttp.ClientWebSocketResponse
    session: str = ""
    errors: list[str] = field(default_factory=list)
    """What the console reports as an error, and requests to other servers."""
    origin: str = ""
    _number: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        await self.socket.send_json(message)
        while True:
            answer = await self.socket.receive_json()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        """Keep an event, and what is wrong about it."""
        self._events.append(event)
        parameters = event.get("params", {})
        match event.get("method"):
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown" | "Page.javascriptDialogOpening":
                self.errors.append(str(parameters))
            case "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if not url.startswith((self.origin, "data:", "about:")):
                    self.errors.append(f"asked another server: {url}")

    async def open(self, url: str, width: int, height: int, *, scheme: str = "light") -> None:
        """Load a page at a size, in light or dark colours, and wait until it is complete."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._events.clear()
        await self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
            self._note(await self.socket.receive_json())

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press_tab(self) -> None:
        """Press the tabulator key."""
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    async def screenshot(self) -> bytes:
        """Return a picture of what is visible, as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def browsing(program: str, profile: Path, origin: str) -> AsyncIterator[Tab]:
    """Start a browser with a profile of its own, for pages of one server; end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        program, *_FLAGS, f"--user-data-dir={profile}", stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        address = await _address(process)
        async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
            tab = Tab(socket, origin=origin)
            target = (await tab.call("Target.createTarget", url="about:blank"))["targetId"]
            tab.session = (await tab.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                await tab.call(f"{domain}.enable")
            yield tab
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _address(process: asyncio.subprocess.Process) -> str:
    """Return the address the browser says it listens on."""
    assert process.stderr is not None
    async with asyncio.timeout(START_SECONDS):
        while line := await process.stderr.readline():
            _, found, address = line.decode().partition("DevTools listening on ")
            if found:
                return address.strip()
    raise AssertionError("the browser did not start")
