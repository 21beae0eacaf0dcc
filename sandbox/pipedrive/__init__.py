"""A Pipedrive simulator: strict, limited and awkward like the real thing, and open to inspection by tests.

One store holds every record once, in the terms of API version 2; version 1 is another rendering of it. Requests pass, in
this order: credential, burst window, route, daily budget, injected faults, validation, effect. Facts that Pipedrive
documents are reproduced; what it leaves open is an option (`options.py`) or marked "assumed" where it is decided.
"""
