from __future__ import annotations

import pytest

from tests.contract.bus.sites import RealSite, SimulatedSite, Site


@pytest.fixture(params=["real", "simulated"])
def site(request: pytest.FixtureRequest) -> Site:
    if request.param == "simulated":
        return SimulatedSite()
    return RealSite(request.getfixturevalue("own_nats_server"))
