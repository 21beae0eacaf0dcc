"""The drivers of runs, one module per kind: look at the ledger, do the next thing, return; a death on any line is harmless."""
