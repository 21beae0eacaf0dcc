"""The extractor: reads a source within its limits and freezes what it read as pages in staging."""
