"""STEL Order, read through its REST interface."""
