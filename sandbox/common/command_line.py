"""A command line that says in one line what is wrong with it."""

import argparse
import sys
from pathlib import Path
from typing import NoReturn


class CommandLine(argparse.ArgumentParser):
    """Names the wrong option and where to look, without the whole usage around it."""

    def error(self, message: str) -> NoReturn:
        """End with that line and exit code 2."""
        self.exit(2, f"{self.prog}: {message}; try --help\n")

    def add_serving(self, *, port: int) -> None:
        """Add what every simulator that is served takes.

        Args:
            port: the default port.
        """
        self.add_argument("--host", default="127.0.0.1", help="address to listen on")
        self.add_argument("--port", type=int, default=port, help="port to listen on, 0 for any free one")
        self.add_argument("--address-file", type=Path, help="file that gets the base URL once the server listens")
        self.add_argument("--control-key", default="", help="key of the control interface; none needed when empty")


def read_secret(file: Path | None, given: str = "") -> str:
    """Answer the secret that stands in a file; without one, what was given.

    Raises:
        SystemExit: The file cannot be read; one line says why.
    """
    if file is None:
        return given
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"cannot read the key file {file}: {error.strerror if isinstance(error, OSError) else 'it is not text'}")
