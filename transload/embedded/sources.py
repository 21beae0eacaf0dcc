"""Stand-ins for sources at work: a simulator that is called, or a generated export bundle that is read. Either is known by its connection only.

Which there are, and what is special about them, they say themselves (`transload.embedded.stand_ins`).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from transload.embedded.errors import StackError
from transload.embedded.process import tethered
from transload.embedded.simulators import Simulator, simulator
from transload.embedded.stand_ins import find_stand_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

FIRST_EXPORT: Final = "20260302-0900"
LATER_EXPORT: Final = "20260304-0900"
_SIZE: Final = 150


@dataclass(frozen=True, slots=True)
class SimulatedSource:
    """A source that is called."""

    title: str
    simulator: Simulator
    options: Mapping[str, Any]
    """Options of the connector that suit it."""

    @property
    def place(self) -> str:
        """Where it is."""
        return self.simulator.url

    async def change(self, seed: int) -> str:
        """Changes records, as a day's work does; answers what happened, for people."""
        answer = await self.simulator.control("POST", "mutate", {"seed": seed})
        changes = answer.get("changes", answer) if isinstance(answer, dict) else answer
        return f"{len(changes)} changes made in {self.title}; the delta may have to wait for its calls of the next minute"


@dataclass(frozen=True, slots=True)
class BundleSource:
    """A source that delivers exports into a folder, each a bundle of its own."""

    title: str
    name: str
    folder: Path
    arguments: Sequence[str]
    module: str
    """What `python -m` runs to write one."""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where it is."""
        return str(self.folder)

    async def export(self, stamp: str, *more: str) -> Path:
        """Writes one bundle.

        Raises:
            StackError: the generator failed; the message holds what it said.
        """
        out = self.folder / f"{self.name.replace('_', '-')}-export-{stamp}"
        process = await asyncio.create_subprocess_exec(
            *tethered(sys.executable, "-m", self.module, "--out", str(out), *self.arguments, *more),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await process.communicate())[0].decode("utf-8", "replace").strip().splitlines()
        if process.returncode:
            raise StackError(f"no {self.title} bundle was generated: {said[-1] if said else f'it ended with {process.returncode}'}")
        return out

    async def change(self, seed: int) -> str:
        """Delivers the same account as it is some days later; answers what happened, for people."""
        await self.export(LATER_EXPORT, "--changes", str(max(1, seed)))
        return f"{self.title} delivered a later export"


AnySource = SimulatedSource | BundleSource


@contextlib.asynccontextmanager
async def source_stand_in(
    name: str, *arguments: str, data_dir: Path, connection: str, seed: int = 1, size: int = _SIZE, plan: str = ""
) -> AsyncIterator[AnySource]:
    """Runs the stand-in of a source while the block runs, and writes the connection's folder.

    Args:
        name: the connector's name; dashes count as underscores.
        arguments: more options of its simulator or generator.
        data_dir: where connections, logs and bundles go.
        connection: the connection's name.
        seed: same seed, same account.
        size: how much it holds, in clients or what comes closest.
        plan: its plan; empty: the one with most calls.

    Raises:
        StackError: it did not start, or there is none of this name; the message says why.
    """
    kind = find_stand_in(name)
    size_arguments = ("--seed", str(seed), kind.size_option, str(size))
    chosen = (plan or kind.plans[-1]) if kind.plans else ""
    options = kind.connector_options(chosen)
    if kind.kind == "simulator":
        plans = ("--plan", chosen) if chosen else ()
        async with simulator(kind.name, *size_arguments, *plans, *arguments, data_dir=data_dir, connection=connection) as started:
            yield SimulatedSource(kind.title, started, options)
        return
    folder = data_dir / "bundles" / connection
    folder.mkdir(parents=True, exist_ok=True)
    source = BundleSource(kind.title, kind.name, folder, (*size_arguments, *arguments), kind.module, options)
    await source.export(FIRST_EXPORT)
    place = data_dir / "connections" / connection
    place.mkdir(parents=True, exist_ok=True)
    (place / "url").write_text(str(folder))
    yield source
