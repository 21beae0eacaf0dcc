"""What people decide."""

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field, SQLModel


class ReviewItemRow(SQLModel, table=True):
    """Something a person decides or should see."""

    __tablename__ = "review_items"
    __table_args__ = (
        Index("ix_review_items_order", "migration_id", "order", unique=True),
        Index("ix_review_items_key", "migration_id", "key"),
        Index("ix_review_items_source", "migration_id", "source_key"),
    )

    migration_id: str = Field(primary_key=True, foreign_key="migrations.migration_id")
    review_item_id: str = Field(primary_key=True)
    reason: str
    source_key: str
    key: str
    is_blocking: bool
    message: str = Field(sa_type=Text)
    create_time: int = Field(sa_type=BigInteger)
    order: int = Field(sa_type=BigInteger)
    resolution: str
    actor: str
    resolve_time: int | None = Field(sa_type=BigInteger)
