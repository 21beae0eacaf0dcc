"""The mapping workbook as an XLSX file: written, read back, and compared with what was written (L-02)."""
