"""Benchmarks. Each prints ratios against a baseline measured in the same run, because machines are noisy.

`python -m bench` runs all; `python -m bench end_to_end ledger ...` runs some.
"""
