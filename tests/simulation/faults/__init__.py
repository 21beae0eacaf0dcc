"""What goes wrong: kinds by what is hit, and the storm that lets a drawn mixture of them loose on a world."""

from tests.simulation.faults.processes import kill
from tests.simulation.faults.storm import BLOWS, KINDS, STANDING, Storm, Weather

__all__ = ["BLOWS", "KINDS", "STANDING", "Storm", "Weather", "kill"]
