"""What others install: the contracts (`transload.v1`), the typed client (`transload.Client`) and the `transload` command."""
