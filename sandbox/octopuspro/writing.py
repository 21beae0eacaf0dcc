"""Writes an account as its tenant's export does: dates and money in the tenant's forms, import columns in their own."""

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from sandbox.bundles.writer import BundleWriter
from sandbox.octopuspro import columns as kinds
from sandbox.octopuspro.account import Account, Tenant
from sandbox.octopuspro.columns import COLUMNS, CUSTOMISED
from sandbox.octopuspro.fields import FIELDS

_DATES: Final = {"DD/MM/YYYY": "%d/%m/%Y", "MM/DD/YYYY": "%m/%d/%Y", "YYYY-MM-DD": "%Y-%m-%d"}
_TIMES: Final = {"24": "%H:%M", "12": "%I:%M %p"}


def heads_of(file: str) -> dict[str, str]:
    """Answer the heads of a file in order, with the kind of value in each."""
    custom = {field.head: field.kind for field in FIELDS if field.object == CUSTOMISED.get(file)}
    return COLUMNS[file] | custom


def rows_of(account: Account, file: str) -> Iterator[list[str]]:
    """Write the rows of a file, heads left out."""
    heads = heads_of(file)
    for row in account.tables[file]:
        yield [written(row.get(head), kind, account.tenant, zone=row.get("Timezone") or "") for head, kind in heads.items()]


def written(value: Any, kind: str, tenant: Tenant, *, zone: str = "") -> str:
    """Write one value as a cell. `zone` is the row's own time zone, which beats the tenant's."""
    if value is None or value == "":
        return ""
    match kind:
        case kinds.BOOL:
            return "Yes" if value else "No"
        case kinds.MONEY:
            return f"{value:.2f}"
        case kinds.SHOWN_MONEY:
            return f"${value:,.2f}"
        case kinds.PERCENT:
            return f"{value:f}%"
        case kinds.IDS:
            return ";".join(value)
        case kinds.LABELS:
            return ", ".join(value)
        case kinds.IMPORT_DATE:
            return f"{value:%Y/%m/%d}"
        case kinds.ZONED:
            return _plain(value, tenant, zone)
        case _:
            return _plain(value, tenant, "")


def _plain(value: Any, tenant: Tenant, zone: str) -> str:
    if isinstance(value, datetime):
        local = value.astimezone(ZoneInfo(zone or tenant.time_zone))
        return local.strftime(f"{_DATES[tenant.date_format]} {_TIMES[tenant.time_format]}")
    if isinstance(value, date):
        return value.strftime(_DATES[tenant.date_format])
    if isinstance(value, time):
        return value.strftime(_TIMES[tenant.time_format])
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def manifest(account: Account) -> dict[str, Any]:
    """Answer what the packer notes in `manifest.json`."""
    tenant = account.tenant
    return {
        "tenant": tenant.name,
        "time_zone": tenant.time_zone,
        "date_format": tenant.date_format,
        "time_format": tenant.time_format,
        "currency": tenant.currency,
        "exported_at": account.exported.isoformat(),
        "kind": "full",
    }


def write_bundle(account: Account, writer: BundleWriter) -> Path:
    """Write the account's tables, files and manifest; answers where the bundle is."""
    writer.manifest = manifest(account)
    for name in account.tables:
        heads = list(heads_of(name))
        writer.table(name, (dict(zip(heads, cells, strict=True)) for cells in rows_of(account, name)), heads=heads)
    for one in account.binaries:
        writer.raw(one.path, one.content())
    return writer.finish()
