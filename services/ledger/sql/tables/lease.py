"""Who may write."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class LeaseRow(SQLModel, table=True):
    """The lease of the one writer. Times are the database's own."""

    __tablename__ = "leases"

    name: str = Field(primary_key=True)
    term: int = Field(sa_type=BigInteger)
    holder: str
    expire_time: int = Field(sa_type=BigInteger)
