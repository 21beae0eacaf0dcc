"""A made-up Results account, written as the bundle its exports would make: `python -m sandbox.results --out FOLDER`."""
