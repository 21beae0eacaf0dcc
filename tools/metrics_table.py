"""Writes the table of metrics into `docs/operations.md` from `services/common/instruments.py`; a test compares it."""

from __future__ import annotations

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


def render() -> str:
    """Answers the page with the table as the code has it."""
    head, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}{table()}{end}{tail}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
