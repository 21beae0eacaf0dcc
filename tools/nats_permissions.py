"""Writes the NATS servers' file of users and permissions from `services/common/bus_users.py`; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from services.common.bus_users import authorization

PATH = Path(__file__).resolve().parent.parent / "deploy" / "k8s" / "components" / "nats-keys" / "auth.conf"
HEAD = "# Written by python -m tools.nats_permissions from services/common/bus_users.py.\n"


def main(arguments: list[str]) -> int:
    """Writes or checks; answers the exit code."""
    text = HEAD + authorization()
    if "--check" in arguments:
        return 0 if PATH.read_text(encoding="utf-8") == text else 1
    PATH.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
