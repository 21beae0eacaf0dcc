from __future__ import annotations

import pytest

from services.common.phases import PHASES, TARGET_PHASES, phase_from_name, phase_name
from transload.v1.records_pb2 import Phase


@pytest.mark.requirement("L-10")
def test_phases_run_in_the_order_of_their_dependencies() -> None:
    names = [phase_name(phase) for phase in PHASES]
    assert names == [
        *("users", "schema", "products", "organizations", "organization_relations", "persons"),
        *("deals", "line_items", "activities", "notes", "files", "late_links"),
    ]
    assert list(PHASES) == sorted(PHASES)


def test_every_phase_of_the_contract_is_in_the_order() -> None:
    assert {Phase.PHASE_UNSPECIFIED, *PHASES} == set(Phase.values())


def test_names_read_back() -> None:
    assert [phase_from_name(phase_name(phase)) for phase in PHASES] == list(PHASES)


def test_every_phase_has_a_target_entity() -> None:
    assert set(TARGET_PHASES.values()) == set(PHASES)
