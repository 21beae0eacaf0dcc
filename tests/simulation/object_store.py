"""An object store in memory: stands in for the `obstore` functions that `services/common/staging.py` calls. Outlives every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obstore.exceptions import GenericError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.simulation.network import Network


class ObjectStore:
    """Keeps blobs by name.

    Attributes:
        refused_share: part of the calls that fail; half of the writes among them happened all the same.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.blobs: dict[str, bytes] = {}
        self.refused_share = 0.0

    async def put_async(self, _store: object, name: str, data: bytes) -> None:
        """Write a blob, whole."""
        is_refused = await self._way()
        if is_refused and self._network.draw.random() < 0.5:
            raise GenericError("the store does not answer")
        self.blobs[name] = bytes(data)
        if is_refused:
            raise GenericError("the store does not answer")

    async def get_async(self, _store: object, name: str, options: Mapping[str, Any] | None = None) -> _Result:
        """Read a blob, or the range of it that `options` name: its first byte and the one after its last."""
        await self._way_or_refusal()
        if name not in self.blobs:
            raise FileNotFoundError(name)
        first, end = (options or {}).get("range", (0, None))
        return _Result(self.blobs[name][first:end])

    async def head_async(self, _store: object, name: str) -> None:
        """Look whether a blob is there."""
        await self._way_or_refusal()
        if name not in self.blobs:
            raise FileNotFoundError(name)

    async def rename_async(self, _store: object, old: str, new: str) -> None:
        """Give a blob another name."""
        await self._way_or_refusal()
        if old not in self.blobs:
            raise FileNotFoundError(old)
        self.blobs[new] = self.blobs.pop(old)

    async def delete_async(self, _store: object, name: str) -> None:
        """Delete a blob."""
        await self._way_or_refusal()
        self.blobs.pop(name, None)

    def open_writer_async(self, _store: object, name: str) -> _Writer:
        """Begin a blob that is written piece by piece."""
        return _Writer(self, name)

    async def _way(self) -> bool:
        await self._network.hop()
        is_refused = self.refused_share > 0 and self._network.draw.random() < self.refused_share
        self._network.hits["staging"] += is_refused
        return is_refused

    async def _way_or_refusal(self) -> None:
        if await self._way():
            raise GenericError("the store does not answer")


class _Result:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def bytes_async(self) -> bytes:
        return self._data

    async def stream(self, min_chunk_size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), min_chunk_size):
            yield self._data[start : start + min_chunk_size]


class _Writer:
    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._name = name
        self._parts: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self._parts.append(bytes(data))

    async def close(self) -> None:
        await self._store.put_async(None, self._name, b"".join(self._parts))


def as_module(store: ObjectStore) -> Any:
    """Answer something with the functions of the `obstore` module."""
    return store
