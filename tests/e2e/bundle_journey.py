"""What whole migrations of export bundles have in common: the way, what is noted at each stop, and both sides beside each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from tests.e2e.checker import Target
from tests.e2e.harness import Rehearsal
from transload.v1 import migration_service_pb2 as pb

A = TypeVar("A")


@dataclass
class BothSides(Generic[A]):
    """One account on both sides."""

    account: A
    export: bytes
    label: str
    target: Target = field(init=False)
    state: dict[str, list[dict[str, Any]]] = field(init=False)

    def __post_init__(self) -> None:
        """Index the export."""
        self.target = Target.parse(self.export)
        self.state = json.loads(self.export)["state"]

    def custom(self, entity: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return custom values by the names people see, options by their labels."""
        found = {}
        for one in self.state["fields"]:
            value = record.get("custom_fields", {}).get(one["field_code"])
            if one["entity"] == entity and value is not None:
                labels = {option["id"]: option["label"] for option in one.get("options") or []}
                found[one["field_name"]] = labels.get(value, value) if one["field_type"] == "enum" else value
        return found


@dataclass
class BundleJourney:
    """Everything that was seen on the way."""

    rehearsal: Rehearsal
    audit: dict[str, Any] = field(default_factory=dict)
    mapping: str = ""
    exports: dict[str, bytes] = field(default_factory=dict)
    summaries: dict[str, pb.Summary] = field(default_factory=dict)
    items: dict[str, list[pb.ReviewItem]] = field(default_factory=dict)
    mismatches: dict[str, pb.ListMismatchesResponse] = field(default_factory=dict)
    diff: list[pb.DiffRecord] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    """What the load was planned to spend, beside what it spent."""

    @property
    def label(self) -> str:
        """What external ids begin with."""
        return f"{self.rehearsal.migration_id}-source"

    def world(self, stop: str) -> Any:
        """Compare the account as it was at a stop with what Pipedrive held."""
        raise NotImplementedError

    async def decide(self) -> None:
        """Change what the audit proposes, as a person does who reads it; here all of it is agreed to."""

    async def load(self) -> None:
        """Go from the audit to the first stop, after the load."""
        client, migration_id = self.rehearsal.client, self.rehearsal.migration_id
        await self.rehearsal.step("audit")
        self.audit = json.loads(await client.get_audit(migration_id))
        self.mapping = (await client.get_mapping(migration_id)).mapping_yaml
        await self.decide()
        await self.rehearsal.run_to(pb.MIGRATION_STATE_SAMPLED)
        async for page in client.iterate_diff(migration_id):
            self.diff.extend(page.records)
        await self.rehearsal.approve()
        await self.rehearsal.step("load")
        self.plan = json.loads(await client.plan_load(migration_id))
        await self.look("load")

    async def change(self) -> None:
        """Go to the second stop: another bundle came, and a delta."""
        await self.rehearsal.bundles.change(1)
        await self.rehearsal.step("delta")
        await self.look("delta")
        async for name, piece in self.rehearsal.client.export_reference_files(self.rehearsal.migration_id):
            self.files[name] = self.files.get(name, b"") + piece

    async def look(self, stop: str) -> None:
        """Note what stands where, and read everything back."""
        self.exports[stop] = await self.rehearsal.pipedrive.export()
        self.summaries[stop] = await self.rehearsal.summary()
        self.items[stop] = await self.rehearsal.review_items()
        await self.rehearsal.step("reconcile")
        self.mismatches[stop] = await anext(aiter(self.rehearsal.client.iterate_mismatches(self.rehearsal.migration_id)))
