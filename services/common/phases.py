"""The dependency order of a migration (L-10) and the phase every target entity is loaded in."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping

PHASES: Final[tuple[Phase.ValueType, ...]] = (
    Phase.PHASE_USERS,
    Phase.PHASE_SCHEMA,
    Phase.PHASE_PRODUCTS,
    Phase.PHASE_ORGANIZATIONS,
    Phase.PHASE_ORGANIZATION_RELATIONS,
    Phase.PHASE_PERSONS,
    Phase.PHASE_DEALS,
    Phase.PHASE_LINE_ITEMS,
    Phase.PHASE_ACTIVITIES,
    Phase.PHASE_NOTES,
    Phase.PHASE_FILES,
    Phase.PHASE_LATE_LINKS,
)
"""Every phase, first to last; rollback walks it backwards."""
LATE_LINKS: Final = Phase.PHASE_LATE_LINKS
"""What needs everything else to be there."""

TARGET_PHASES: Final[Mapping[str, Phase.ValueType]] = MappingProxyType(
    {
        "user": Phase.PHASE_USERS,
        "custom_field": Phase.PHASE_SCHEMA,
        "field_option": Phase.PHASE_SCHEMA,
        "pipeline": Phase.PHASE_SCHEMA,
        "stage": Phase.PHASE_SCHEMA,
        "activity_type": Phase.PHASE_SCHEMA,
        "product": Phase.PHASE_PRODUCTS,
        "organization": Phase.PHASE_ORGANIZATIONS,
        "organization_relation": Phase.PHASE_ORGANIZATION_RELATIONS,
        "person": Phase.PHASE_PERSONS,
        "deal": Phase.PHASE_DEALS,
        "line_item": Phase.PHASE_LINE_ITEMS,
        "activity": Phase.PHASE_ACTIVITIES,
        "note": Phase.PHASE_NOTES,
        "file": Phase.PHASE_FILES,
        "deal_value": Phase.PHASE_LATE_LINKS,
    }
)
"""Target entity -> the phase its records belong to."""

_NAMES: Final = {phase: Phase.Name(phase).removeprefix("PHASE_").lower() for phase in PHASES}
_BY_NAME: Final = {name: phase for phase, name in _NAMES.items()}


def is_phase(number: int) -> bool:
    """Says whether work can belong to it: a message of another process may hold any number."""
    return number in _NAMES


def phase_name(phase: Phase.ValueType) -> str:
    """Answers the name used in subjects, logs and reports, e.g. `line_items`. Raises KeyError for the unspecified phase."""
    return _NAMES[phase]


def phase_from_name(name: str) -> Phase.ValueType:
    """Reads `phase_name` back. Raises KeyError for any other word."""
    return _BY_NAME[name]
