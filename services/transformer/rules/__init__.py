"""The rules of a mapping at work: compiled into plain functions, and what they leave out of a source."""
