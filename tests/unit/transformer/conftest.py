"""The STEL Order mapping as an account's proposal makes it, compiled once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.transformer.mapping.reading import connector_mapping_text
from services.transformer.propose import propose
from tests.unit.transformer import examples
from tests.unit.transformer.support import TARGET, Snapshot, plan_of

if TYPE_CHECKING:
    from services.transformer.plan import MappingPlan


@pytest.fixture(scope="session")
def base_text() -> str:
    return connector_mapping_text("stel_order")


@pytest.fixture(scope="session")
def mapping_yaml(base_text: str) -> str:
    return propose(base_text, Snapshot(examples.account()), TARGET, "")


@pytest.fixture(scope="session")
def plan(mapping_yaml: str) -> MappingPlan:
    return plan_of(mapping_yaml)
