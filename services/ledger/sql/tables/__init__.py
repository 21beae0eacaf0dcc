"""The ledger's tables. Columns are named like the fields of the domain, so that `rows` carries values over by name.

Times are microseconds since 1970 in UTC (SQLite keeps no time zones), documents are text or bytes, so that both databases run the same code.
Personal data stands only in columns that `erasure` empties: images, messages, intents, payloads, reports.
One module a matter; import rows from here.
"""

from services.ledger.sql.tables.documents import ManifestRow, MappingRow, ReportLineRow, ReportRow
from services.ledger.sql.tables.extraction import ExtractionEntityRow, ExtractionRow, PageRow, SourceBudgetRow, SourceIssueRow, SourceRecordRow
from services.ledger.sql.tables.lease import LeaseRow
from services.ledger.sql.tables.matching import MatchCandidateRow, MatchKeyRow, MatchReadingRow
from services.ledger.sql.tables.records import KeptRow, RecordRow, UndoSelectionRow
from services.ledger.sql.tables.review import ReviewItemRow
from services.ledger.sql.tables.runs import BudgetTermRow, HeadRow, MigrationRow, RunCostRow, RunResultRow, RunRow
from services.ledger.sql.tables.trail import AuditHeadRow, EventPayloadRow, EventRow
from services.ledger.sql.tables.work import BatchRow, OutboxRow, PageWorkRow, RequestRow

__all__ = [
    "AuditHeadRow",
    "BatchRow",
    "BudgetTermRow",
    "EventPayloadRow",
    "EventRow",
    "ExtractionEntityRow",
    "ExtractionRow",
    "HeadRow",
    "KeptRow",
    "LeaseRow",
    "ManifestRow",
    "MappingRow",
    "MatchCandidateRow",
    "MatchKeyRow",
    "MatchReadingRow",
    "MigrationRow",
    "OutboxRow",
    "PageRow",
    "PageWorkRow",
    "RecordRow",
    "ReportLineRow",
    "ReportRow",
    "RequestRow",
    "ReviewItemRow",
    "RunCostRow",
    "RunResultRow",
    "RunRow",
    "SourceBudgetRow",
    "SourceIssueRow",
    "SourceRecordRow",
    "UndoSelectionRow",
]
