"""The central quota: one arbiter per Pipedrive company shares out daily tokens and the rolling 2-second window."""
