"""Writes the table of roles into `docs/access.md` as the code has it: `python -m tools.access_table`."""

from __future__ import annotations

from pathlib import Path

from services.common.access.roles import page_rows

PAGE = Path(__file__).resolve().parent.parent / "docs" / "access.md"


def main() -> None:
    """Replaces the table."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| RPC |"))
    end = next((number for number in range(start, len(lines)) if not lines[number].startswith("|")), len(lines))
    PAGE.write_text("\n".join([*lines[:start], *page_rows(), *lines[end:]]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
