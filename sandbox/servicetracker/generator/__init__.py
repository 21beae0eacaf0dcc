"""Makes an org from a seed: same seed, same org."""

from sandbox.servicetracker.generator.build import Account, Defect, Plan
from sandbox.servicetracker.generator.org import generate

__all__ = ["Account", "Defect", "Plan", "generate"]
