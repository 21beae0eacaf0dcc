"""Asks whether the locked packages have known vulnerabilities (pip-audit), and says plainly what could not be asked.

    python -m tools.audit [--strict] [LOCK]     default: locks/all.txt

Exit code 1 for a known vulnerability, and with --strict for every package nothing could be learned about: pip-audit itself calls that a success.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
TIMEOUT_SECONDS: Final = 900


def main() -> int:
    """Asks and reports; answers the exit code."""
    parser = argparse.ArgumentParser(description="Ask whether locked packages have known vulnerabilities.")
    parser.add_argument("lock", nargs="?", type=Path, default=ROOT / "locks" / "all.txt")
    parser.add_argument("--strict", action="store_true", help="fail when something could not be asked")
    given = parser.parse_args()
    program = Path(sysconfig.get_path("scripts")) / "pip-audit"
    command = [str(program), "--requirement", str(given.lock), "--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)  # noqa: S603 - our own arguments
    return report(done.stdout, done.stderr, is_strict=given.strict)


def report(output: str, errors: str, *, is_strict: bool) -> int:
    """Writes what pip-audit found in words and answers the exit code."""
    try:
        dependencies: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = [line for line in errors.splitlines() if line.strip()]
        sys.stdout.write(f"NOT AUDITED: no answer ({lines[-1] if lines else 'nothing said'})\n")
        return int(is_strict)
    skipped = [one for one in dependencies if "skip_reason" in one]
    hit = [one for one in dependencies if one.get("vulns")]
    for one in hit:
        for found in one["vulns"]:
            fixed = f"; fixed in {', '.join(found['fix_versions'])}" if found.get("fix_versions") else ""
            sys.stdout.write(f"VULNERABLE: {one['name']} {one['version']}: {found['id']}{fixed}\n")
    if skipped:
        sys.stdout.write(f"NOT AUDITED: {len(skipped)} of {len(dependencies)} packages, as the index here tells nothing of vulnerabilities: ")
        sys.stdout.write(f"{', '.join(sorted(one['name'] for one in skipped))}\n")
    sys.stdout.write(f"{len(dependencies) - len(skipped)} packages audited, {len(hit)} with known vulnerabilities\n")
    return 1 if hit or (skipped and is_strict) else 0


if __name__ == "__main__":
    sys.exit(main())
