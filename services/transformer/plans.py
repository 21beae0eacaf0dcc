"""Compiled plans by manifest, so that a mapping is read and compiled once and not for every page."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from services.transformer.manifest import read_manifest
from services.transformer.plan import MappingPlan

if TYPE_CHECKING:
    from collections.abc import Awaitable

PLANS_MAX: Final = 8


class ManifestSource(Protocol):
    """Where manifests come from (the ledger)."""

    def get_manifest(self, manifest_digest: str) -> Awaitable[bytes]:
        """Answer a manifest's bytes."""


class Plans:
    """Keeps the plans of the manifests in use; the longest unused one goes when there are more than `PLANS_MAX`."""

    def __init__(self, manifests: ManifestSource) -> None:
        self._manifests = manifests
        self._plans: OrderedDict[str, MappingPlan] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, manifest_digest: str) -> MappingPlan:
        """Answer the plan of a manifest.

        Raises:
            MappingError: its mapping cannot be read or compiled.
            NotFoundError: the ledger does not know it.
        """
        async with self._lock:
            plan = self._plans.get(manifest_digest)
            if plan is None:
                content = await self._manifests.get_manifest(manifest_digest)
                plan = self._plans[manifest_digest] = await asyncio.to_thread(_compile, content)
                if len(self._plans) > PLANS_MAX:
                    self._plans.popitem(last=False)
            self._plans.move_to_end(manifest_digest)
            return plan


def _compile(content: bytes) -> MappingPlan:
    manifest = read_manifest(content)
    return MappingPlan(manifest.mapping, manifest)
