"""Runs SQLAlchemy's statements on SQLite without ado: the same words and values on the same connection, but nothing that is not used here.

SQLAlchemy makes and compiles the statements as ever. What is left out stands between a compiled statement and the driver (contexts, events, cursor
results) and takes longer than SQLite's own work. Whatever is unusual goes the usual way.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, exc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_USUAL: Final = Connection.execute


class _UnusualError(Exception):
    """SQLAlchemy has more to do with a statement than is known here."""


class _Way:
    """How one compiled statement is run."""

    __slots__ = ("_binds", "_reads", "compiled", "names", "words")

    def __init__(self, compiled: Any) -> None:
        if _is_unusual(compiled):
            raise _UnusualError
        self.compiled = compiled
        self.words = str(compiled)
        places = {bind: place for place, one in enumerate(compiled.cache_key[1]) for bind in compiled._cache_key_bind_match[0][one]}
        binds = {name: bind for bind, name in compiled.bind_names.items()}
        writers = compiled._bind_processors
        self._binds = [(binds[name], binds[name].key, name, places.get(binds[name]), writers.get(name)) for name in compiled.positiontup]
        columns = compiled._result_columns or []
        self.names = [column.keyname for column in columns]
        readers = [column.type.dialect_impl(compiled.dialect).result_processor(compiled.dialect, None) for column in columns]
        self._reads: list[tuple[int, Callable[[Any], Any]]] = [(place, read) for place, read in enumerate(readers) if read is not None]

    def values(self, given: Mapping[str, Any], extracted: Sequence[Any]) -> list[Any]:
        """Answer the values in the driver's order and form: those that were given, else those that stand in the statement."""
        values = []
        for bind, key, name, place, write in self._binds:
            if key in given:
                value = given[key]
            elif name in given:
                value = given[name]
            elif place is not None:
                value = extracted[place].effective_value
            elif bind.required:
                raise _UnusualError
            else:
                value = bind.effective_value
            values.append(value if write is None else write(value))
        return values

    def read(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """Bring what the driver answered into the form of the columns."""
        if not self._reads:
            return rows
        found = []
        for row in rows:
            values = list(row)
            for place, read in self._reads:
                values[place] = read(values[place])
            found.append(tuple(values))
        return found


_WAYS: Final[dict[int, _Way | None]] = {}
"""By the id of a compiled statement; None: the usual one."""
_KEPT: Final[list[Any]] = []
"""Compiled statements whose ids must stay theirs."""


class Rows:
    """Stands in for a result whose rows have all been read."""

    __slots__ = ("_names", "_rows", "rowcount")

    def __init__(self, rows: list[Any], names: Sequence[str], rowcount: int) -> None:
        self._rows = rows
        self._names = names
        self.rowcount = rowcount

    def all(self) -> list[Any]:
        """Answer all rows."""
        return self._rows

    def first(self) -> Any:
        """Answer the first row, None without one."""
        return self._rows[0] if self._rows else None

    def scalar(self) -> Any:
        """Answer the first value of the first row, None without one."""
        return self._rows[0][0] if self._rows else None

    def mappings(self) -> Rows:
        """Answer the same with rows as mappings."""
        return Rows([dict(zip(self._names, row, strict=True)) for row in self._rows], self._names, self.rowcount)

    def close(self) -> None:
        """Nothing is open."""


def execute(connection: Connection, statement: Any, parameters: Any = None, **options: Any) -> Any:
    """Stand in for `Connection.execute`."""
    try:
        if options or connection.engine._compiled_cache is None or not hasattr(statement, "_compile_w_cache"):
            raise _UnusualError
        given = parameters if isinstance(parameters, list | tuple) else [parameters or {}]
        compiled, extracted, *_ = statement._compile_w_cache(
            connection.dialect,
            compiled_cache=connection.engine._compiled_cache,
            column_keys=sorted(given[0]),
            for_executemany=len(given) > 1,
            schema_translate_map=None,
        )
        way = _way(compiled)
        values = [way.values(one, extracted or ()) for one in given]
    except _UnusualError:
        return _USUAL(connection, statement, parameters, **options)
    cursor = connection.connection.cursor()
    try:
        if len(values) > 1:
            cursor.executemany(way.words, values)
        else:
            cursor.execute(way.words, values[0])
        rows = cursor.fetchall() if cursor.description is not None else []
        return Rows(way.read(list(rows)), way.names, cursor.rowcount)
    except sqlite3.Error as error:
        raise getattr(exc, type(error).__name__, exc.DatabaseError)(way.words, None, error) from error
    finally:
        cursor.close()


def _way(compiled: Any) -> _Way:
    key = id(compiled)
    if key not in _WAYS:
        _KEPT.append(compiled)
        try:
            _WAYS[key] = _Way(compiled)
        except _UnusualError:
            _WAYS[key] = None
    way = _WAYS[key]
    if way is None:
        raise _UnusualError
    return way


def _is_unusual(compiled: Any) -> bool:
    """Whether SQLAlchemy has something to do while the statement runs: lists to spell out, defaults to make, keys to hand back."""
    return bool(
        compiled.cache_key is None
        or compiled.positiontup is None
        or compiled._render_postcompile
        or compiled.post_compile_params
        or compiled.literal_execute_params
        or compiled.insert_prefetch
        or compiled.update_prefetch
        or compiled.effective_returning
    )
