"""The whole way of a migration by the `transload` command, as a person takes it."""

import json
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import Rehearsal, installation

pytestmark = [pytest.mark.slow]


class Command:
    """Runs the command against one ledger, for one migration."""

    def __init__(self, address: str, folder: Path, migration_id: str) -> None:
        self._address = address
        self._folder = folder
        self._migration_id = migration_id

    async def text(self, *words: str, exit_status: int = 0) -> str:
        """Run a command; return what it printed, errors included where one is expected."""
        own = {
            "TRANSLOAD_LEDGER_ADDRESS": self._address,
            "TRANSLOAD_MIGRATION": self._migration_id,
            "TRANSLOAD_ACTOR": "ana@example.com",
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._folder),
        }
        process = await create_subprocess_exec(
            *(sys.executable, "-m", "transload.cli.main", *words), stdout=PIPE, stderr=PIPE, env=own, cwd=Path(__file__).parents[2]
        )
        out, err = await process.communicate()
        assert process.returncode == exit_status, (words, out.decode(), err.decode())
        return (out + err if exit_status else out).decode()

    async def data(self, *words: str) -> Any:
        """Run a command with `--json`; return what it says."""
        return json.loads(await self.text(*words, "--json"))


@pytest.mark.requirement("L-01", "L-02", "L-05", "L-08", "L-09", "L-10", "L-11", "L-12", "L-13", "L-14", "L-15", "L-16")
async def test_every_step_can_be_taken_by_the_command(tmp_path: Path) -> None:
    async with installation(tmp_path) as installed, installed.rehearsal(source=("--clients", "6")) as rehearsal:
        before = await rehearsal.pipedrive.export()
        command = Command(installed.stack.addresses["ledger"], tmp_path, rehearsal.migration_id)
        await _audit_and_confirm(command, tmp_path)
        await _sample_and_approve(command, tmp_path)
        # Slow answers, so that the load is surely going on when it is paused.
        await rehearsal.pipedrive.faults({"kind": "slow", "seconds": 0.5, "method": "POST", "path": "/api/.*"})
        await command.text("start", "--no-wait")
        assert (await command.data("pause"))["pause_kind"] == "user"
        await rehearsal.pipedrive.clear_faults()
        assert (await command.data("resume"))["pause_kind"] == ""
        await command.text("migration", "watch")
        assert (await command.data("migration", "show"))["migration"]["state"] == "loaded"
        await rehearsal.stel.control("POST", "mutate", {"seed": 1})
        assert (await command.data("delta"))["latest_run"]["state"] == "succeeded"
        assert (await command.data("reconcile"))["mismatch_count"] == 0
        assert (await command.data("migration", "show"))["summary"]["mismatch_count"] == 0
        await _see_to_mismatches(command, rehearsal, tmp_path)
        await _review_and_look(command)
        await _take_the_papers(command, tmp_path)
        await _erase(command, tmp_path)
        assert (await command.data("rollback", "--dry-run"))["token_count"] > 0
        assert (await command.data("migration", "show"))["migration"]["state"] == "loaded"
        await command.text("rollback", "--yes")
        assert (await command.data("migration", "show"))["migration"]["state"] == "rolled_back"
        assert await rehearsal.pipedrive.export() == before


async def _audit_and_confirm(command: Command, folder: Path) -> None:
    assert (await command.data("migration", "list"))[0]["state"] == "created"
    assert (await command.data("audit", "run"))["state"] == "audited"
    assert (await command.data("audit", "show"))["summary"]["records"] > 50
    assert "Client" in await command.text("audit", "show")
    assert "MAPPING_NOT_CONFIRMED" in await command.text("schema", "apply", exit_status=1)
    edited = folder / "mapping.yaml"
    edited.write_text((await command.text("mapping", "show")).replace("name: STEL Tax ID", "name: NIF"), encoding="utf-8")
    stored = await command.data("mapping", "edit", "--file", str(edited))
    assert stored["version"] == 2
    assert (await command.data("mapping", "confirm", "--digest", stored["digest"]))["state"] == "confirmed"
    assert (await command.data("schema", "apply"))["state"] == "prepared"


async def _sample_and_approve(command: Command, folder: Path) -> None:
    assert (await command.data("sample", "--size", "30"))["state"] == "sampled"
    assert "NOT_APPROVED" in await command.text("start", exit_status=1)
    difference = await command.data("diff")
    assert any(field["label"] == "NIF" for record in difference["records"] for field in record["fields"])
    page = folder / "diff.html"
    await command.text("diff", "--html", str(page))
    assert difference["diff_digest"] in page.read_text(encoding="utf-8")
    assert difference["diff_digest"] in await command.text("diff", "--all")
    assert (await command.data("approve", "--diff", difference["diff_digest"]))["approver"] == "ana@example.com"


