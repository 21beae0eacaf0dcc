"""One open transaction and the statements both databases share; the topics' mixins stand on it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Dialect, Executable, Insert, Row, RowMapping, Select, Table, bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from services.ledger.sql import tables
from services.ledger.sql.rows import RowCodec

Item = TypeVar("Item")
Rows = Sequence[dict[str, Any]]

METADATA = tables.RecordRow.metadata
"""All tables of the ledger."""
IN_MAX = 500
"""Values of one IN list; longer ones are split, so that statements stay cached and within SQLite's limit."""


def table_of(model: type[SQLModel]) -> Table:
    """Answer the table of a model."""
    table: Table = SQLModel.metadata.tables[str(model.__tablename__)]
    return table


def by(*columns: Column[Any]) -> Select[Any]:
    """Build the query of whole rows by these columns once; parameters are named like the columns."""
    return select(columns[0].table).where(*(column == bindparam(column.name) for column in columns))


def chunks(values: Iterable[Item], size: int = IN_MAX) -> Iterator[list[Item]]:
    """Split into lists of at most `size`."""
    part: list[Item] = []
    for value in values:
        part.append(value)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


class Statements:
    """Inserts with conflict rules, built once per table."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self._built: dict[tuple[Any, ...], Insert] = {}
        self._texts: dict[Executable, tuple[str, tuple[str, ...]]] = {}

    def insert_new(self, table: Table) -> Insert:
        """Insert rows; where the key is there already, leave the old row."""
        return self._build(("new", table.name), lambda: self._insert(table).on_conflict_do_nothing())

    def upsert(self, table: Table, *, keep: Collection[str] = ()) -> Insert:
        """Insert rows or change those with the same key, all columns but `keep`."""
        return self._build(("upsert", table.name, tuple(keep)), lambda: self._upsert(table, keep))

    def text(self, statement: Insert, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
        """Answer an insert of whole rows in the driver's own words, and its columns in order."""
        if statement not in self._texts:
            compiled = statement.compile(dialect=dialect, column_keys=list(statement.table.columns.keys()))
            self._texts[statement] = str(compiled), tuple(compiled.positiontup or ())
        return self._texts[statement]

    def _build(self, key: tuple[Any, ...], make: Any) -> Insert:
        if key not in self._built:
            self._built[key] = make()
        return self._built[key]

    def _insert(self, table: Table) -> Any:
        return postgresql.insert(table) if self._dialect == "postgresql" else sqlite.insert(table)

    def _upsert(self, table: Table, keep: Collection[str]) -> Insert:
        statement = self._insert(table)
        key = [column.name for column in table.primary_key]
        changed = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in key and column.name not in keep}
        built: Insert = statement.on_conflict_do_update(index_elements=key, set_=changed)
        return built


class Runner(Protocol):
    """Runs a function on the connection of an open transaction, where the database's driver wants it to run."""

    async def __call__(self, work: Callable[[Connection], Item], /) -> Item:
        """Run `work` and answer what it answers."""
        ...


class Session:
    """A connection inside a transaction."""

    def __init__(self, run: Runner, statements: Statements) -> None:
        self._on_connection = run
        self._statements = statements

    async def _all(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Sequence[RowMapping]:
        return await self._on_connection(lambda connection: connection.execute(statement, values).mappings().all())

    async def _tuples(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Answer the rows of a statement that was built once, in the order of its columns."""
        return await self._on_connection(lambda connection: connection.execute(statement, values).all())

    async def _first(self, statement: Executable, values: Mapping[str, Any] | None = None) -> RowMapping | None:
        return await self._on_connection(lambda connection: connection.execute(statement, values).mappings().first())

    async def _scalar(self, statement: Executable, values: Mapping[str, Any] | None = None) -> Any:
        return await self._on_connection(lambda connection: connection.execute(statement, values).scalar())

    async def _count(self, table: Table, *where: ColumnElement[bool]) -> int:
        return int(await self._scalar(select(func.count()).select_from(table).where(*where)))

    async def _run(self, statement: Executable, rows: Rows | None = None) -> int:
        """Execute a statement, once for each row if rows are given, and answer how many rows it touched."""
        if rows is None:
            return max(0, await self._on_connection(lambda connection: connection.execute(statement).rowcount))
        if rows:
            await self._on_connection(lambda connection: connection.execute(statement, rows).close())
        return len(rows)

    async def _write_values(self, statement: Insert, codec: RowCodec[Item], values: Iterable[Item]) -> None:
        """Execute an insert for whole rows past SQLAlchemy's handling of each value, which costs more than the database's own work."""
        rows = [codec.to_values(value) for value in values]

        def execute(connection: Connection) -> None:
            words, columns = self._statements.text(statement, connection.dialect)
            if columns != codec.names:
                raise TypeError(f"{statement.table.name} has its columns in another order than the fields of what is written")
            connection.exec_driver_sql(words, rows).close()

        if rows:
            await self._on_connection(execute)

    async def _upsert(self, table: Table, rows: Rows, *, keep: Collection[str] = ()) -> None:
        await self._run(self._statements.upsert(table, keep=keep), rows)

    async def _insert_new(self, table: Table, rows: Rows) -> None:
        await self._run(self._statements.insert_new(table), rows)

    async def _delete(self, table: Table, *where: ColumnElement[bool]) -> int:
        return await self._run(delete(table).where(*where))
