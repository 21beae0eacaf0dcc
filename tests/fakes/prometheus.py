"""A real Prometheus (Debian package) that scrapes some addresses once a second."""

import asyncio
import contextlib
import json
import random
import shutil
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from transload.embedded import ports

START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.2
IS_INSTALLED = shutil.which("prometheus") is not None


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server."""

    address: str

    async def ask(self, query: str) -> list[dict[str, Any]]:
        """Answer the vector a query gives now."""
        answer = await self._get("query", query=query)
        result: list[dict[str, Any]] = answer["result"]
        return result

    async def names(self) -> set[str]:
        """Answer the names of all series."""
        return set(await self._get("label/__name__/values"))

    async def firing(self) -> set[str]:
        """Answer the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in (await self._get("alerts"))["alerts"] if alert["state"] == "firing"}

    async def _get(self, what: str, **arguments: str) -> Any:
        url = f"http://{self.address}/api/v1/{what}?{urllib.parse.urlencode(arguments)}"
        return await asyncio.to_thread(_get, url)


def _get(url: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        return json.loads(response.read())["data"]


def impatient(rules: Path) -> str:
    """Answer alert rules that wait for nothing, for a test that provokes a fault; how long they wait is tested by promtool."""
    content = yaml.safe_load(rules.read_text())
    for group in content["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    return yaml.safe_dump(content)


@asynccontextmanager
async def prometheus(folder: Path, targets: Sequence[str], rules: str) -> AsyncIterator[Prometheus]:
    """Scrape `targets` as job `transload` while the block runs."""
    folder.mkdir(parents=True)  # noqa: ASYNC240 - once, before anything runs
    address = f"127.0.0.1:{ports.choose([], random.Random())}"
    (folder / "rules.yaml").write_text(rules)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "transload", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    arguments = (f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}")
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec("prometheus", *arguments, stdout=log, stderr=log)
        try:
            found = Prometheus(address)
            until = time.monotonic() + START_SECONDS_MAX
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    await found.ask("vector(1)")
                    break
                await asyncio.sleep(POLL_SECONDS)
            yield found
        finally:
            process.terminate()
            await process.wait()
