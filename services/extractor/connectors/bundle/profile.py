"""What the check learned of a bundle, frozen with the first page, so that every page is read the same way whenever and wherever it is read."""

from __future__ import annotations

import enum
from typing import Any

from pydantic import BaseModel

from services.extractor.connectors.bundle.layout import CellType  # noqa: TC001 - pydantic reads it when it runs
from services.extractor.connectors.bundle.text import TextFacts  # noqa: TC001 - pydantic reads it when it runs

SAMPLES_MAX = 10


class Severity(enum.StrEnum):
    """How grave a finding is."""

    STOP = "stop"
    """The table, or without one the whole bundle, cannot be read until somebody decides or mends it."""
    WARNING = "warning"
    INFO = "info"


class Finding(BaseModel):
    """Something a person should know, or mend, before anything moves."""

    code: str
    """What it is, one of those in docs/bundles.md."""
    severity: Severity
    message: str
    entity: str = ""
    """Empty: the whole bundle."""
    path: str = ""
    column: str = ""
    """Head as it stands in the file."""
    count: int = 0
    samples: list[str] = []
    """Rows, with their number in the file, counted from 1 for the heads."""
    option: str = ""
    """The connector option that decides, where one does."""

    @property
    def key(self) -> str:
        """Names the finding from one check to the next."""
        return "/".join(("finding", self.code, self.entity or "bundle", self.path, self.column)).rstrip("/")


class ColumnFacts(BaseModel):
    """How the cells of a typed column are written."""

    type: str = ""
    """Of a column no layout knows: what its cells prove."""
    date_order: str = ""
    decimal: str = "."
    is_share: bool = False


class OwnType(BaseModel):
    """A column of the tenant's own with the type the bundle gives it."""

    label: str
    type: CellType


class PartFacts(BaseModel):
    """One file of a table."""

    path: str
    text: TextFacts | None = None
    """None: a workbook."""
    delimiter: str = ","
    quotes: str = "strict"


class TableFacts(BaseModel):
    """One table: everything its pages depend on."""

    entity: str
    parts: list[PartFacts] = []
    row_count: int = 0
    columns: dict[str, ColumnFacts] = {}
    own_types: list[OwnType] = []
    """Types of the tenant's own columns, where the bundle says them."""
    own: dict[str, ColumnFacts] = {}
    """Columns no layout knows whose cells are dates or numbers, by `properties.{label}` or `other_columns.{head}`."""
    has_repeated_ids: bool = False
    """Whether ids come twice or are missing, so that reading must count them."""
    uses_row_ids: bool = False
    """Whether rows are known by what they hold."""
    has_unlisted_files: bool = False
    """Whether there are files that no row names; each is a record after the rows."""
    stop: str = ""
    """Why it cannot be read."""


class BundleFacts(BaseModel):
    """The whole bundle."""

    name: str
    fingerprint: str
    """Changes when a table, the manifest or the layout in it changes."""
    tenant: str = ""
    exported_at: str = ""
    time_zone: str = ""
    currency: str = ""
    row_count: int = 0
    stop: str = ""


class Check(BaseModel):
    """All of it."""

    bundle: BundleFacts
    tables: dict[str, TableFacts]
    findings: list[Finding]

    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        """Answer it as rows of the entity of findings, by id."""
        result = [("bundle", {"kind": "bundle", **self.bundle.model_dump(mode="json")})]
        result += [(f"table/{name}", {"kind": "table", **table.model_dump(mode="json")}) for name, table in self.tables.items()]
        result += [(finding.key, {"kind": "finding", **finding.model_dump(mode="json")}) for finding in self.findings]
        return result

    @classmethod
    def of_rows(cls, rows: dict[str, dict[str, Any]]) -> Check | None:
        """Read what `rows` wrote; None where the bundle itself is missing."""
        if "bundle" not in rows:
            return None
        tables = [TableFacts.model_validate(data) for data in rows.values() if data.get("kind") == "table"]
        findings = [Finding.model_validate(data) for data in rows.values() if data.get("kind") == "finding"]
        return cls(bundle=BundleFacts.model_validate(rows["bundle"]), tables={table.entity: table for table in tables}, findings=findings)