async def _see_to_mismatches(command: Command, rehearsal: Rehearsal, folder: Path) -> None:
    key = "organization:client/1001"
    target_id = int(next(record.target_id for record in await rehearsal.records(target_entity="organization") if record.key == key))
    edit = {"kind": "organization", "id": target_id, "values": {"name": "Renamed by a person"}}
    await rehearsal.pipedrive.control("POST", "people", {"do": {"edit": edit}})
    assert "Renamed by a person" in await command.text("reconcile", "--file-sample", "none", exit_status=1)
    assert [row["key"] for row in await command.data("mismatches")] == [key]
    await command.text("repair", exit_status=2)
    assert (await command.data("repair", key, "--dry-run"))["action_counts"] == {"patch": 1}
    assert "0 mismatches are left" in await command.text("repair", "--all")
    await rehearsal.pipedrive.control("POST", "people", {"do": {"edit": edit}})
    await command.text("reconcile", "--file-sample", "none", exit_status=1)
    await command.text("accept", exit_status=2)
    # What was accepted is a person's and would stay at the rollback below.
    assert "NOT_FOUND" in await command.text("accept", "organization:client/0", exit_status=1)
    assert (await command.data("repair", key))["mismatch_count"] == 0
    statement = folder / "arrived.json"
    whole = await command.data("reconcile", "--file-sample", "2", "--relation-sample", "all", "--statement", str(statement))
    assert whole["mismatch_count"] == 0
    assert "Result: whole." in (folder / "arrived.txt").read_text(encoding="utf-8")
    public_key = (await command.text("audit", "key")).strip()
    assert (await command.data("audit", "verify", str(statement), "--key", public_key))["kind"] == "statement"


async def _review_and_look(command: Command) -> None:
    waiting = next(item for item in await command.data("review", "list") if item["is_blocking"])
    assert (await command.data("review", "resolve", waiting["review_item_id"], "--with", "skip"))["resolved_count"] == 1
    assert (await command.data("review", "resolve", "--reason", "OWNER_UNMATCHED", "--with", "accept"))["resolved_count"] >= 1
    journey = await command.data("record", "show", "client/1001")
    assert "organization:client/1001" in [record["key"] for record in journey["records"]]
    assert journey["events"]
    assert journey["pages"]
    assert "POST /api/v2/organizations" in await command.text("record", "show", "organization:client/1001")
    assert await command.text("record", "list", "--state", "waiting", "--json")


async def _take_the_papers(command: Command, folder: Path) -> None:
    trail, sheet = folder / "trail.jsonl", folder / "trail.csv"
    await command.text("audit", "export", "--out", str(trail))
    await command.text("audit", "export", "--format", "csv", "--out", str(sheet))
    lines = [json.loads(line) for line in trail.read_text(encoding="utf-8").splitlines()]
    events = [line for line in lines if "sequence" in line]
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert sheet.read_text(encoding="utf-8").startswith("sequence,")
    assert (await command.data("audit", "verify"))["is_whole"] is True
    key = (await command.text("audit", "key")).strip()
    verdict = await command.data("audit", "verify", str(trail), "--key", key)
    assert (verdict["is_whole"], verdict["event_count"], verdict["is_pinned"]) == (True, len(events), True)
    proof = folder / "proof.json"
    await command.text("audit", "prove", "organization:client/1001", "--out", str(proof))
    verdict = await command.data("audit", "verify", str(proof), "--key", key)
    assert verdict["is_whole"] is True
    assert verdict["event_count"] == sum(event["source_key"] == "client/1001" for event in events)
    files = (await command.data("export", "--out", str(folder / "reference")))["files"]
    assert {"work-orders.csv", "payments.csv"} <= set(files)


async def _erase(command: Command, folder: Path) -> None:
    """What is kept of a record goes; every proof stays."""
    words = ("audit", "erase", "--record", "client/1001", "--reason", "request 4711")
    planned = await command.data(*words, "--dry-run")
    assert planned["payload_count"] > 0
    assert await command.data(*words, "--yes") == planned
    assert "Erased: 0 event payloads" in await command.text(*words, "--yes")
    proof = folder / "proof-after.json"
    await command.text("audit", "prove", "client/1001", "--out", str(proof))
    assert (await command.data("audit", "verify", str(proof)))["erased_count"] == planned["payload_count"]
    assert (await command.data("audit", "verify"))["is_whole"] is True
