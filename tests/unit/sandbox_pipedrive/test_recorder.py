"""Recording of writing requests through the control interface."""

import base64
import json
from pathlib import Path
from typing import Any

from tests.unit.sandbox_pipedrive.driver import Driver


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_writes_are_recorded_with_their_bodies_while_it_is_on(api: Driver, tmp_path: Path) -> None:
    file = tmp_path / "writes.jsonl"
    await api.post("/api/v2/organizations", {"name": "Before"})
    assert await api.control("POST", "recording", {"file": str(file)}) == {"recording": str(file)}
    await api.post("/api/v2/organizations", {"name": "During"})
    await api.get("/api/v2/organizations")
    await api.post("/api/v2/organizations", {"name": "Refused"}, nonsense="1")
    assert await api.control("POST", "recording", {}) == {"recording": ""}
    await api.post("/api/v2/organizations", {"name": "After"})

    made, refused = lines(file)
    assert (made["method"], made["path"], made["status"]) == ("POST", "/api/v2/organizations", 200)
    assert json.loads(base64.b64decode(made["body"])) == {"name": "During"}
    assert made["tokens"] > 0
    assert (refused["path"], refused["status"]) == ("/api/v2/organizations?nonsense=1", 400)


async def test_a_file_is_emptied_unless_told_otherwise(api: Driver, tmp_path: Path) -> None:
    file = tmp_path / "writes.jsonl"
    for body, count in (({}, 1), ({"is_emptied": False}, 2), ({"is_emptied": True}, 1)):
        await api.control("POST", "recording", {"file": str(file), **body})
        await api.post("/api/v2/organizations", {"name": "Needle Ltd"})
        assert len(lines(file)) == count


async def test_reading_requests_are_recorded_on_request(api: Driver, tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    await api.control("POST", "recording", {"file": str(file), "reads": True})
    await api.get("/api/v2/deals", limit="2")
    assert [line["path"] for line in lines(file)] == ["/api/v2/deals?limit=2"]
