"""Writes the table of metrics into `docs/operations.md` from `services/common/instruments.py`; `--check` only says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from services.common.instruments import INSTRUMENTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- metrics: python tools/metrics_table.py -->\n", "<!-- /metrics -->"


def table() -> str:
    """Answers the table."""
    rows = ["| Metric | In Prometheus | Kind, unit | Service | Stands for | Attributes |", "|---|---|---|---|---|---|"]
    for one in INSTRUMENTS:
        services = "all" if len(one.services) > 3 else ", ".join(one.services)  # noqa: PLR2004 - there are four
        attributes = " ".join(f"`{attribute}`" for attribute in one.attributes)
        rows.append(f"| `{one.name}` | `{one.prometheus_name}` | {one.kind.value}, `{one.unit}` | {services} | {one.description} | {attributes} |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Writes or checks."""
    text = PAGE.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    fresh = f"{head}{begin}{table()}{end}{tail}"
    if "--check" in sys.argv[1:]:
        if fresh != text:
            print("docs/operations.md: the table of metrics is old; run python tools/metrics_table.py", file=sys.stderr)  # noqa: T201
        return int(fresh != text)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
