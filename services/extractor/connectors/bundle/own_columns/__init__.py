"""Columns of the tenant's own, which no layout names, and the two ways that lead to their types.

- `described`: a table of the bundle lists the tenant's fields with their types. `typed` makes columns of them, which are checked and read like
  those of the layout: what cannot be decided stops the table.
- `proved`: nothing describes the column, and every cell of it proves that it holds dates or numbers. What is not proved stays text.
"""
