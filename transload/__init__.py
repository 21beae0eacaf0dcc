"""What others install: the contracts (`transload.v1`), the typed client (`transload.Client`) and the `transload` command."""

from transload.client import Client
from transload.errors import TransloadCallError

__all__ = ["Client", "TransloadCallError"]
