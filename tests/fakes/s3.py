"""An object store with the protocol of S3: moto's server, a program of its own, from an environment of its own (`make install-s3`).

It is installed apart because it wants other versions than ours. Where it is not installed, tests that need it skip and say so.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from tests.fakes.nats_server import free_port
from transload.embedded.process import tethered

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER: Final = Path(__file__).resolve().parents[2] / ".venv-s3" / "bin" / "moto_server"
BUCKET: Final = "transload-staging"
START_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class ObjectStore:
    """A running store with one bucket."""

    endpoint: str

    @property
    def environ(self) -> dict[str, str]:
        """What a service is given to use it."""
        return {
            "TRANSLOAD_STAGING_URL": f"s3://{BUCKET}/production",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "staging",
            "AWS_SECRET_ACCESS_KEY": "staging-secret",
        }

    def names(self) -> list[str]:
        """The names in the bucket, of up to 1,000 objects."""
        answer = httpx.get(f"{self.endpoint}/{BUCKET}?list-type=2", timeout=START_SECONDS_MAX, trust_env=False)
        return re.findall(r"<Key>(.*?)</Key>", answer.raise_for_status().text)


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Run a store while the block runs; skips the test where it is not installed."""
    if not SERVER.exists():
        pytest.skip("no S3 server here: `make install-s3` installs one")
    store = ObjectStore(f"http://127.0.0.1:{free_port()}")
    command = tethered(str(SERVER), "-H", "127.0.0.1", "-p", store.endpoint.rpartition(":")[2])
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env={"PATH": os.environ.get("PATH", "")})
    try:
        _make_bucket(store, process, folder / "s3.log")
        yield store
    finally:
        process.kill()
        process.wait()


def _make_bucket(store: ObjectStore, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the store takes a bucket."""
    until = time.monotonic() + START_SECONDS_MAX
    place = f"<CreateBucketConfiguration><LocationConstraint>{store.environ['AWS_REGION']}</LocationConstraint></CreateBucketConfiguration>"
    while True:
        try:
            httpx.put(f"{store.endpoint}/{BUCKET}", content=place, timeout=5, trust_env=False).raise_for_status()
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(POLL_SECONDS)
        else:
            return
