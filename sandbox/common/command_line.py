"""A command line that says in one line what is wrong with it."""

import argparse
from typing import NoReturn


class CommandLine(argparse.ArgumentParser):
    """Names the wrong option and where to look, without the whole usage around it."""

    def error(self, message: str) -> NoReturn:
        """End with that line and exit code 2."""
        self.exit(2, f"{self.prog}: {message}; try --help\n")
