from __future__ import annotations

import pytest

from tests.contract.http.sites import RealSite, SimulatedSite, Site


@pytest.fixture(params=["sockets", "simulated"])
def site(request: pytest.FixtureRequest) -> Site:
    return SimulatedSite() if request.param == "simulated" else RealSite()
