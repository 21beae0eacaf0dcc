"""De-duplication before insert (RS-01): is a record that is about to be created one that exists, in Pipedrive or earlier in the source?

`folding` spells values so that the same thing reads the same, `identity` takes a record's keys, `score` compares two records, `choice` chooses among
candidates, and `matcher` decides for a batch, in the transaction that claims it. Only `matcher` knows of storage.
"""
