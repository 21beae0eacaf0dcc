"""`python -m services.ledger` runs the ledger."""

from services.common import runtime
from services.ledger.bootstrap import build
from services.ledger.settings import LedgerSettings

if __name__ == "__main__":
    runtime.main("ledger", LedgerSettings.from_env, build)
