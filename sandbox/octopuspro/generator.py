"""Makes an account from a seed."""

from datetime import timedelta

from sandbox.octopuspro.account import EXPORTED, Account, Builder, Tenant
from sandbox.octopuspro.attachments import build_attachments
from sandbox.octopuspro.bookings import build_bookings, build_quotes
from sandbox.octopuspro.catalogue import build_catalogue
from sandbox.octopuspro.changes import change
from sandbox.octopuspro.money import build_money
from sandbox.octopuspro.people import build_customers, build_properties, build_workers

SIZE_MIN = 12
"""Fewest customers with which every status and kind of value is there."""


def generate(seed: int = 1, size: int = 40, *, changes: int = 0, tenant: Tenant | None = None, has_large_file: bool = True) -> Account:
    """Make an account with `size` customers and a few awkward ones, as it stands after so many rounds of changes. Same arguments, same account.

    Raises:
        ValueError: `size` is less than 12.
    """
    if size < SIZE_MIN:
        raise ValueError(f"at least {SIZE_MIN} customers are needed to show every status")
    account = Account(tenant or Tenant(), exported=EXPORTED + timedelta(days=2 * changes))
    builder = Builder(account, seed, size)
    build_workers(builder)
    build_catalogue(builder)
    build_customers(builder)
    build_properties(builder)
    build_bookings(builder)
    build_quotes(builder)
    build_money(builder)
    build_attachments(builder, has_large_file=has_large_file)
    for number in range(changes):
        change(builder, number)
    return account
