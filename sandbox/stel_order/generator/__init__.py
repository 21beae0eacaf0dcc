"""Generates a whole account from a seed: same seed and options, same bytes."""

from sandbox.stel_order.generator.build import Builder, Defect, Plan
from sandbox.stel_order.generator.sections import generate

__all__ = ["Builder", "Defect", "Plan", "generate"]
