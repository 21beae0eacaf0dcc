"""Alembic's entry: runs versions on the connection `schema.upgrade` hands over."""

from typing import Any, Literal

from alembic import context
from sqlmodel import AutoString

from services.ledger.sql.session import METADATA


def _render(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write SQLModel's string type as plain SQLAlchemy, so that versions do not depend on SQLModel."""
    if kind != "type" or not isinstance(item, AutoString):
        return False
    return f"sa.String(length={item.length})" if item.length else "sa.String()"


context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, compare_type=True, render_item=_render)
with context.begin_transaction():
    context.run_migrations()
