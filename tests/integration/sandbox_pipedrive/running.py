"""Runs the simulator as a process of its own."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 20
CONTROL = {"x-sandbox-key": "sandbox-control"}
TOKEN = "T"
MODULE = ("-m", "sandbox.pipedrive")


@contextmanager
def running(folder: Path, *arguments: str, command: Sequence[str] = MODULE) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Yield the base URL and the process; kill it afterwards."""
    address_file = folder / "address"
    address_file.unlink(missing_ok=True)
    line = [sys.executable, *command, "--port", "0", "--address-file", str(address_file), "--token", TOKEN, *arguments]
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not address_file.exists():
            assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield address_file.read_text(encoding="utf-8").strip(), process
    finally:
        process.kill()
        process.communicate()
