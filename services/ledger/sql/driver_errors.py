"""Errors of the databases' drivers in our words: away for now, or a statement that was refused."""

from typing import Final

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from services.common.errors import TransloadError, UnavailableError

# Classes of PostgreSQL's error codes that say nothing of the statement: connection, rolled back, no resources, locks, an operator, disk.
_PASSING_CODES: Final = ("08", "40", "53", "55", "57", "58")
_PASSING_STATES: Final = frozenset({"25P03", "25006"})
"""Idle in a transaction for too long; a server that only reads, because another has become the first."""


class Translated:
    """Keeps the driver's exceptions inside. Around calls of the driver only: what a caller's own block raises is not the database's fault."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, PoolTimeoutError | OSError) or (isinstance(error, DBAPIError) and _is_away(error)):
            raise UnavailableError(f"the ledger's database does not answer or refuses to write: {_words(error)}") from error
        if isinstance(error, SQLAlchemyError):
            raise TransloadError(f"the ledger's database refused a statement: {_words(error)}") from error


def _is_away(error: DBAPIError) -> bool:
    state = str(getattr(error.orig, "sqlstate", None) or "")
    if state.startswith(_PASSING_CODES) or state in _PASSING_STATES:
        return True
    return error.connection_invalidated or type(error).__name__ in {"OperationalError", "InterfaceError", "InternalError"}


def _words(error: BaseException) -> str:
    """Answer the driver's first line, without statement and parameters."""
    origin = getattr(error, "orig", None) or error
    return str(origin).partition("\n")[0][:200]
