"""The mapping as a workbook: sheets of rows that a person reads and edits, and what an edited cell does to the mapping (L-02)."""
