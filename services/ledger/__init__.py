"""The ledger: the only truth. Migrations and their phases, audit trail, identity map, review queue, rollback."""
