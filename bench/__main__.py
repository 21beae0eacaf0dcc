"""Runs the benchmarks named as arguments, or all of them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bench import (
    api_clients,
    audit_verification,
    bundle_extraction,
    end_to_end,
    ledger_events,
    mapping,
    memory,
    plan_against_truth,
    quota_days,
    reading_and_mapping,
    reconciliation,
    resources,
    telemetry,
)

BENCHMARKS = {
    "end_to_end": end_to_end.run,
    "ledger": ledger_events.run,
    "reading_and_mapping": reading_and_mapping.run,
    "mapping": mapping.run,
    "bundle_extraction": bundle_extraction.run,
    "memory": memory.run,
    "audit_verification": audit_verification.run,
    "quota_days": quota_days.run,
    "reconciliation": reconciliation.run,
    "plan_against_truth": plan_against_truth.run,
    "resources": resources.run,
    "telemetry": telemetry.run,
    "api_clients": api_clients.run,
}
RESULT = Path(".transload") / "bench.json"


def main() -> None:
    """Run and print; the figures also go to `.transload/bench.json`."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    results: dict[str, dict[str, float]] = {}
    for name in names:
        print(f"== {name}", flush=True)
        results[name] = asyncio.run(BENCHMARKS[name]())
        for figure, value in results[name].items():
            print(f"  {figure:<58} {value:>14,.3f}", flush=True)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
