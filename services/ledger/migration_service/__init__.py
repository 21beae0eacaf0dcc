"""`MigrationService`, a module for each part of the contract; `services.ledger.migration_servicer` puts them together."""
