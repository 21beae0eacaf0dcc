"""The snapshot index: every record of a migration's frozen pages, on disk, for look-ups.

Mapping a record needs other records (the name of a state, the contacts of a client, the document before this one). The index is derived from
the pages the ledger lists and the content staging holds; it may be deleted at any instant and is built again. A record read again by a later page
has several versions; a view sees the newest one up to the view's sequence, so that the same snapshot gives the same answers for ever.
Memory does not grow with the number of records.
"""
