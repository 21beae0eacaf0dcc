"""The audit trail's format: how events are hashed and chained, what a signed head and a proof are, and how a file of them is verified.

The ledger writes by these functions, the verifier reads by them; neither needs a service, a database or the network.
"""
