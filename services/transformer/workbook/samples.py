"""What stands in a source field, as cells show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.transformer.workbook.survey import Seen


HIDDEN: Final = frozenset({"bank-account", "bank_account", "iban"})


def percent(seen: Seen | None) -> float | None:
    """Answer in how many of a hundred records a field is filled."""
    return None if seen is None or seen.rate is None else round(seen.rate * 100, 1)


def samples_of(seen: Seen | None) -> str:
    """Answer a field's samples, one on each line."""
    return "\n".join(seen.samples) if seen else ""
