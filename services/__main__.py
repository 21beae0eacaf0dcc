"""`transload-service NAME` runs one service; `health` asks one, `migrate` brings the ledger's schema up to date. What a container starts."""

from __future__ import annotations

import runpy
import sys
from typing import Final

PROGRAMS: Final = {
    "extractor": "services.extractor",
    "transformer": "services.transformer",
    "loader": "services.loader",
    "ledger": "services.ledger",
    "health": "services.common.health_probe",
    "migrate": "services.ledger.migrate",
}
"""Argument -> module that is run by it."""
EXIT_USAGE: Final = 2


def main() -> None:
    """Runs the program the first argument names, with the arguments behind it. Leaves with code 2 when there is no such program."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    module = PROGRAMS.get(name)
    if module is None:
        problem = f"there is no program {name!r}" if name else "no program is named"
        sys.stderr.write(f"{problem}; one of: {', '.join(PROGRAMS)}\n")
        sys.exit(EXIT_USAGE)
    del sys.argv[1]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
