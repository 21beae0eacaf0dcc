"""The account's memory: every record once, and the file that keeps them."""
