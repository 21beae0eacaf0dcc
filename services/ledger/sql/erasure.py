"""Erases personal data of one migration; what proves the trail stays."""

from sqlalchemy import update

from services.ledger.sql.session import Session, table_of
from services.ledger.sql.tables import EventPayloadRow, KeptRow, RecordRow, ReportLineRow, ReportRow, ReviewItemRow, SourceIssueRow

_RECORDS, _ITEMS, _ISSUES = table_of(RecordRow), table_of(ReviewItemRow), table_of(SourceIssueRow)
_PAYLOADS, _REPORTS, _LINES = table_of(EventPayloadRow), table_of(ReportRow), table_of(ReportLineRow)


class Eraser(Session):
    """Empties the columns that may hold personal data."""

    async def erase_payloads(self, migration_id: str) -> None:
        """Erase all personal data of a migration: event payloads, images, messages, reports. The chain still verifies."""
        for table in (_PAYLOADS, _REPORTS, _LINES):
            await self._delete(table, table.c.migration_id == migration_id)
        blank = {"image": "", "pre_image": "", "message": "", "intent_record": b""}
        await self._run(update(_RECORDS).where(_RECORDS.c.migration_id == migration_id).values(**blank))
        for table in (_ITEMS, _ISSUES, table_of(KeptRow)):
            await self._run(update(table).where(table.c.migration_id == migration_id).values(message=""))
