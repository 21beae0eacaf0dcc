"""The `transload` command. Speaks only the public interfaces: gRPC to the ledger, processes for the embedded stack."""
