"""Pages that show the account as a salesperson would see it. They read the store, cost nothing and are not in the journal."""
