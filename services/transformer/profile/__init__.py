"""The audit report (L-01): what the source holds, in what state it is, and what moving it will take.

One pass over the snapshot. Nothing is kept in memory but counters whose number depends on the kinds of fields, not on the number of records.
The report names records by key only. Its sections are described in `docs/operations.md`.
"""
