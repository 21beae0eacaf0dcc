"""The ledger's storage on SQLite and PostgreSQL: tables, migrations of the schema, and the repository. Decides nothing."""
